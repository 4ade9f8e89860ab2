#ifndef SUPPORT_H
#define SUPPORT_H

/*
 * What the unit tests share: a folder of their own, files, what was said on
 * stderr, and child processes. A child must not use cmocka's assertions: it
 * says what it found in its exit status.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/program.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Nothing here takes long: what hangs is a failure, not a wait. */
enum { SUPPORT_DEADLINE = 60, SUPPORT_NOBODY = 65534, SUPPORT_NAME = 256 };

static char support_folder[128];

static inline int
support_remove_entry(
    const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static inline void
support_remove(const char *path)
{
	nftw(path, support_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/*
 * Make a folder that every user can reach, on tmpfs where there is one: most
 * tests make files by the thousand. For cmocka's set-up.
 */
static inline int
support_open_folder_in(const char *base)
{
	snprintf(support_folder, sizeof(support_folder),
	    "%s/" PROGRAM_NAME "-test-XXXXXX", base);
	if (!mkdtemp(support_folder))
		return -1;
	return chmod(support_folder, 0755);
}

static inline int
support_open_folder(void **state)
{
	(void)state;
	return support_open_folder_in(
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

/* For programs to execute: containers have /dev/shm without that right. */
static inline int
support_open_program_folder(void **state)
{
	(void)state;
	return support_open_folder_in("/tmp");
}

static inline int
support_close_folder(void **state)
{
	(void)state;
	chmod(support_folder, 0755);
	support_remove(support_folder);
	return 0;
}

/* A path in the folder; good for the next seven calls. */
static inline const char *
support_path(const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, PATH_MAX, "%s/%s", support_folder, name);
	return path;
}

static inline void
support_write(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	close(fd);
}

/* Write a text file, and the folders above it. */
static inline void
support_write_text(const char *path, const char *text)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *slash = strchr(folder + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(folder, 0755);
		*slash = '/';
	}
	support_write(path, text, strlen(text));
}

/* The file's bytes, NUL-terminated, for the caller to free. */
static inline char *
support_read(const char *path, size_t *size)
{
	FILE *file = fopen(path, "re");
	char *bytes = NULL;
	struct stat status;

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &status), 0);
	*size = (size_t)status.st_size;
	bytes = calloc(1, *size + 1);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, *size, file), *size);
	fclose(file);
	return bytes;
}

/* How many names in the folder hold this text; the last one into name. */
static inline size_t
support_find(const char *text, char *name, size_t size)
{
	DIR *folder = opendir(support_folder);
	const struct dirent *entry;
	size_t count = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.' && strstr(entry->d_name, text)) {
			snprintf(name, size, "%s", entry->d_name);
			count++;
		}
	closedir(folder);
	return count;
}

/* Empty the folder. For cmocka's set-up of one test. */
static inline int
support_clear(void **state)
{
	DIR *folder = opendir(support_folder);
	const struct dirent *entry;

	(void)state;
	if (!folder)
		return -1;
	while ((entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			support_remove(support_path(entry->d_name));
	closedir(folder);
	return 0;
}

/* --- what was said ------------------------------------------------------ */

static int support_stderr = -1;
static int support_captured = -1;

/* From here on stderr goes into a file. */
static inline void
support_capture(void)
{
	fflush(stderr);
	support_captured = fileno(tmpfile());
	support_stderr = dup(STDERR_FILENO);
	assert_true(support_captured >= 0 && support_stderr >= 0);
	dup2(support_captured, STDERR_FILENO);
}

/* stderr is back; what was said, good until the next call. */
static inline const char *
support_said(void)
{
	static char text[65536];
	ssize_t size;

	fflush(stderr);
	dup2(support_stderr, STDERR_FILENO);
	close(support_stderr);
	size = pread(support_captured, text, sizeof(text) - 1, 0);
	close(support_captured);
	support_captured = -1;
	text[size > 0 ? size : 0] = '\0';
	return text;
}

/* stderr is back also where a test failed before it asked. For tear-down. */
static inline int
support_release(void **state)
{
	(void)state;
	if (support_captured >= 0)
		support_said();
	return 0;
}

#define assert_says(text, part)                                                \
	do {                                                                   \
		if (!strstr((text), (part)))                                   \
			fail_msg("\"%s\" is not in:\n%s", (part), (text));     \
	} while (0)

#define assert_silent_about(text, part)                                        \
	do {                                                                   \
		if (strstr((text), (part)))                                    \
			fail_msg("\"%s\" is in:\n%s", (part), (text));         \
	} while (0)

static inline void
support_skip_under_valgrind(void)
{
	const char *libraries = getenv("LD_PRELOAD");

	if (libraries && strstr(libraries, "/vgpreload_"))
		skip();
}

/* --- child processes ----------------------------------------------------- */

/* Run in a child; its exit status, or 1000 + the signal that ended it. */
static inline int
support_wait(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : 1000 + WTERMSIG(status);
}

static inline pid_t
support_fork(int (*run)(void *), void *argument)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(SUPPORT_DEADLINE);
		_exit(run(argument));
	}
	return child;
}

static inline int
support_in_child(int (*run)(void *), void *argument)
{
	return support_wait(support_fork(run, argument));
}

/* In a child of root's: be a user that permissions mean something to. */
static inline void
support_become_nobody(void)
{
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) < 0 || setgid(SUPPORT_NOBODY) < 0 ||
		setuid(SUPPORT_NOBODY) < 0))
		_exit(99);
}

/* A child that has got something ready and keeps it until it is told to go. */
struct support_holder {
	pid_t pid;
	int ready[2];
	int go[2];
};

/* In the holder: everything is ready; returns when told to go on. */
static inline void
support_hold(const struct support_holder *holder)
{
	char byte = 1;

	if (write(holder->ready[1], &byte, 1) != 1 ||
	    read(holder->go[0], &byte, 1) < 0)
		_exit(98);
}

static inline void
support_start(struct support_holder *holder, int (*run)(void *), void *argument)
{
	char byte;

	assert_int_equal(pipe2(holder->ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(holder->go, O_CLOEXEC), 0);
	holder->pid = support_fork(run, argument);
	close(holder->ready[1]);
	close(holder->go[0]);
	assert_int_equal(read(holder->ready[0], &byte, 1), 1);
	close(holder->ready[0]);
}

/* Tell it to go on; its exit status as of support_wait(). */
static inline int
support_finish(const struct support_holder *holder)
{
	char byte = 1;

	/* Said, not only closed: other children may have the pipe, too. */
	if (write(holder->go[1], &byte, 1) != 1 && errno != EPIPE)
		fail_msg("cannot tell the child to go on");
	close(holder->go[1]);
	return support_wait(holder->pid);
}

static inline int64_t
support_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* A program's main: its tests, in a folder of their own. */
#define SUPPORT_RUN_WITH(tests, set_up, tear_down)                             \
	(alarm(SUPPORT_DEADLINE), signal(SIGPIPE, SIG_IGN),                    \
	    cmocka_run_group_tests(tests, set_up, tear_down))
#define SUPPORT_RUN(tests)                                                     \
	SUPPORT_RUN_WITH(tests, support_open_folder, support_close_folder)

#endif
