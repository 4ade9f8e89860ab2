/*
 * One kept FastCGI connection on libfcgi. The only file that touches the
 * insides of an FCGX_Request:
 *
 * - listen_sock is -1, so that a peer's close is an error and not a blocking
 *   accept; ipcFd is set by us, with keepConnection = 1, without which the
 *   FCGX_Finish_r() inside FCGX_Accept_r() would close it.
 * - FCGX_Accept_r() blocks on half a request, and blocking descriptors are all
 *   it can do. So the request is received here, record.c judges its records,
 * and libfcgi gets them, whole and without what is between them, through
 *   __wrap_OS_Read(): it never reads the socket.
 */
#include "fastcgi/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "fastcgi/record.h"
#include "base/log.h"
#include "fastcgi/management.h"

enum { SEND_TIMEOUT_SECONDS = 5 };

/* What came on the connection being read; one at a time. */
static unsigned char received[RECORD_REQUEST_MAX];

/* What FCGI_MAX_CONNS is here. */
static unsigned connections_allowed;

/* The whole request that libfcgi is reading, and how much of it is left. */
static struct {
	const unsigned char *at;
	size_t left;
} whole;

/*
 * What libfcgi reads with (the Makefile's WRAPPED): it gets the request that is
 * here already, and then an end. So it saves a system call, and never blocks.
 */
int
__wrap_OS_Read(int fd, char *buffer, size_t size)
{
	(void)fd;
	if (size > whole.left)
		size = whole.left;
	memcpy(buffer, whole.at, size);
	whole.at += size;
	whole.left -= size;
	return (int)size;
}

/*
 * What libfcgi writes with. A signal is no error, but does not make the
 * time-out begin again and again. After an error libfcgi would try the same
 * once more.
 */
int
__wrap_OS_Write(int fd, const char *buffer, size_t size)
{
	int64_t until = 0;
	ssize_t written;

	while ((written = write(fd, buffer, size)) < 0 && errno == EINTR) {
		int64_t now = clock_now();

		if (until == 0)
			until =
			    now + SEND_TIMEOUT_SECONDS * CLOCK_NS_PER_SECOND;
		if (now > until)
			break;
	}
	if (written < 0)
		shutdown(fd, SHUT_RDWR);
	return (int)written;
}

/*
 * What libfcgi closes with: that is for who opened the connection, and its own
 * function would wait up to 2 s for the peer.
 */
int
__wrap_OS_IpcClose(int fd, int shutdown)
{
	(void)fd;
	(void)shutdown;
	return 0;
}

int
connection_init(unsigned connections_max)
{
	connections_allowed = connections_max;
	return FCGX_Init() == 0 ? 0 : -ENOMEM;
}

static bool
is_trusted(const struct ucred *peer)
{
	if (peer->uid == 0 || peer->uid == geteuid() || peer->gid == getegid())
		return true;
	LOG(LOG_WARNING, "connection refused: the peer is another user",
	    LOG_NUMBER("uid", peer->uid), LOG_NUMBER("peer_pid", peer->pid));
	return false;
}

