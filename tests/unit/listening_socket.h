#ifndef LISTENING_SOCKET_H
#define LISTENING_SOCKET_H

/*
 * A listening Unix socket of a test, and its clients.
 */

#include "support.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "master/listener.h"

static char path[PATH_MAX];

static int
set_up(void **state)
{
	snprintf(path, sizeof(path), "%s", support_path("app.sock"));
	return support_clear(state);
}

/* A client's connection, or -1. */
static int
connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(name) < sizeof(address.sun_path));
	strcpy(address.sun_path, name);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

#endif
