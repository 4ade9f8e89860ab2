#include "master/sockets.h"

#include <stdio.h>

#include "master/inherited.h"

/* Returns 0, or a negative errno, logged. */
static int
open_socket(struct socket *socket, struct inherited *inherited,
    const char *path, const char *suffix)
{
	char full[SOCKET_PATH_MAX];
	int fd;

	snprintf(full, sizeof(full), "%s%s", path, suffix);
	fd = inherited_take(inherited, full, &socket->file);
	if (fd < 0) {
		fd = listener_open(full);
		socket->file = listener_file(full);
	}
	if (fd < 0)
		return fd;
	socket->fd = fd;
	snprintf(socket->path, sizeof(socket->path), "%s", full);
	return 0;
}

int
sockets_open(struct sockets *sockets, const struct options *options)
{
	struct inherited inherited;
	int error;

	inherited_read(&inherited);
	error =
	    open_socket(&sockets->nonblocking, &inherited, options->socket, "");
	if (!error)
		error = open_socket(&sockets->blocking, &inherited,
		    options->socket, ".blocking");
	if (!error)
		error = open_socket(
		    &sockets->metrics, &inherited, options->metrics_socket, "");
	inherited_close(&inherited);
	return error;
}

static struct inherited
list(const struct sockets *sockets)
{
	return (struct inherited){
	    3, {
		   {sockets->nonblocking.fd, sockets->nonblocking.file},
		   {sockets->blocking.fd, sockets->blocking.file},
		   {sockets->metrics.fd, sockets->metrics.file},
	       }};
}

int
sockets_pass(const struct sockets *sockets)
{
	struct inherited inherited = list(sockets);

	return inherited_pass(&inherited);
}

void
sockets_unpass(const struct sockets *sockets)
{
	struct inherited inherited = list(sockets);

	inherited_unpass(&inherited);
}

static void
unlink_socket(const struct socket *socket)
{
	if (*socket->path)
		listener_unlink(socket->path, socket->file);
}

void
sockets_unlink_workers(const struct sockets *sockets)
{
	unlink_socket(&sockets->nonblocking);
	unlink_socket(&sockets->blocking);
}

void
sockets_unlink_all(const struct sockets *sockets)
{
	sockets_unlink_workers(sockets);
	unlink_socket(&sockets->metrics);
}
