#ifndef NONBLOCKING_H
#define NONBLOCKING_H

/*
 * The parts of a nonblocking worker. Only nonblocking_worker.c, serve.c,
 * accept.c and drain.c need this.
 */

#include "worker/affinity.h"
#include "worker/conns.h"
#include "worker/worker.h"

struct nonblocking_worker {
	struct worker worker;
	struct events events;
	struct event_source listen_source;
	struct event_source signal_source;
	struct event_source channel_source;
	const struct channel *channel; /* others pass connections by it */
	bool is_listening;
	int64_t listen_at; /* when to listen again; 0: no pause */
	int64_t second_at; /* when to call each_second() next */
	struct affinity affinity;
	struct conns conns;
};

/*
 * serve.c: requests on connections
 */

/* Handle what came on a connection, or may have. It may be dropped by that. */
void serve_receive(struct nonblocking_worker *self, struct conn *conn);

/* Send a delayed response, which is due. */
void serve_resume(struct nonblocking_worker *self, struct conn *conn);

/* Close a connection, whatever is under way on it. */
void serve_drop(struct nonblocking_worker *self, struct conn *conn);

/* Answer what has come on a connection, and close it without a reset. */
void serve_close_gently(struct nonblocking_worker *self, struct conn *conn);

/* Show in the scoreboard how many connections there are. */
void serve_publish_count(const struct nonblocking_worker *self);

/*
 * accept.c: new connections
 */

/*
 * Watch the listening socket, unless the worker drains. Where the kernel has no
 * memory for that, listen_at is when to try again.
 */
void accept_start(struct nonblocking_worker *self);

/* Watch the listening socket no longer. */
void accept_stop(struct nonblocking_worker *self);

/* Accept one connection. Returns whether there may be another. */
bool accept_one(struct nonblocking_worker *self);

/* Take connections that other workers passed, up to some limit a call. */
void accept_passed(struct nonblocking_worker *self);

/*
 * drain.c: leaving
 */

/* Begin to drain when that leaves nobody without an answer. */
void drain_begin(struct nonblocking_worker *self);

/* Close what is idle, after a while; end the life when nothing is left. */
void drain_step(struct nonblocking_worker *self);

/* When drain_step() has to do something, CLOCK_MONOTONIC ns; INT64_MAX. */
int64_t drain_due(const struct nonblocking_worker *self);

#endif
