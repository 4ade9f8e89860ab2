#include "metrics/counters_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { ATTEMPTS_MAX = 100, PAUSE_US = 10000 }; /* a second in all */

int
counters_lock_open_regular(const char *path, int flags)
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

bool
counters_lock_is_current(const char *path, int fd)
{
	struct stat named;
	struct stat opened;

	return stat(path, &named) == 0 && fstat(fd, &opened) == 0 &&
	       named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
}

int
counters_lock_take(const char *path, bool *is_new)
{
	for (int i = 0; i < ATTEMPTS_MAX; i++) {
		int fd = counters_lock_open_regular(path, O_RDWR);

		*is_new = fd == -ENOENT;
		if (*is_new)
			fd = counters_lock_open_regular(
			    path, O_RDWR | O_CREAT | O_EXCL);
		if (fd == -EEXIST)
			continue;
		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (counters_lock_is_current(path, fd))
				return fd;
		} else if (errno != EWOULDBLOCK) {
			int error = -errno;

			close(fd);
			return error;
		}
		close(fd);
		usleep(PAUSE_US);
	}
	return -EBUSY;
}

bool
counters_lock_is_held(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return true;
	flock(fd, LOCK_UN);
	return false;
}

/* type: F_RDLCK or F_WRLCK. */
static int
lock_header(int fd, short type, const char *path)
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

int
counters_lock_for_cgi(int fd, const char *path)
{
	return lock_header(fd, F_RDLCK, path);
}

int
counters_lock_against_cgi(int fd, const char *path)
{
	return lock_header(fd, F_WRLCK, path);
}
