#ifndef PLACEMENT_H
#define PLACEMENT_H

/*
 * Which worker is to have a connection that nginx keeps.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "metrics/shm.h"

/*
 * The answers after which a connection is first looked at: it is surely one
 * that is kept then. One that was given counts on from here, so that it is not
 * soon given back by a worker that judges otherwise.
 */
enum { PLACEMENT_FIRST = 2 };

/* What one worker knows; it fills in all but slow_ns, which begins at 0. */
struct placement {
	const struct store *store;
	unsigned slot;          /* its own */
	unsigned worker_count;  /* 0: its connections stay with it */
	size_t connections_max; /* that any worker may be given */
	int64_t slow_ns;        /* nine in ten requests take no longer */
};

/* Take note of what a request took, in ns. */
void placement_note(struct placement *placement, int64_t duration_ns);

/*
 * Whether to look at a connection, after so many answers on it: after
 * PLACEMENT_FIRST, and then from time to time.
 */
bool placement_is_due(const struct placement *placement, unsigned answered);

/*
 * The slot of the worker that is to have a connection of this process of nginx
 * (0: it is not known which): placement->slot, or another to which it can be
 * given now.
 */
unsigned placement_find(const struct placement *placement, pid_t nginx);

/*
 * The slot of the worker that is to have the connections of one that is stuck;
 * its own, placement->slot, where there is none. For signal handlers too.
 */
unsigned placement_find_other(const struct placement *placement);

#endif
