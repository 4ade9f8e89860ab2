/*
 * One kept FastCGI connection on libfcgi. This is the only file that uses the
 * fields of an FCGX_Request:
 *
 * - listen_sock is -1. A connection that the web server closes is then an error
 *   instead of a blocking accept().
 * - ipcFd is set here, and keepConnection is 1. Otherwise the FCGX_Finish_r()
 *   inside FCGX_Accept_r() would close the connection.
 * - libfcgi never reads the socket, because FCGX_Accept_r() would block on an
 *   incomplete request. The request is received here and record.c validates
 *   its records. libfcgi reads the complete parameters from memory (libfcgi.h)
 *   and never the body, which body.c keeps.
 */
#include "fastcgi/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/log.h"
#include "fastcgi/libfcgi.h"
#include "fastcgi/management.h"
#include "fastcgi/record.h"

/* The bytes received on the connection that is being read. */
static unsigned char received[RECORD_REQUEST_MAX];

/* The value of FCGI_MAX_CONNS. */
static unsigned connections_allowed;

static size_t (*find_body_max)(char *const *parameters);

int
connection_init(
    unsigned connections_max, size_t (*body_max)(char *const *parameters))
{
	connections_allowed = connections_max;
	find_body_max = body_max;
	return FCGX_Init() == 0 ? 0 : -ENOMEM;
}

static bool
is_trusted(const struct ucred *server)
{
	if (server->uid == 0 || server->uid == geteuid() ||
	    server->gid == getegid())
		return true;
	LOG(LOG_WARNING, "connection refused: the web server is another user",
	    LOG_NUMBER("uid", server->uid),
	    LOG_NUMBER("peer_pid", server->pid));
	return false;
}

int
connection_open(struct connection *connection, int fd)
{
	struct timeval timeout = {.tv_sec = LIBFCGI_SEND_TIMEOUT_SECONDS};
	struct ucred server;
	socklen_t size = sizeof(server);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &server, &size) < 0 ||
	    !is_trusted(&server)) {
		close(fd);
		return -EPERM;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	memset(connection, 0, sizeof(*connection));
	FCGX_InitRequest(&connection->fcgi, -1, 0);
	connection->fcgi.ipcFd = fd;
	connection->fcgi.keepConnection = 1;
	connection->fd = fd;
	return 0;
}

/* Whether libfcgi has read the parameters of a request that is not over. */
static bool
is_accepted(const struct connection *connection)
{
	return connection->fcgi.in != NULL;
}

/* Let libfcgi read the complete parameters. Returns 0 or -EPROTO. */
static int
accept_request(struct connection *connection, size_t size)
{
	libfcgi_set_input(received, size);
	connection->fcgi.keepConnection = 1;
	if (FCGX_Accept_r(&connection->fcgi) < 0)
		return -EPROTO;
	if (!connection->fcgi.keepConnection)
		connection->close_after = true;
	connection->fcgi.keepConnection = 1;
	return 0;
}

/*
 * Receive more of a request, behind the part that has arrived before. Returns
 * the size of both, or what recv(2) returned.
 */
static ssize_t
receive(struct connection *connection)
{
	size_t before = connection->partial_length;
	ssize_t size;

	if (before > 0)
		memcpy(received, connection->partial, before);
	size = recv(connection->fd, received + before,
	    sizeof(received) - before, MSG_DONTWAIT);
	return size > 0 ? (ssize_t)before + size : size;
}

/* Keep these bytes of an incomplete request until the rest arrives. */
static int
keep_partial(struct connection *connection, size_t size)
{
	char *partial = realloc(connection->partial, size + 1); /* never 0 */

	if (!partial)
		return -ENOMEM;
	memcpy(partial, received, size);
	connection->partial = partial;
	connection->partial_length = size;
	return 0;
}

static void
free_partial(struct connection *connection)
{
	free(connection->partial);
	connection->partial = NULL;
	connection->partial_length = 0;
	connection->validated = 0;
	connection->guard = (struct record_guard){0};
}

static void
log_closed(const char *problem)
{
	log_text(LOG_WARNING, "connection closed: %s", problem);
}

/*
 * Answer a record that is not part of a request. Returns NULL, or why the
 * connection must be closed.
 */
