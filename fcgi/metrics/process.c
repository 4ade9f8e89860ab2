/*
 * The process collector: /proc/PID/stat, fd and limits, as proc(5) has them.
 * The CPU time of children that a process has reaped counts with it, so that
 * the pool's sum does not fall when a worker dies.
 */
#include "metrics/process.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
read_file(
    const char *root, const char *name, pid_t pid, char *text, size_t size)
{
	char path[PATH_MAX];
	size_t length;
	FILE *file;

	if (pid)
		snprintf(path, sizeof(path), "%s/proc/%d/%s", root, pid, name);
	else
		snprintf(path, sizeof(path), "%s/proc/%s", root, name);
	file = fopen(path, "re");
	if (!file)
		return false;
	length = fread(text, 1, size - 1, file);
	text[length] = '\0';
	fclose(file);
	return length > 0;
}

static uint64_t
count_fds(const char *root, pid_t pid)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	uint64_t count = 0;
	struct stat status;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/proc/%d/fd", root, pid);
	/* Since Linux 6.2 (proc(5)) that is its size; 0 before. */
	if (!*root && stat(path, &status) == 0 && status.st_size > 0)
		return (uint64_t)status.st_size;
	folder = opendir(path);
	while (folder && (entry = readdir(folder)))
		count += entry->d_name[0] != '.';
	if (folder)
		closedir(folder);
	return count;
}

static uint64_t
max_fds(const char *root, pid_t pid)
{
	char text[4096];
	const char *line;

	if (!read_file(root, "limits", pid, text, sizeof(text)))
		return 0;
	line = strstr(text, "Max open files");
	return line ? strtoull(line + strlen("Max open files"), NULL, 10) : 0;
}

/* The boot time in seconds since the epoch. */
static double
boot_time(const char *root)
{
	char text[65536];
	const char *line;

	if (!read_file(root, "stat", 0, text, sizeof(text)))
		return 0;
	line = strstr(text, "btime ");
	return line ? strtod(line + strlen("btime "), NULL) : 0;
}

static void
add_process(const char *root, pid_t pid, struct process *process)
{
	double tick = (double)sysconf(_SC_CLK_TCK);
	unsigned long long user, system, started, size;
	long long child_user, child_system, pages;
	uint64_t fds;
	char text[1024];
	const char *rest;

	if (!read_file(root, "stat", pid, text, sizeof(text)))
		return;
	rest = strrchr(text, ')'); /* the name may hold anything */
	if (!rest ||
	    sscanf(rest + 1,
		" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld "
		"%lld %*d %*d %*d %*d %llu %llu %lld",
		&user, &system, &child_user, &child_system, &started, &size,
		&pages) != 7)
		return;
	process->cpu_seconds += ((double)user + (double)system +
				    (double)child_user + (double)child_system) /
				tick;
	process->virtual_bytes += size;
	process->resident_bytes +=
	    (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
	process->open_fds += count_fds(root, pid);
	fds = max_fds(root, pid);
	if (process->max_fds == 0 || (fds > 0 && fds < process->max_fds))
		process->max_fds = fds;
	if (process->start_seconds <= 0)
		process->start_seconds =
		    boot_time(root) + (double)started / tick;
}

void
process_read(
    const char *root, const pid_t *pids, size_t count, struct process *process)
{
	*process = (struct process){0};
	for (size_t i = 0; i < count; i++)
		add_process(root, pids[i], process);
}
