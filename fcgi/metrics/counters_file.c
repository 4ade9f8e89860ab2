#include "metrics/counters_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/counters_format.h"
#include "metrics/counters_lock.h"
#include "metrics/counters_migration.h"

enum { NAMES_MAX = 1000 }; /* of files moved aside in one second */

int
counters_file_map(struct counters *counters, int fd, int protection)
{
	struct stat status;
	struct counters_header *header;
	struct counters_layout layout;

	if (fstat(fd, &status) < 0)
		return -errno;
	counters->map_size = (size_t)status.st_size;
	counters->map =
	    mmap(NULL, counters->map_size, protection, MAP_SHARED, fd, 0);
	if (counters->map == MAP_FAILED)
		return -errno;
	header = counters->map;
	layout = counters_format_layout(header);
	counters->fd = fd;
	counters->label_sets =
	    (_Atomic uint64_t *)((char *)counters->map + layout.label_sets);
	counters->slots = (char *)counters->map + layout.slots;
	counters->slot_size = layout.slot_size;
	counters->scoreboard.entries = counters->slots;
	counters->scoreboard.stride = counters->slot_size;
	counters->scoreboard.slot_count = header->slot_count;
	counters->entry_size = header->entry_size;
	counters->slot_count = header->slot_count;
	return 0;
}

const char *
counters_file_validate(int fd)
{
	struct stat status;
	const char *problem;
	void *bytes;

	if (fstat(fd, &status) < 0)
		return strerror(errno);
	if (status.st_size == 0)
		return counters_format_validate(NULL, 0);
	bytes =
	    mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return strerror(errno);
	problem = counters_format_validate(bytes, (size_t)status.st_size);
	munmap(bytes, (size_t)status.st_size);
	return problem;
}

/*
 * Make path.new, hold its lock and map it. Whoever calls this holds the lock
 * of path itself, so nobody else is doing the same.
 */
static int
create(struct counters *counters, const char *path, unsigned slot_count,
    int64_t created, char *new_path, size_t new_path_size)
{
	int fd;
	int error;

	if (snprintf(new_path, new_path_size, "%s.new", path) >=
	    (int)new_path_size)
		return -ENAMETOOLONG;
	if (unlink(new_path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	error =
	    counters_format_write(fd, counters->registry, slot_count, created);
	if (!error && flock(fd, LOCK_EX | LOCK_NB) < 0)
		error = -errno;
	if (!error)
		error = counters_file_map(counters, fd, PROT_READ | PROT_WRITE);
	if (error) {
		unlink(new_path);
		close(fd);
		return error;
	}
	counters_find_value(counters,
	    (unsigned)counters->registry->endpoint_count - 1,
	    (unsigned)counters->registry->method_count - 1, 0);
	return 0;
}

/* Put path.new where path is. */
static int
publish(struct counters *counters, const char *path, const char *new_path)
{
	if (msync(counters->map, counters->map_size, MS_SYNC) == 0 &&
	    rename(new_path, path) == 0)
		return 0;
	int error = -errno;

	unlink(new_path);
	counters_close(counters);
	return error;
}

int
counters_file_quarantine(const char *path, const char *problem)
{
	char aside[PATH_MAX];
	struct tm utc;
	time_t now = time(NULL);
	char stamp[32];

	gmtime_r(&now, &utc);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc);
	for (int i = 0;; i++) {
		snprintf(aside, sizeof(aside), "%s.damaged-%s%s%.0d", path,
		    stamp, i ? "-" : "", i);
		if (link(path, aside) == 0)
			break;
		if (errno != EEXIST || i == NAMES_MAX)
			return -errno;
	}
	LOG(LOG_ERROR, "counter file damaged: moved aside, starting afresh",
	    LOG_STRING("file", path), LOG_STRING("problem", problem),
	    LOG_STRING("moved_to", aside));
	return 0;
}

int
counters_file_replace(struct counters *counters, const char *path, int fd,
    unsigned slot_count, const struct counters *old)
{
	char new_path[PATH_MAX];
	int error = counters_lock_against_cgi(fd, path);
	long dropped;

	if (!error)
		error = create(counters, path, slot_count,
		    old ? counters_created(old) : clock_wall(), new_path,
		    sizeof(new_path));
	if (error)
		return error;
	if (old) {
		char previous[PATH_MAX];

		dropped = counters_migration_carry_over(counters, old);
		if (dropped < 0) {
			unlink(new_path);
			counters_close(counters);
			return (int)dropped;
		}
		/* For a rollback, and for what could not be carried over. */
		snprintf(previous, sizeof(previous), "%s.previous", path);
		unlink(previous);
		if (link(path, previous) < 0)
			LOG(LOG_WARNING, "no copy of the previous counter file",
			    LOG_STRING("error", strerror(errno)));
		LOG(LOG_INFO, "counter file taken over from another version",
		    LOG_STRING("file", path),
		    LOG_NUMBER("series_dropped", dropped),
		    LOG_STRING("previous", previous));
	}
	return publish(counters, path, new_path);
}

int
counters_file_migrate(
    struct counters *counters, const char *path, int fd, unsigned slot_count)
{
	struct counters_names names;
	struct counters old = {0};
	int error = counters_file_map(&old, fd, PROT_READ);

	if (error)
		return error;
	error = counters_format_read_names(&names, old.map);
	if (!error) {
		old.registry = &names.registry;
		error =
		    counters_file_replace(counters, path, fd, slot_count, &old);
		counters_format_free_names(&names);
	}
	munmap(old.map, old.map_size);
	return error;
}
