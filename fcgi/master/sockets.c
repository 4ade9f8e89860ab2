#include "master/sockets.h"

#include <stdio.h>

/* Returns 0, or a negative errno, logged. */
static int
open_socket(struct socket *socket, const char *path, const char *suffix)
{
	char full[SOCKET_PATH_MAX];
	int fd;

	snprintf(full, sizeof(full), "%s%s", path, suffix);
	fd = listener_open(full);
	if (fd < 0)
		return fd;
	socket->fd = fd;
	socket->file = listener_file(full);
	snprintf(socket->path, sizeof(socket->path), "%s", full);
	return 0;
}

int
sockets_open(struct sockets *sockets, const struct options *options)
{
	int error = open_socket(&sockets->nonblocking, options->socket, "");

	if (!error)
		error = open_socket(
		    &sockets->blocking, options->socket, ".blocking");
	if (!error)
		error =
		    open_socket(&sockets->metrics, options->metrics_socket, "");
	return error;
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
sockets_unlink_all(const struct sockets *sockets, bool has_drained)
{
	/* A successor's socket may even have the inode number of ours. */
	if (!has_drained)
		sockets_unlink_workers(sockets);
	unlink_socket(&sockets->metrics);
}
