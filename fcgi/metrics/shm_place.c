/*
 * The pool counts in the file that it has open, wherever that is. What is at
 * the path matters to the next start only.
 */
#include "metrics/shm_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "metrics/registry.h"

static struct {
	const char *path;
	int saved_fd; /* holds the lock of the copy at the path; -1: none */
} watched = {.saved_fd = -1};

static struct store_identity
identity_of(const struct stat *status)
{
	return (struct store_identity){status->st_dev, status->st_ino};
}

static bool
is_same(struct store_identity a, struct store_identity b)
{
	return a.device == b.device && a.inode == b.inode;
}

/* What is at the path; the place as it was where that cannot be told. */
static enum store_where
look(const struct store_place *place)
{
	struct stat status;

	if (lstat(watched.path, &status) < 0)
		return errno == ENOENT || errno == ENOTDIR ? STORE_DELETED
							   : place->where;
	if (is_same(identity_of(&status), place->own))
		return STORE_AT_PATH;
	return place->where == STORE_DELETED &&
		       is_same(identity_of(&status), place->saved)
		   ? STORE_DELETED
		   : STORE_REPLACED;
}

/* The copy's lock is no longer needed. */
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
 * Write the snapshot to a file beside the path, which holds the pool's lock,
 * and put it at the path. Returns its fd or a negative errno.
 */
static int
write_copy(const struct store *copy, struct stat *status)
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

/* Save the counts where the next start looks for them. */
static void
save_copy(struct store_place *place, const struct store *copy)
{
	struct stat status;
	int fd = write_copy(copy, &status);

	if (fd < 0) {
		if (place->save_error != fd)
			log_text(LOG_ERROR,
			    "cannot save the counts at %s: %s; the next start "
			    "begins with none of them until this is mended",
			    watched.path, strerror(-fd));
		place->save_error = fd;
		return;
	}
	place->save_error = 0;
	place->saved = identity_of(&status);
	unlock_copy();
	watched.saved_fd = fd;
}

/* Count what was done to the file, and say it. */
static void
report(struct store *store, enum catalog_cell cell, const char *message)
{
	store_add_shared(store_cells(store, STORE_MASTER), cell, 1);
	LOG(LOG_ERROR, message, LOG_STRING("file", watched.path));
}

static void
report_change(const struct store_place *place, struct store *store)
{
	switch (place->where) {
	case STORE_AT_PATH:
		LOG(LOG_INFO, "counter file is at its path again",
		    LOG_STRING("file", watched.path));
		break;
	case STORE_DELETED:
		report(store, CATALOG_STORE_DELETED,
		    "counter file was deleted: counting goes on, and a copy is "
		    "saved at its path each second for the next start; find "
		    "out what deletes it");
		break;
	case STORE_REPLACED:
		report(store, CATALOG_STORE_REPLACED,
		    "counter file was replaced by another: counting goes on in "
		    "the old one, but the next start uses what is at the path "
		    "now; to keep these counts, delete that, and a copy of "
		    "them is saved in its place");
		break;
	}
}

void
store_place_check(
    struct store_place *place, struct store *store, const struct store *copy)
{
	enum store_where before = place->where;

	place->where = look(place);
	if (place->where != before) {
		place->save_error = 0;
		unlock_copy();
		report_change(place, store);
	}
	if (place->where == STORE_DELETED)
		save_copy(place, copy);
}

int
store_place_open(struct store_place *place, const char *path, int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	watched.path = path;
	*place = (struct store_place){.own = identity_of(&status)};
	return 0;
}

void
store_place_close(void)
{
	unlock_copy();
}
