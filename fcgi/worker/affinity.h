#ifndef AFFINITY_H
#define AFFINITY_H

/*
 * Which worker is to have a connection that nginx keeps.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "metrics/counters.h"

/*
 * The answers after which a connection is first looked at: it is surely one
 * that is kept then. One that was given counts on from here, so that it is not
 * soon given back by a worker that judges otherwise.
 */
enum { AFFINITY_FIRST = 2 };

/* What one worker knows; it fills in all but slow_ns, which begins at 0. */
struct affinity {
	const struct counters *counters;
	unsigned slot;          /* its own */
	unsigned worker_count;  /* 0: its connections stay with it */
	size_t connections_max; /* that any worker may be given */
	int64_t slow_ns;        /* nine in ten requests take no longer */
};

/* Take note of what a request took, in ns. */
void affinity_note(struct affinity *affinity, int64_t duration_ns);

/*
 * Whether to look at a connection, after so many answers on it: after
 * AFFINITY_FIRST, and then from time to time.
 */
bool affinity_is_due(const struct affinity *affinity, unsigned answered);

/*
 * The slot of the worker that is to have a connection of this process of nginx
 * (0: it is not known which): affinity->slot, or another to which it can be
 * given now.
 */
unsigned affinity_find(const struct affinity *affinity, pid_t nginx);

/*
 * The slot of the worker that is to have the connections of one that is stuck;
 * its own, affinity->slot, where there is none. For signal handlers too.
 */
unsigned affinity_find_other(const struct affinity *affinity);

#endif
