/*
 * The counter file: how it is found, locked, made and mended. Its bytes are
 * counters_format's, the counts of another version counters_migration's, and
 * adding to it is in the header: it takes none of this.
 *
 * Two locks. The pool holds flock(LOCK_EX) on the file; every process of the
 * pool inherits it, so that a new pool waits until the last of an old one is
 * gone. CGI processes, which come and go beside a pool, hold an open-file lock
 * (F_OFD_SETLK) shared while they count; whoever replaces the file takes it
 * exclusively, so that no count goes into a file that was just replaced.
 */
#include "metrics/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "metrics/registry.h"
#include "metrics/counters_format.h"
#include "metrics/counters_migration.h"

enum {
	LOCK_WAIT = 100,  /* times 10 ms */
	NAMES_MAX = 1000, /* of files moved aside in one second */
};

size_t
counters_find_value(struct counters *counters, unsigned endpoint,
    unsigned method, unsigned code)
{
	const struct registry *registry = counters->registry;
	uint64_t packed =
	    counters_format_pack_label_set(endpoint, method, code);
	size_t mask = registry->label_set_capacity - 1;
	size_t at = (size_t)((packed >> 24) * 0x9e3779b97f4a7c15u >> 32) & mask;

	for (size_t step = 0; step <= mask; step++, at = (at + 1) & mask) {
		uint64_t found = atomic_load_explicit(
		    &counters->label_sets[at], memory_order_relaxed);

		if (found == 0 &&
		    atomic_compare_exchange_strong(
			&counters->label_sets[at], &found, packed))
			found = packed;
		if (found == packed)
			return registry->fixed_count + at;
	}
	/* Full. This label set is made with the file, so this ends. */
	return counters_find_value(counters,
	    (unsigned)registry->endpoint_count - 1,
	    (unsigned)registry->method_count - 1, 0);
}

static int
compare_label_sets(const void *a, const void *b)
{
	const struct counters_label_set *x = a;
	const struct counters_label_set *y = b;

	if (x->endpoint != y->endpoint)
		return x->endpoint < y->endpoint ? -1 : 1;
	if (x->method != y->method)
		return x->method < y->method ? -1 : 1;
	return (x->code > y->code) - (x->code < y->code);
}

size_t
counters_list_label_sets(
    const struct counters *counters, struct counters_label_set *label_sets)
{
	size_t count = 0;

	for (size_t i = 0; i < counters->registry->label_set_capacity; i++) {
		uint64_t packed = atomic_load_explicit(
		    &counters->label_sets[i], memory_order_relaxed);

		if (packed != 0 && counters_format_label_set_is_sound(
				       packed, counters->registry))
			label_sets[count++] = counters_format_unpack_label_set(
			    packed, counters->registry->fixed_count + i);
	}
	qsort(label_sets, count, sizeof(*label_sets), compare_label_sets);
	return count;
}

uint64_t
counters_sum(const struct counters *counters, size_t index)
{
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < counters->slot_count; slot++)
		sum += atomic_load_explicit(
		    &counters_values(counters, slot)[index],
		    memory_order_relaxed);
	return sum;
}

uint64_t
counters_sum_requests(const struct counters *counters)
{
	const struct registry *registry = counters->registry;
	uint64_t sum = 0;

	for (size_t i = 0; i < registry->label_set_capacity; i++)
		if (counters->label_sets[i])
			sum +=
			    counters_sum(counters, registry->fixed_count + i);
	return sum;
}

/* --- making and mapping ------------------------------------------------ */

/* Map an open file whose bytes are sound; fills in store but its registry. */
static int
map_file(struct counters *counters, int fd, int protection)
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
	counters->state_size = header->state_size;
	counters->slot_count = header->slot_count;
	return 0;
}

/*
 * Make path.new, hold its lock and map it. Whoever calls this holds the lock
 * of path itself, so nobody else is doing the same.
 */
static int
make_fresh(struct counters *counters, const char *path, unsigned slot_count,
    char *new_path, size_t new_path_size)
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
	error = counters_format_write(fd, counters->registry, slot_count);
	if (!error && flock(fd, LOCK_EX | LOCK_NB) < 0)
		error = -errno;
	if (!error)
		error = map_file(counters, fd, PROT_READ | PROT_WRITE);
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

/* --- opening ----------------------------------------------------------- */

/* Say what is wrong and what to do; returns error. */
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

/* Open a path that must be a regular file. Returns the fd. */
static int
open_regular(const char *path, int flags)
{
	struct stat status;
	int fd;

	/* Never waits for the other end of a FIFO. */
	fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
	if (fd < 0) {
		if (errno == ENXIO)
			return -EINVAL; /* a FIFO or a socket */
		return -errno;
	}
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(fd);
		return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	}
	return fd;
}

/* Whether the path still leads to the open file: it may have been replaced. */
static bool
is_current(const char *path, int fd)
{
	struct stat named;
	struct stat opened;

	return stat(path, &named) == 0 && fstat(fd, &opened) == 0 &&
	       named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
}

/*
 * Take the pool's lock, waiting a second for the processes of a pool that was
 * just killed. Returns the fd, or a negative errno; *is_new tells whether the
 * file was made by this call.
 */
static int
open_locked(const char *path, bool *is_new)
{
	for (int i = 0; i < LOCK_WAIT; i++) {
		int fd = open_regular(path, O_RDWR);

		*is_new = fd == -ENOENT;
		if (*is_new)
			fd = open_regular(path, O_RDWR | O_CREAT | O_EXCL);
		if (fd == -EEXIST)
			continue;
		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (is_current(path, fd))
				return fd;
		} else if (errno != EWOULDBLOCK) {
			int error = -errno;

			close(fd);
			return error;
		}
		close(fd);
		usleep(10000);
	}
	return -EBUSY;
}

