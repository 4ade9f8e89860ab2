#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fcgiapp.h>

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
	char *body;       /* of the current request; owned; NULL: none */
	size_t body_length;

	/* A request of which a part has arrived. */
	struct record_guard guard;
	char *partial; /* the bytes received; owned; NULL: none */
	size_t partial_length;
	size_t validated; /* the bytes of these that are whole, valid records */
};

/*
 * Initialise libfcgi; call it once per process, before the first connection.
 * connections_max is the number of connections that the process serves at once,
 * which a web server may ask for (FCGI_MAX_CONNS). Returns 0 or -ENOMEM.
 */
int connection_init(unsigned connections_max);

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
 * connection_respond() or connection_close().
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
