/*
 * The pool counts in the file that it has open, at whatever path. Only the next
 * start depends on what is at the path.
 */
#include "metrics/counters_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static struct {
	const char *path;
	int saved_fd; /* holds the lock of the copy at the path; -1: none */
} watched = {.saved_fd = -1};

static struct counters_identity
identity_of(const struct stat *status)
{
	return (struct counters_identity){status->st_dev, status->st_ino};
}

static bool
is_same(struct counters_identity a, struct counters_identity b)
{
	return a.device == b.device && a.inode == b.inode;
}

/* What is at the path. If that is not known, nothing has changed. */
static enum counters_where
look(const struct counters_place *place)
{
	struct stat status;

	if (lstat(watched.path, &status) < 0)
		return errno == ENOENT || errno == ENOTDIR ? COUNTERS_DELETED
							   : place->where;
	if (is_same(identity_of(&status), place->own))
		return COUNTERS_AT_PATH;
	return place->where == COUNTERS_DELETED &&
		       is_same(identity_of(&status), place->saved)
		   ? COUNTERS_DELETED
		   : COUNTERS_REPLACED;
}

/* Release the lock of the copy, if there is one. */
static void
unlock_copy(void)
{
	if (watched.saved_fd >= 0)
		close(watched.saved_fd);
	watched.saved_fd = -1;
}

static int
write_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written < 0 ? -errno : -EIO;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

/*
 * Write the copy to a file beside the path, lock it for the pool, and rename it
 * to the path. Returns its fd or a negative errno.
 */
static int
write_copy(const struct counters *copy, struct stat *status)
{
	char beside[PATH_MAX];
	int fd;
	int error;

	if (snprintf(beside, sizeof(beside), "%s.new", watched.path) >=
	    (int)sizeof(beside))
		return -ENAMETOOLONG;
	unlink(beside);
	fd = open(beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	error = write_all(fd, copy->map, copy->map_size);
	if (!error &&
	    (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, status) < 0 ||
		rename(beside, watched.path) < 0))
		error = -errno;
	if (!error)
		return fd;
	unlink(beside);
	close(fd);
	return error;
}

/* Save the counts at the path, where the next start looks for them. */
static void
save_copy(struct counters_place *place, const struct counters *copy)
{
	struct stat status;
	int fd = write_copy(copy, &status);

	if (fd < 0) {
		if (place->save_error != fd)
			log_text(LOG_ERROR,
			    "cannot save the counts at %s: %s; the next start "
			    "begins with none of them until this is repaired",
			    watched.path, strerror(-fd));
		place->save_error = fd;
		return;
	}
	place->save_error = 0;
	place->saved = identity_of(&status);
	unlock_copy();
	watched.saved_fd = fd;
}

void
counters_place_report(
    struct counters *counters, enum registry_value value, const char *message)
{
	counters_add_shared(counters_values(counters, SLOT_MASTER), value, 1);
	LOG(LOG_ERROR, message, LOG_STRING("file", watched.path));
}

static void
report_change(const struct counters_place *place, struct counters *counters)
{
	switch (place->where) {
	case COUNTERS_AT_PATH:
		LOG(LOG_INFO, "counter file is at its path again",
		    LOG_STRING("file", watched.path));
		break;
	case COUNTERS_DELETED:
		counters_place_report(counters, REGISTRY_STORE_DELETED,
		    "counter file was deleted: counting goes on, and a copy is "
		    "saved at its path each second for the next start; find "
		    "out what deletes it");
		break;
	case COUNTERS_REPLACED:
		counters_place_report(counters, REGISTRY_STORE_REPLACED,
		    "counter file was replaced by another: counting goes on in "
		    "the old one, but the next start uses what is at the path "
		    "now; to keep these counts, delete that, and a copy of "
		    "them is saved in its place");
		break;
	}
}

void
counters_place_check(struct counters_place *place, struct counters *counters,
    const struct counters *copy)
{
	enum counters_where before = place->where;

	place->where = look(place);
	if (place->where != before) {
		place->save_error = 0;
		unlock_copy();
		report_change(place, counters);
	}
	if (place->where == COUNTERS_DELETED)
		save_copy(place, copy);
}

int
counters_place_open(struct counters_place *place, const char *path, int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	watched.path = path;
	*place = (struct counters_place){.own = identity_of(&status)};
	return 0;
}

void
counters_place_close(void)
{
	unlock_copy();
}