/* The header lock that CGI processes share. type: F_RDLCK or F_WRLCK. */
static int
lock_layout(int fd, short type, const char *path)
{
	struct flock lock = {
	    .l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (type == F_WRLCK)
		log_text(LOG_WARNING,
		    "waiting for CGI processes that count in %s", path);
	return fcntl(fd, F_OFD_SETLKW, &lock) < 0 ? -errno : 0;
}

/* Move a damaged file aside under a name that no other has. */
static int
quarantine(const char *path, const char *problem)
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

/* Replace the file at path by a fresh one, with the counts of old if given. */
static int
replace(struct counters *counters, const char *path, int fd,
    unsigned slot_count, const struct counters *old)
{
	char new_path[PATH_MAX];
	int error = lock_layout(fd, F_WRLCK, path);
	long dropped;

	if (!error)
		error = make_fresh(
		    counters, path, slot_count, new_path, sizeof(new_path));
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

/* Take over what another version, or a pool with fewer workers, wrote. */
static int
migrate(
    struct counters *counters, const char *path, int fd, unsigned slot_count)
{
	struct counters_names names;
	struct counters old = {0};
	int error = map_file(&old, fd, PROT_READ);

	if (error)
		return error;
	error = counters_format_read_names(&names, old.map);
	if (!error) {
		old.registry = &names.registry;
		error = replace(counters, path, fd, slot_count, &old);
		counters_format_free_names(&names);
	}
	munmap(old.map, old.map_size);
	return error;
}

/* Read a whole file to judge it; nothing maps bytes that are not sound. */
static const char *
validate_file(int fd)
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

/* Make the locked, current file at path ours: as it is, mended or replaced. */
static int
adopt(struct counters *counters, const char *path, int fd, bool is_new,
    unsigned slot_count)
{
	const char *problem = is_new ? NULL : validate_file(fd);
	int error;

	if (is_new)
		return replace(counters, path, fd, slot_count, NULL);
	if (problem) {
		error = quarantine(path, problem);
		if (!error)
			error = replace(counters, path, fd, slot_count, NULL);
		if (!error)
			counters_add(counters_values(counters, SLOT_MASTER),
			    REGISTRY_STORE_RECOVERIES, 1);
		return error;
	}
	error = map_file(counters, fd, PROT_READ | PROT_WRITE);
	if (error)
		return error;
	if (counters_format_matches(counters->map, counters->registry) &&
	    counters->slot_count >= slot_count)
		return 0;
	if (counters->slot_count > slot_count)
		slot_count = counters->slot_count;
	munmap(counters->map, counters->map_size);
	counters->fd = -1; /* the caller's, until a new file takes its place */
	return migrate(counters, path, fd, slot_count);
}

int
counters_open(struct counters *counters, const char *path,
    const struct registry *registry, unsigned workers)
{
	bool is_new;
	int fd = open_locked(path, &is_new);
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
	counters->is_owner = true;
	for (unsigned slot = 0; slot < counters->slot_count; slot++)
		memset((void *)scoreboard_entry(&counters->scoreboard, slot), 0,
		    sizeof(struct scoreboard_entry));
	return 0;
}

/* Nobody holds the file: be the pool for a moment, to make or mend it. */
static int
mend(const char *path, const struct registry *registry)
{
	struct counters counters;
	int error = counters_open(&counters, path, registry, 0);

	if (!error)
		counters_close(&counters);
	return error;
}

/* Whether a pool holds the lock of this open file. */
static bool
is_held(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return true;
	flock(fd, LOCK_UN);
	return false;
}

int
counters_attach(struct counters *counters, const char *path,
    const struct registry *registry)
{
	*counters = (struct counters){.registry = registry, .fd = -1};
	for (int i = 0; i < LOCK_WAIT; i++) {
		int fd = open_regular(path, O_RDWR);
		int error = fd < 0 ? fd : lock_layout(fd, F_RDLCK, path);

		if (!error && !is_current(path, fd)) {
			close(fd);
			continue;
		}
		if (!error && !validate_file(fd)) {
			error = map_file(counters, fd, PROT_READ | PROT_WRITE);
			if (error)
				return fail(error, path);
			if (counters_format_matches(counters->map, registry))
				return 0;
			munmap(counters->map, counters->map_size);
			if (is_held(fd)) {
				close(fd);
				return fail(-ESTALE, path);
			}
		}
		if (fd >= 0)
			close(fd);
		counters->fd = -1;
		if (error && error != -ENOENT)
			return fail(error, path);
		error = mend(path, registry);
		if (error)
			return error;
	}
	return fail(-EBUSY, path);
}

int
counters_read(struct counters *counters, const char *path,
    const struct registry *registry, bool *alive)
{
	int fd = open_regular(path, O_RDONLY);
	const char *problem;
	int error;

	*counters = (struct counters){.registry = registry, .fd = -1};
	if (fd < 0)
		return fail(fd, path);
	problem = validate_file(fd);
	if (problem) {
		close(fd);
		log_text(LOG_ERROR,
		    "cannot read the counter file %s: %s; the next start of "
		    "`fcgi-webapp serve` moves it aside and begins a fresh one",
		    path, problem);
		return -EBADMSG;
	}
	*alive = is_held(fd);
	error = map_file(counters, fd, PROT_READ);
	if (!error && !counters_format_matches(counters->map, registry)) {
		counters_close(counters);
		return fail(-ESTALE, path);
	}
	return error ? fail(error, path) : 0;
}

void
counters_close(struct counters *counters)
{
	if (counters->fd < 0)
		return;
	munmap(counters->map, counters->map_size);
	close(counters->fd);
	counters->fd = -1;
}
