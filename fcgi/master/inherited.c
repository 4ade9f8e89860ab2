#include "master/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/program.h"

static const char VARIABLE[] = PROGRAM_VARIABLES "INHERITED";

/* --- passing -------------------------------------------------------------- */

int
inherited_pass(const struct inherited *inherited)
{
	char text[256];
	int length = snprintf(text, sizeof(text), "%ld", (long)getpid());

	for (size_t i = 0; i < inherited->count; i++) {
		const struct inherited_socket *socket = &inherited->sockets[i];

		length += snprintf(text + length, sizeof(text) - (size_t)length,
		    " %d:%ju:%ju", socket->fd, (uintmax_t)socket->file.device,
		    (uintmax_t)socket->file.inode);
		fcntl(socket->fd, F_SETFD, 0);
	}
	return setenv(VARIABLE, text, 1) < 0 ? -errno : 0;
}

void
inherited_unpass(const struct inherited *inherited)
{
	unsetenv(VARIABLE);
	for (size_t i = 0; i < inherited->count; i++)
		fcntl(inherited->sockets[i].fd, F_SETFD, FD_CLOEXEC);
}

/* --- reading -------------------------------------------------------------- */

/*
 * A number up to max, and this character behind it. Returns whether they are
 * there; *text is then what follows.
 */
static bool
read_number(const char **text, char end, uintmax_t max, uintmax_t *number)
{
	char *after;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*number = strtoumax(*text, &after, 10);
	if (errno || *number > max || *after != end)
		return false;
	*text = after + (end != '\0');
	return true;
}

static bool
has_option(int fd, int option, int expected)
{
	int value = 0;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 &&
	       value == expected;
}

static bool
read_socket(const char **text, char end, struct inherited_socket *socket)
{
	uintmax_t fd;
	uintmax_t device;
	uintmax_t inode;

	if (!read_number(text, ':', INT_MAX, &fd) ||
	    !read_number(text, ':', UINTMAX_MAX, &device) ||
	    !read_number(text, end, UINTMAX_MAX, &inode))
		return false;
	*socket =
	    (struct inherited_socket){(int)fd, {(dev_t)device, (ino_t)inode}};
	return fd > STDERR_FILENO &&
	       has_option(socket->fd, SO_DOMAIN, AF_UNIX) &&
	       has_option(socket->fd, SO_TYPE, SOCK_STREAM) &&
	       has_option(socket->fd, SO_ACCEPTCONN, 1);
}

/* The text behind the PID. Returns whether all of it is valid. */
static bool
read_sockets(const char *text, struct inherited *inherited)
{
	for (size_t i = 0; i < INHERITED_MAX; i++)
		if (!read_socket(&text, i + 1 < INHERITED_MAX ? ' ' : '\0',
			&inherited->sockets[i]))
			return false;
	inherited->count = INHERITED_MAX;
	return true;
}

/*
 * Close each listening socket that the text names. Otherwise they would keep
 * their paths from the sockets that are opened instead.
 */
static void
close_named(const char *text)
{
	while (text) {
		struct inherited_socket socket;
		const char *word = text;
		const char *last = text;

		if (read_socket(&word, ' ', &socket) ||
		    read_socket(&last, '\0', &socket))
			close(socket.fd);
		text = strchr(text, ' ');
		if (text)
			text++;
	}
}

void
inherited_read(struct inherited *inherited)
{
	const char *variable = getenv(VARIABLE);
	const char *text = variable;
	uintmax_t pid;

	*inherited = (struct inherited){0};
	if (!variable)
		return;
	if (read_number(&text, ' ', INT_MAX, &pid) &&
	    pid == (uintmax_t)getpid()) {
		if (!read_sockets(text, inherited)) {
			log_text(LOG_WARNING,
			    "%s does not name three listening sockets: "
			    "ignored, and those that it names are closed",
			    VARIABLE);
			close_named(text);
		}
		for (size_t i = 0; i < inherited->count; i++)
			fcntl(inherited->sockets[i].fd, F_SETFD, FD_CLOEXEC);
	}
	unsetenv(VARIABLE);
}

/* --- taking --------------------------------------------------------------- */

/* The path that the socket was bound to. */
static void
read_path(int fd, struct sockaddr_un *address)
{
	socklen_t size = sizeof(*address) - 1;

	memset(address, 0, sizeof(*address));
	if (getsockname(fd, (struct sockaddr *)address, &size) < 0)
		address->sun_path[0] = '\0';
}

int
inherited_take(
    struct inherited *inherited, const char *path, struct listener_file *file)
{
	for (size_t i = 0; i < inherited->count; i++) {
		struct inherited_socket *socket = &inherited->sockets[i];
		struct sockaddr_un address;
		int fd = socket->fd;

		if (fd < 0)
			continue;
		read_path(fd, &address);
		if (strcmp(address.sun_path, path) != 0)
			continue;
		*file = socket->file;
		socket->fd = -1;
		return fd;
	}
	return -1;
}

void
inherited_close(struct inherited *inherited)
{
	for (size_t i = 0; i < inherited->count; i++) {
		const struct inherited_socket *socket = &inherited->sockets[i];
		struct sockaddr_un address;

		if (socket->fd < 0)
			continue;
		read_path(socket->fd, &address);
		LOG(LOG_WARNING, "this program listens elsewhere: closed",
		    LOG_STRING("socket", address.sun_path));
		listener_unlink(address.sun_path, socket->file);
		close(socket->fd);
	}
	inherited->count = 0;
}
