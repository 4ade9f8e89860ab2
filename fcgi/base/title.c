/*
 * Linux has no system call that sets a title. /proc/PID/cmdline shows the
 * memory in which execve(2) stored the arguments, so the title is written over
 * them. The environment follows the arguments in memory, and the kernel reads
 * on into it if the NUL of the last argument was overwritten (get_mm_cmdline()
 * in fs/proc/base.c). PostgreSQL, nginx and sendmail set their titles like
 * this.
 */
#include "base/title.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	char *area; /* NULL: there is none to write to */
	size_t size;
	size_t used; /* by the arguments or a title, whatever was longer */
	const char *program;
} title;

static size_t
total_size(char *const *strings)
{
	size_t size = 0;

	for (; *strings; strings++)
		size += strlen(*strings) + 1;
	return size;
}

/* Where those strings end that follow each other in memory, from end on. */
static char *
contiguous_end(char *const *strings, char *end)
{
	for (; *strings && *strings == end; strings++)
		end += strlen(end) + 1;
	return end;
}

/* Copy the strings to *room, which advances, and point list to the copies. */
static void
copy_strings(char *const *strings, char **list, char **room)
{
	for (; *strings; strings++, list++) {
		size_t size = strlen(*strings) + 1;

		*list = memcpy(*room, *strings, size);
		*room += size;
	}
	*list = NULL;
}

void
title_init(int argc, char **argv)
{
	size_t variables = 0;
	char *area = argv[0];
	char **copies;
	char *room;
	char *arguments_end;
	char *end;
	size_t folder;

	if (argc < 1 || !argv[0])
		return;
	folder = (size_t)(basename(argv[0]) - argv[0]);
	while (environ[variables])
		variables++;
	copies = malloc((variables + 1) * sizeof(*copies) + total_size(argv) +
			total_size(environ));
	if (!copies)
		return;
	arguments_end = contiguous_end(argv, area);
	end = arguments_end;
	if (end == area + total_size(argv))
		end = contiguous_end(environ, end);
	room = (char *)(copies + variables + 1);
	copy_strings(environ, copies, &room);
	copy_strings(argv, argv, &room);
	environ = copies;
	program_invocation_name = argv[0];
	program_invocation_short_name = argv[0] + folder;
	title.area = area;
	title.size = (size_t)(end - area);
	title.used = (size_t)(arguments_end - area);
	title.program = program_invocation_short_name;
}

void
title_set(const char *format, ...)
{
	va_list arguments;
	size_t prefix;
	size_t length;

	if (!title.area)
		return;
	/* What stays of the old text would be shown behind the new one. */
	memset(title.area, 0, title.used);
	prefix =
	    (size_t)snprintf(title.area, title.size, "%s: ", title.program);
	if (prefix < title.size) {
		va_start(arguments, format);
		vsnprintf(title.area + prefix, title.size - prefix, format,
		    arguments);
		va_end(arguments);
	}
	length = strlen(title.area) + 1;
	if (title.used < length)
		title.used = length;
}
