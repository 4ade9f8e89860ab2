#ifndef METRICS_BUSY_TIME_H
#define METRICS_BUSY_TIME_H

/*
 * The time that workers spend on requests: fcgi_worker_busy_seconds_total.
 *
 * A worker adds the time of a request to its slot when the request ends. A
 * scrape adds the time so far of the requests under way. It must know which of
 * them are counted already, although a worker may count at the same moment, or
 * be killed between any two instructions. So the scoreboard has a key for each
 * request: the value of the slot when the request began, minus the time when it
 * began. While the key matches both, the request is not counted; what has been
 * counted changes the value. There is no lock, and no reader ever waits.
 *
 * The time is that of CLOCK_MONOTONIC. The time for which a worker was stopped
 * during a request counts. The time for which the machine was suspended does
 * not.
 */

#include "base/clock.h"
#include "metrics/counters.h"

/*
 * Where the worker of this slot counts its time; NULL for a slot that is not a
 * worker's. The kind of worker is that in the scoreboard.
 */
_Atomic uint64_t *busy_time_place(
    const struct counters *counters, unsigned slot);

/*
 * The worker of this entry, which counts at `place`, starts on a request. Both
 * times are clock_now(). Without a place nothing is counted.
 */
static inline void
busy_time_begin(
    struct scoreboard_entry *entry, const _Atomic uint64_t *place, int64_t now)
{
	if (place)
		atomic_store_explicit(&entry->busy_key,
		    atomic_load_explicit(place, memory_order_relaxed) -
			(uint64_t)now,
		    memory_order_release);
	atomic_store_explicit(
	    &entry->request_started, now, memory_order_release);
}

/* It has ended the request, or works on others meanwhile. */
static inline void
busy_time_end(
    struct scoreboard_entry *entry, _Atomic uint64_t *place, int64_t now)
{
	if (place)
		counters_add(place, 0,
		    (uint64_t)(now -
			       atomic_load_explicit(&entry->request_started,
				   memory_order_relaxed)));
	atomic_store_explicit(&entry->request_started, 0, memory_order_release);
}

/*
 * The process of this slot has ended: count its request up to now, unless it
 * had done so. Only its parent may call this, before it clears the entry.
 * Calling it again counts nothing.
 */
void busy_time_settle(const struct counters *counters, unsigned slot);

/*
 * Nanoseconds that workers of this kind spent on requests, with those under
 * way if a pool runs; never less than a scrape has shown.
 */
uint64_t busy_time_read(
    const struct counters *counters, enum scoreboard_kind kind, bool is_alive);

/*
 * The same for a scrape of the pool, by the metrics process, in whose slot this
 * notes the time. Clocks are read a moment before a time is counted, so a
 * scrape may show a worker that is just ending a request with a little more
 * than the worker counts. And if the whole pool is killed, nobody counts the
 * requests under way. In both cases a later scrape must not show less.
 */
uint64_t busy_time_show(
    const struct counters *counters, enum scoreboard_kind kind);

/*
 * Restore from a copy what the file lost of the times that were shown. Only the
 * master may call this.
 */
void busy_time_restore(
    const struct counters *counters, const struct counters *copy);

/*
 * A pool begins with this file: count what scrapes have shown of requests that
 * ended with the whole pool before.
 */
void busy_time_open(const struct counters *counters);

#endif
