#ifndef AFFINITY_H
#define AFFINITY_H

/*
 * Connection affinity: which nonblocking worker should own a connection that
 * nginx keeps.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "scoreboard.h"

/*
 * The answers after which a connection is first looked at: it is surely one
 * that is kept then. One that was passed counts on from here, so that it is not
 * soon passed back by a worker that decides otherwise.
 */
enum { AFFINITY_FIRST = 2 };

/* What one worker knows. */
struct affinity {
	const struct scoreboard *scoreboard;
	unsigned slot;          /* its own */
	unsigned worker_count;  /* 0: its connections stay with it */
	size_t connections_max; /* above which a worker is passed none */
};

/*
 * Whether to look at a connection, after so many answers on it: after
 * AFFINITY_FIRST, and then from time to time, so that a worker that was
 * replaced gets its connections again.
 */
bool affinity_is_due(const struct affinity *affinity, unsigned answered);

/*
 * The slot of the worker that should own a connection of this process of nginx
 * (0: unknown, so the connection stays): affinity->slot, or another that takes
 * connections now.
 */
unsigned affinity_find(const struct affinity *affinity, pid_t nginx);

#endif
