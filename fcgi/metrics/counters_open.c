/*
 * The three ways to open a counter file: for a pool, beside one, and to read.
 */
#include "metrics/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/program.h"
#include "metrics/counters_file.h"
#include "metrics/counters_format.h"
#include "metrics/counters_lock.h"
#include "metrics/registry.h"

/* The file may be replaced between opening and locking it, but not for ever. */
enum { ATTEMPTS_MAX = 100 };

/* Log what is wrong and what to do about it; returns the error. */
static int
fail(int error, const char *path)
{
	static const struct log_advice advices[] = {
	    {-EBUSY, "another pool holds it: stop that one, or give this one a "
		     "file of its own with --metrics-file"},
	    {-ENOSPC, "the disk is full: free some space, or put it elsewhere "
		      "with --metrics-file"},
	    {-EACCES, "permission denied: let this user read and write it and "
		      "its directory, or choose another with --metrics-file"},
	    {-EROFS, "the file system is read-only: choose another place with "
		     "--metrics-file"},
	    {-ENOENT,
		"no such file or directory: make its directory, or choose "
		"another place with --metrics-file"},
	    {-EISDIR, "it is a directory: name a file with --metrics-file"},
	    {-ELOOP, "it is a symbolic link: name the file itself with "
		     "--metrics-file"},
	    {-EINVAL, "it is not a regular file: move it away, or choose "
		      "another with --metrics-file"},
	    {-ESTALE, "another version wrote it: use that version's binary"},
	    {0, NULL},
	};

	return log_failure(error, "open the counter file", path, advices);
}

/* Use the locked file as it is, or put a new one in its place. */
static int
adopt(struct counters *counters, const char *path, int fd, bool is_new,
    unsigned slot_count)
{
	const char *problem = is_new ? NULL : counters_file_validate(fd);
	int error;

	if (is_new)
		return counters_file_replace(
		    counters, path, fd, slot_count, NULL);
	if (problem) {
		error = counters_file_quarantine(path, problem);
		if (!error)
			error = counters_file_replace(
			    counters, path, fd, slot_count, NULL);
		if (!error)
			counters_add(counters_values(counters, SLOT_MASTER),
			    REGISTRY_STORE_RECOVERIES, 1);
		return error;
	}
	error = counters_file_map(counters, fd, PROT_READ | PROT_WRITE);
	if (error)
		return error;
	if (counters_format_matches(counters->map, counters->registry) &&
	    counters->slot_count >= slot_count)
		return 0;
	if (counters->slot_count > slot_count)
		slot_count = counters->slot_count;
	munmap(counters->map, counters->map_size);
	counters->fd = -1; /* the caller's, until a new file takes its place */
	return counters_file_migrate(counters, path, fd, slot_count);
}

int
counters_open(struct counters *counters, const char *path,
    const struct registry *registry, unsigned workers)
{
	bool is_new;
	int fd = counters_lock_take(path, &is_new);
	int error;

	*counters = (struct counters){.registry = registry, .fd = -1};
	if (fd < 0)
		return fail(fd, path);
	error = adopt(counters, path, fd, is_new, SLOT_WORKER + workers);
	if (error && is_new)
		unlink(path);
	if (counters->fd != fd) /* replaced, or failed */
		close(fd);
	if (error)
		return fail(error, path);
	for (unsigned slot = 0; slot < counters->slot_count; slot++) {
		memset((void *)scoreboard_entry(&counters->scoreboard, slot), 0,
		    sizeof(struct scoreboard_entry));
		app_metrics_reset(counters, slot);
	}
	if (exemplars_open(&counters->exemplars, registry->fixed_count,
		counters->slot_count) < 0)
		log_text(LOG_WARNING,
		    "no memory for exemplars: the metrics will have none");
	return 0;
}

/* Nobody holds the file: be its pool, to create or repair it. */
static int
repair(const char *path, const struct registry *registry)
{
	struct counters counters;
	int error = counters_open(&counters, path, registry, 0);

	if (!error)
		counters_close(&counters);
	return error;
}

/* Without a pool, the file still shows the processes of the last one. */
static void
use_empty_scoreboard(struct counters *counters)
{
	static struct scoreboard_entry nobody = {
	    .cpu_usage = -1, .cpu_throttled = -1, .cpu_throttled_share = -1};

	nobody.started = clock_boot();
	counters->scoreboard.entries = (char *)&nobody;
	counters->scoreboard.stride = 0; /* it stands for every slot */
}

int
counters_attach(struct counters *counters, const char *path,
    const struct registry *registry)
{
	*counters = (struct counters){.registry = registry, .fd = -1};
	for (int i = 0; i < ATTEMPTS_MAX; i++) {
		int fd = counters_lock_open_regular(path, O_RDWR);
		int error = fd < 0 ? fd : counters_lock_for_cgi(fd, path);

		if (!error && !counters_lock_is_current(path, fd)) {
			close(fd);
			continue;
		}
		if (!error && !counters_file_validate(fd)) {
			error = counters_file_map(
			    counters, fd, PROT_READ | PROT_WRITE);
			if (error)
				return fail(error, path);
			if (counters_format_matches(counters->map, registry)) {
				counters->own_slot = SLOT_CGI;
				if (!counters_lock_is_held(fd))
					use_empty_scoreboard(counters);
				return 0;
			}
			munmap(counters->map, counters->map_size);
			if (counters_lock_is_held(fd)) {
				close(fd);
				return fail(-ESTALE, path);
			}
		}
		if (fd >= 0)
			close(fd);
		counters->fd = -1;
		if (error && error != -ENOENT)
			return fail(error, path);
		error = repair(path, registry);
		if (error)
			return error;
	}
	return fail(-EBUSY, path);
}

int
counters_read(struct counters *counters, const char *path,
    const struct registry *registry, bool *alive)
{
	int fd = counters_lock_open_regular(path, O_RDONLY);
	const char *problem;
	int error;

	*counters = (struct counters){.registry = registry, .fd = -1};
	if (fd < 0)
		return fail(fd, path);
	problem = counters_file_validate(fd);
	if (problem) {
		close(fd);
		log_text(LOG_ERROR,
		    "cannot read the counter file %s: %s; the next start of "
		    "`" PROGRAM_NAME
		    " serve` moves it aside and begins a fresh one",
		    path, problem);
		return -EBADMSG;
	}
	*alive = counters_lock_is_held(fd);
	error = counters_file_map(counters, fd, PROT_READ);
	if (!error && !counters_format_matches(counters->map, registry)) {
		counters_close(counters);
		return fail(-ESTALE, path);
	}
	return error ? fail(error, path) : 0;
}