int
connection_open(struct connection *connection, int fd)
{
	struct timeval patience = {.tv_sec = SEND_TIMEOUT_SECONDS};
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    !is_trusted(&peer)) {
		close(fd);
		return -EPERM;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
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

	if (size > 0 && size <= RECORD_REQUEST_MAX) {
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
	if (FCGX_Accept_r(&connection->fcgi) < 0 || read_body(connection) < 0)
		return CONNECTION_ENDED;
	if (!connection->fcgi.keepConnection)
		connection->close_after = true;
	connection->fcgi.keepConnection = 1;
	return CONNECTION_REQUEST;
}

/* What came of a request before, and what has come now. Returns its size. */
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

/* Half a request is kept until the rest comes. */
static int
keep_partial(struct connection *connection, size_t size)
{
	char *partial = realloc(connection->partial, size);

	if (!partial)
		return -ENOMEM;
	memcpy(partial, received, size);
	connection->partial = partial;
	connection->partial_length = size;
	return 0;
}

static void
forget_partial(struct connection *connection)
{
	free(connection->partial);
	connection->partial = NULL;
	connection->partial_length = 0;
	connection->judged = 0;
	connection->guard = (struct record_guard){0};
}

static void
log_closed(const char *problem)
{
	log_text(LOG_WARNING, "connection closed: %s", problem);
}

/* Answer a record that is no part of a request. Returns what is wrong. */
static const char *
answer(const struct connection *connection, const unsigned char *record)
{
	unsigned char bytes[MANAGEMENT_ANSWER_MAX];
	size_t size = management_answer(record, connections_allowed, bytes);

	if (size == 0)
		return "GET_VALUES has a length that lies";
	if (send(connection->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    (ssize_t)size)
		return "the peer does not take an answer";
	return NULL;
}

/* Whether a BEGIN_REQUEST asks for a connection that is closed behind it. */
static bool
ends_connection(const unsigned char *begin)
{
	return begin[1] == RECORD_BEGIN_REQUEST &&
	       !(begin[RECORD_HEADER_SIZE + 2] & RECORD_KEEP_CONN);
}

/* How far the bytes received have been looked at. */
struct progress {
	size_t kept; /* the request's whole records, without padding */
	size_t at;   /* behind them, and behind what was taken out */
	size_t size; /* of all */
};

/* libfcgi takes padding of an empty record for the next one: leave it out. */
static void
keep_record(struct progress *progress, size_t length)
{
	unsigned char *record = received + progress->kept;

	if (record != received + progress->at)
		memmove(record, received + progress->at, length);
	record[6] = 0;
	progress->kept += length;
}

/*
 * Take in the next record. Returns what record.c says of it; RECORD_INVALID
 * also where the connection ends by it: guard.problem says why, NULL where the
 * peer asked for that.
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
	if (status == RECORD_PART || status == RECORD_COMPLETE)
		keep_record(progress, length);
	if (status == RECORD_ANSWER || status == RECORD_ABORT) {
		guard->problem = answer(connection, record);
		/* The flag of a request that is turned away, or aborted. */
		if (guard->problem ||
		    (state == RECORD_IDLE && ends_connection(record)) ||
		    (status == RECORD_ABORT && ends_connection(received)))
			return RECORD_INVALID;
	}
	if (status == RECORD_ABORT)
		progress->kept = 0;
	progress->at += next;
	return status;
}

/* A whole request is here: libfcgi reads it. */
static enum connection_status
accept_whole(struct connection *connection, const struct progress *progress,
    enum record_status status)
{
	if (progress->at < progress->size) {
		/* The peer waits for an answer; libfcgi would lose the rest. */
		log_closed(status == RECORD_INVALID
			       ? connection->guard.problem
			       : "half a record follows a request");
		connection->close_after = true;
	}
	forget_partial(connection);
	whole.at = received;
	whole.left = progress->kept;
	return accept_request(connection);
}

static enum connection_status
keep_rest(struct connection *connection, const struct progress *progress)
{
	size_t rest = progress->size - progress->at;

	if (progress->size == RECORD_REQUEST_MAX) {
		log_closed("a request over the limit of 128 KiB");
		return CONNECTION_ENDED;
	}
	if (progress->kept + rest == 0) {
		forget_partial(connection);
		return CONNECTION_WAITING;
	}
	memmove(received + progress->kept, received + progress->at, rest);
	connection->judged = progress->kept;
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
	    connection->judged, connection->judged, (size_t)size};
	enum record_status status;

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return CONNECTION_WAITING;
	if (size <= 0)
		return CONNECTION_ENDED;
	do
		status = take_record(connection, &progress);
	while (status != RECORD_PARTIAL && status != RECORD_INVALID);
	if (connection->guard.state == RECORD_ENDED)
		return accept_whole(connection, &progress, status);
	if (status == RECORD_PARTIAL)
		return keep_rest(connection, &progress);
	if (connection->guard.problem)
		log_closed(connection->guard.problem);
	return CONNECTION_ENDED;
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
	forget_body(connection);
	forget_partial(connection);
	if (connection->fd < 0)
		return;
	FCGX_Free(&connection->fcgi, 0);
	close(connection->fd);
	connection->fcgi.ipcFd = -1;
	connection->fd = -1;
}
