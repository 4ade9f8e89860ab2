#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fcgiapp.h>

#include "fastcgi/body.h"
#include "fastcgi/record.h"

enum connection_status {
	CONNECTION_WAITING, /* no part of a request has arrived */
	CONNECTION_PARTIAL, /* a part of a request has arrived */
	CONNECTION_REQUEST, /* a request is complete and has been read */
	CONNECTION_ENDED    /* closed by the web server, or invalid: close it */
};

/*
 * One FastCGI connection from the web server, and the request on it. The caller
 * of connection_open() owns it and closes it with connection_close(); no other
 * function closes it.
 */
struct connection {
	FCGX_Request fcgi;
	int fd;           /* -1: closed */
	bool close_after; /* close it after the current response */
	struct body body; /* of the current request */

	/* A request of which a part has arrived. */
	struct record_guard guard;
	char *partial; /* the bytes to keep; owned; NULL: none */
	size_t partial_length;
	size_t validated; /* the bytes of these that are whole, valid records */
};

/*
 * Initialise libfcgi; call it once per process, before the first connection.
 * connections_max is the number of connections that the process serves at once,
 * which a web server may ask for (FCGI_MAX_CONNS). body_max returns the limit
 * for the body of a request in bytes, from the request's parameters
 * ("NAME=value", terminated by NULL). It is called for requests that have a
 * body. Returns 0 or -ENOMEM.
 */
int connection_init(
    unsigned connections_max, size_t (*body_max)(char *const *parameters));

/*
 * Initialise a connection with an accepted descriptor, which it owns from here
 * on. Returns 0. Returns -EPERM and closes the descriptor if the web server
 * runs as another user, unless that is root or in our group.
 */
int connection_open(struct connection *connection, int fd);

/*
 * Read what has arrived; never blocks. Records that belong to no request are
 * answered (management.h). If the result is CONNECTION_REQUEST, the environment
 * is in connection->fcgi.envp and the body in connection->body, both until
 * connection_respond() or connection_close(). A body that was refused
 * (body->refusal) has been read and discarded: some web servers fail if it is
 * not read.
 *
 * A connection holds at most RECORD_REQUEST_MAX bytes of a request that is
 * incomplete, and its body (body.h).
 */
enum connection_status connection_read(struct connection *connection);

/*
 * Send a response: the head (CGI headers and an empty line), then the body.
 * Blocks for at most 5 s while the web server does not read. Returns 0 if the
 * connection stays open for another request, 1 if the caller must close it, or
 * -EPIPE if the response could not be sent (the caller must close it, too).
 */
int connection_respond(struct connection *connection, const char *head,
    size_t head_length, const char *body, size_t body_length);

/*
 * Stop receiving. Requests that have arrived can still be read and answered;
 * the web server gets an error for later ones and sends them over a new
 * connection. Call it before connection_close(), which would reset a request
 * that arrives at that moment.
 */
void connection_stop_reading(struct connection *connection);

/* Close the connection and free its request. Safe to call twice. */
void connection_close(struct connection *connection);

#endif