static const char *
answer(const struct connection *connection, const unsigned char *record)
{
	unsigned char bytes[MANAGEMENT_ANSWER_MAX];
	size_t size = management_answer(record, connections_allowed, bytes);

	if (size == 0)
		return "GET_VALUES has an invalid length";
	if (send(connection->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    (ssize_t)size)
		return "the web server does not read an answer";
	return NULL;
}

/* Whether this is a BEGIN_REQUEST without the flag FCGI_KEEP_CONN. */
static bool
ends_connection(const unsigned char *begin)
{
	return begin[1] == RECORD_BEGIN_REQUEST &&
	       !(begin[RECORD_HEADER_SIZE + 2] & RECORD_KEEP_CONN);
}

/*
 * Progress in the bytes received: first the records of the request that were
 * validated, then a gap of padding and of records that were removed, then the
 * bytes that are not validated yet.
 */
struct progress {
	size_t kept; /* end of the request's records, without padding */
	size_t at;   /* start of the bytes to validate */
	size_t size; /* end of all bytes */
};

/* Remove padding: libfcgi takes that of an empty record for the next record. */
static void
keep_record(struct progress *progress, size_t length)
{
	unsigned char *record = received + progress->kept;

	if (record != received + progress->at)
		memmove(record, received + progress->at, length);
	record[6] = 0;
	progress->kept += length;
}

/* Take the content of a STDIN record. The first one shows the limit. */
static int
take_body(struct connection *connection, struct progress *progress,
    const unsigned char *record, size_t length)
{
	if (!is_accepted(connection)) {
		char **envp;

		if (accept_request(connection, progress->kept) < 0)
			return -EPROTO;
		progress->kept = 0;
		envp = connection->fcgi.envp;
		body_begin(&connection->body,
		    FCGX_GetParam("CONTENT_LENGTH", envp), find_body_max(envp));
	}
	body_add(&connection->body, record + RECORD_HEADER_SIZE,
	    length - RECORD_HEADER_SIZE);
	return 0;
}

/* Forget an aborted request. Returns whether its connection must be closed. */
static bool
forget_request(struct connection *connection, struct progress *progress)
{
	progress->kept = 0;
	if (!is_accepted(connection))
		return ends_connection(received);
	FCGX_Free(&connection->fcgi, 0);
	body_free(&connection->body);
	return connection->close_after;
}

/*
 * Process the next record. Returns the result of record_validate(), or
 * RECORD_INVALID if the connection must be closed after a valid record.
 * guard.problem says why; NULL: the web server asked for that.
 */
static enum record_status
take_record(struct connection *connection, struct progress *progress)
{
	const unsigned char *record = received + progress->at;
	struct record_guard *guard = &connection->guard;
	enum record_state state = guard->state;
	size_t length;
	size_t next;
	enum record_status status = record_validate(
	    guard, record, progress->size - progress->at, &length, &next);

	if (status == RECORD_PARTIAL || status == RECORD_INVALID)
		return status;
	if (status == RECORD_PART && state != RECORD_IN_STDIN)
		keep_record(progress, length);
	else if (status == RECORD_PART &&
		 take_body(connection, progress, record, length) < 0)
		return RECORD_INVALID;
	if (status == RECORD_ANSWER || status == RECORD_ABORT) {
		guard->problem = answer(connection, record);
		/* A refused or aborted request without KEEP_CONN. */
		if (guard->problem ||
		    (state == RECORD_IDLE && ends_connection(record)) ||
		    (status == RECORD_ABORT &&
			forget_request(connection, progress)))
			return RECORD_INVALID;
	}
	progress->at += next;
	return status;
}

/* The request is complete. */
static enum connection_status
complete(struct connection *connection, const struct progress *progress,
    enum record_status status)
{
	if (progress->at < progress->size) {
		/* libfcgi would lose the rest, so the connection is closed
		 * after the response. */
		log_closed(status == RECORD_INVALID
			       ? connection->guard.problem
			       : "an incomplete record follows a request");
		connection->close_after = true;
	}
	free_partial(connection);
	if (!is_accepted(connection) &&
	    accept_request(connection, progress->kept) < 0)
		return CONNECTION_ENDED;
	return CONNECTION_REQUEST;
}

/* Keep an incomplete request for the next connection_read(). */
static enum connection_status
keep_rest(struct connection *connection, const struct progress *progress)
{
	size_t rest = progress->size - progress->at;

	if (progress->kept + rest == RECORD_REQUEST_MAX) {
		log_closed("the parameters exceed 128 KiB");
		return CONNECTION_ENDED;
	}
	if (rest == 0 && connection->guard.state == RECORD_IDLE) {
		free_partial(connection);
		return CONNECTION_WAITING;
	}
	memmove(received + progress->kept, received + progress->at, rest);
	connection->validated = progress->kept;
	if (keep_partial(connection, progress->kept + rest) == 0)
		return CONNECTION_PARTIAL;
	log_text(LOG_ERROR, "connection closed: out of memory");
	return CONNECTION_ENDED;
}

enum connection_status
connection_read(struct connection *connection)
{
	ssize_t size = receive(connection);
	struct progress progress = {
	    connection->validated, connection->validated, (size_t)size};
	enum record_status status;

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return connection->partial ? CONNECTION_PARTIAL
					   : CONNECTION_WAITING;
	if (size <= 0)
		return CONNECTION_ENDED;
	do
		status = take_record(connection, &progress);
	while (status != RECORD_PARTIAL && status != RECORD_INVALID);
	if (connection->guard.state == RECORD_ENDED)
		return complete(connection, &progress, status);
	if (status == RECORD_PARTIAL)
		return keep_rest(connection, &progress);
	if (connection->guard.problem)
		log_closed(connection->guard.problem);
	return CONNECTION_ENDED;
}

int
connection_respond(struct connection *connection, const char *head,
    size_t head_length, const char *body, size_t body_length)
{
	FCGX_Stream *out = connection->fcgi.out;

	FCGX_PutStr(head, (int)head_length, out);
	FCGX_PutStr(body, (int)body_length, out);
	/* Writes the buffered output and END_REQUEST. */
	FCGX_Finish_r(&connection->fcgi);
	body_free(&connection->body);
	if (connection->fcgi.ipcFd < 0) /* a write failed */
		return -EPIPE;
	return connection->close_after;
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
	body_free(&connection->body);
	free_partial(connection);
	if (connection->fd < 0)
		return;
	FCGX_Free(&connection->fcgi, 0);
	close(connection->fd);
	connection->fcgi.ipcFd = -1;
	connection->fd = -1;
}
