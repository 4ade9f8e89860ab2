#ifndef CONNS_H
#define CONNS_H

/*
 * The connections of one nonblocking worker, by state:
 *
 *   FREE --open--> IDLE <----> PARTIAL   half a request has come
 *                   ^ '------> DELAYED   a response is to be sent later
 *                   '------------'
 *   any --close--> FREE
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "fastcgi/connection.h"
#include "worker/events.h"
#include "worker/exchange.h"

enum conn_state { CONN_FREE, CONN_IDLE, CONN_PARTIAL, CONN_DELAYED };

enum { CONN_STATES = CONN_DELAYED + 1 };

struct conn {
	struct event_source source; /* first, so that it leads to the conn */
	struct connection connection;
	struct exchange exchange; /* under way, or the last one */
	enum conn_state state;
	int64_t due;       /* IDLE: since when; PARTIAL, DELAYED: when to act */
	unsigned answered; /* requests; goes on where it was passed */
	TAILQ_ENTRY(conn) entry;
};

TAILQ_HEAD(conn_list, conn);

struct conns {
	struct conn *all;
	size_t max;
	size_t used;  /* of all; the memory of the others was never touched */
	size_t count; /* that are not free */
	struct conn_list lists[CONN_STATES]; /* each sorted by due */
};

/* Returns 0 or -ENOMEM. The process keeps them until it ends. */
int conns_open(struct conns *conns, size_t max);

/* A free one, which stays free until conns_change(); NULL: all are in use. */
struct conn *conns_find_free(struct conns *conns);

/* The one in this state that is due first; NULL: none. */
struct conn *conns_first(const struct conns *conns, enum conn_state state);

/*
 * Go to another state. The change must be one of those above; the caller has
 * closed the connection of one that gets FREE.
 */
void conns_change(
    struct conns *conns, struct conn *conn, enum conn_state state, int64_t due);

#endif
