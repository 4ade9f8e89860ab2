#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fcgiapp.h>

#include "fastcgi/record.h"

enum connection_status {
	CONNECTION_WAITING, /* nothing of a request has come */
	CONNECTION_PARTIAL, /* a request has begun to come */
	CONNECTION_REQUEST, /* a request is here, environment and body read */
	CONNECTION_ENDED    /* by the peer, or by what it sent: to be closed */
};

/*
 * One FastCGI connection that nginx keeps, and the request on it. Whoever
 * opened it closes it; nothing else here does.
 */
struct connection {
	FCGX_Request fcgi;
	int fd; /* -1: closed */
	bool close_after;
	char *body; /* of the request at hand; owned, or NULL */
	size_t body_length;
	struct record_guard guard; /* of a request that has begun to come */
	char *partial;             /* what has come of it; owned, or NULL */
	size_t partial_length;
	size_t judged; /* of that: its whole records */
};

/*
 * Once per process, before the first connection. connections_max: how many the
 * process serves at once, for who asks (FCGI_MAX_CONNS). Returns 0 or -errno.
 */
int connection_init(unsigned connections_max);

/*
 * Take over a connection that was accepted. Returns 0; -EPERM, the fd closed,
 * where the peer is another user and neither root nor of our group.
 */
int connection_open(struct connection *connection, int fd);

/*
 * Look at what has come; never blocks. What is no part of a request is answered
 * (management.h). For CONNECTION_REQUEST the environment
 * is in connection->fcgi.envp and the body in connection->body until
 * connection_respond() or connection_close().
 */
enum connection_status connection_read(struct connection *connection);

/*
 * Hand over a response: the head (CGI headers and an empty line), then the
 * body. Returns 0 where the connection is kept for another request, 1 where it
 * is to be closed, or a negative errno where the peer did not take the response
 * (to be closed too).
 */
int connection_respond(struct connection *connection, const char *head,
    size_t head_length, const char *body, size_t body_length);

/*
 * Refuse what the peer has not sent yet; what it has sent can still be read
 * and answered. Without this, closing could reset a request on its way.
 */
void connection_stop_reading(struct connection *connection);

/* Close at once, whatever is under way. Safe to call twice. */
void connection_close(struct connection *connection);

#endif
