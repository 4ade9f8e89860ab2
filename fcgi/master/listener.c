/*
 * The sockets that nginx connects to. FCGX_OpenSocket() of libfcgi is not used:
 * it unlinks any file at the path, takes a path with a colon for a TCP port,
 * and exits on errors.
 */
#include "master/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

enum { BACKLOG = 4096 }; /* the kernel's limit is net.core.somaxconn */

/* Remove the socket file of a dead process. Returns 0 or a negative errno. */
static int
clear(const struct sockaddr_un *address)
{
	struct stat status;
	int fd;
	int error = 0;

	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) ==
		0 ||
	    errno == EAGAIN)
		error = -EADDRINUSE;
	else if (errno != ECONNREFUSED)
		error = -errno;
	close(fd);
	if (!error && unlink(address->sun_path) < 0 && errno != ENOENT)
		error = -errno;
	return error;
}

static int
bind_and_listen(int fd, const struct sockaddr_un *address)
{
	mode_t mask = umask(0117); /* mode 0660 from the start */
	int result =
	    bind(fd, (const struct sockaddr *)address, sizeof(*address));
	int error = result < 0 ? -errno : 0;

	umask(mask);
	if (!error && listen(fd, BACKLOG) < 0)
		error = -errno;
	return error;
}

static int
fail(int error, const char *path)
{
	static const struct log_advice advices[] = {
	    {-EADDRINUSE, "another process listens there: stop it, or choose "
			  "another path"},
	    {-EEXIST, "there is a file that is not a socket: move it away, or "
		      "choose another path"},
	    {-ENOENT, "its directory does not exist: make it, or choose "
		      "another path"},
	    {-EACCES, "permission denied: let this user write its directory, "
		      "or choose another path"},
	    {-ENAMETOOLONG, "a unix socket's path has at most 107 bytes: "
			    "choose a shorter one"},
	    {0, NULL},
	};

	return log_failure(error, "listen on", path, advices);
}

int
listener_open(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int error;
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return fail(-ENAMETOOLONG, path);
	strcpy(address.sun_path, path);
	error = clear(&address);
	if (error)
		return fail(error, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(-errno, path);
	error = bind_and_listen(fd, &address);
	if (error) {
		close(fd);
		return fail(error, path);
	}
	return fd;
}

struct listener_file
listener_file(const char *path)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return (struct listener_file){0};
	return (struct listener_file){status.st_dev, status.st_ino};
}

void
listener_unlink(const char *path, struct listener_file file)
{
	struct listener_file found = listener_file(path);

	if (file.inode != 0 && found.device == file.device &&
	    found.inode == file.inode)
		unlink(path);
}

uint32_t
listener_inode(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 ? (uint32_t)status.st_ino : 0;
}
