/*
 * One kept FastCGI connection on libfcgi. The only file that touches the
 * insides of an FCGX_Request:
 *
 * - listen_sock is -1, so that a peer's close is an error and not a blocking
 *   accept; ipcFd is set by us, with keepConnection = 1, without which the
 *   FCGX_Finish_r() inside FCGX_Accept_r() would close it.
 * - FCGX_Accept_r() is called only when a whole request is in the socket: it
 *   blocks on half of one, and blocking descriptors are all it can do. So that
 *   is found out by peeking, and frame.c judges what was peeked.
 */
#include "connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "frame.h"
#include "log.h"

enum { SEND_TIMEOUT_SECONDS = 5 };

/* What is in the socket of the connection being read; one at a time. */
static unsigned char peeked[CONNECTION_REQUEST_MAX];

int
connection_init(void)
{
	return FCGX_Init() == 0 ? 0 : -ENOMEM;
}

static bool
peer_is_trusted(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid() || peer.gid == getegid())
		return true;
	LOG(LOG_WARNING, "connection refused: the peer is another user",
	    LOG_NUMBER("uid", peer.uid), LOG_NUMBER("peer_pid", peer.pid));
	return false;
}

int
connection_open(struct connection *connection, int fd)
{
	struct timeval patience = {.tv_sec = SEND_TIMEOUT_SECONDS};

	if (!peer_is_trusted(fd)) {
		close(fd);
		return -EPERM;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	memset(connection, 0, sizeof(*connection));
	FCGX_InitRequest(&connection->fcgi, -1, 0);
	connection->fcgi.ipcFd = fd;
	connection->fcgi.keepConnection = 1;
	connection->fd = fd;
	return 0;
}

/* All of the body is in the socket, so this does not block. */
static int
read_body(struct connection *connection)
{
	const char *length =
	    FCGX_GetParam("CONTENT_LENGTH", connection->fcgi.envp);
	unsigned long size = length ? strtoul(length, NULL, 10) : 0;
	char rest[512];

	if (size > 0 && size <= CONNECTION_REQUEST_MAX) {
		connection->body = malloc(size + 1);
		if (!connection->body)
			return -ENOMEM;
		connection->body_length = (size_t)FCGX_GetStr(
		    connection->body, (int)size, connection->fcgi.in);
		connection->body[connection->body_length] = '\0';
	}
	/* To the end of the stream: what stays would be the next request. */
	while (FCGX_GetStr(rest, sizeof(rest), connection->fcgi.in) > 0)
		;
	return FCGX_GetError(connection->fcgi.in) ? -EPROTO : 0;
}

static enum connection_status
accept_request(struct connection *connection)
{
	connection->fcgi.keepConnection = 1;
	if (FCGX_Accept_r(&connection->fcgi) < 0 || read_body(connection) < 0) {
		connection_close(connection);
		return CONNECTION_CLOSED;
	}
	/* Closing is ours: libfcgi's would wait up to 2 s for the peer. */
	if (!connection->fcgi.keepConnection)
		connection->close_after = true;
	connection->fcgi.keepConnection = 1;
	return CONNECTION_REQUEST;
}

enum connection_status
connection_read(struct connection *connection)
{
	ssize_t size = recv(
	    connection->fd, peeked, sizeof(peeked), MSG_PEEK | MSG_DONTWAIT);
	size_t length;

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return CONNECTION_WAITING;
	if (size > 0)
		switch (frame_measure(peeked, (size_t)size, &length)) {
		case FRAME_COMPLETE:
			/* nginx waits for an answer; libfcgi would lose it. */
			if (length < (size_t)size)
				connection->close_after = true;
			return accept_request(connection);
		case FRAME_PARTIAL:
			if (size < CONNECTION_REQUEST_MAX)
				return CONNECTION_PARTIAL;
			break;
		case FRAME_INVALID:
			break;
		}
	if (size > 0)
		log_text(LOG_WARNING,
		    "connection closed: the peer sent what nginx never sends");
	connection_close(connection);
	return CONNECTION_CLOSED;
}

static void
forget_body(struct connection *connection)
{
	free(connection->body);
	connection->body = NULL;
	connection->body_length = 0;
}

int
connection_respond(struct connection *connection, const char *head,
    size_t head_length, const char *body, size_t body_length)
{
	FCGX_Stream *out = connection->fcgi.out;

	FCGX_PutStr(head, (int)head_length, out);
	FCGX_PutStr(body, (int)body_length, out);
	/* Writes what is left and END_REQUEST, all in one for a short answer.
	 */
	FCGX_Finish_r(&connection->fcgi);
	forget_body(connection);
	if (connection->fcgi.ipcFd < 0) { /* closed: a write failed */
		connection->fd = -1;
		return -EPIPE;
	}
	if (!connection->close_after)
		return 0;
	connection_close(connection);
	return 1;
}

void
connection_stop_reading(struct connection *connection)
{
	shutdown(connection->fd, SHUT_RD);
	connection->close_after = true;
}

void
connection_close(struct connection *connection)
{
	forget_body(connection);
	if (connection->fd < 0)
		return;
	/* FCGX_Free() with close would wait for the peer (OS_IpcClose). */
	FCGX_Free(&connection->fcgi, 0);
	close(connection->fd);
	connection->fcgi.ipcFd = -1;
	connection->fd = -1;
}
