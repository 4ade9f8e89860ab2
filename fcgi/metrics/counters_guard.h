#ifndef METRICS_COUNTERS_GUARD_H
#define METRICS_COUNTERS_GUARD_H

#include <stdint.h>

#include "metrics/counters.h"

/*
 * What others do to the counter file while a pool counts in it: truncate it,
 * write over it, delete it, put another file in its place. The pool says so
 * once, counts it in fcgi_webapp_store_incidents_total and goes on counting.
 *
 *   truncated    access to the missing part is a SIGBUS. Its handler gives the
 *                file its size again. The master puts back what was in it.
 *   overwritten  the master puts back what is missing.
 *   deleted      the pool counts in the file that it has open. The master saves
 *                a copy at the file's path each second, for the next start.
 *   replaced     the pool counts in the file that it has open. The other file
 *                stays as it is.
 *
 * One open counter file a process.
 */

/*
 * For a process that opens a counter file: from here on a file that is
 * truncated while the process uses it costs one line on stderr and exit 1.
 */
void counters_guard_exit_on_truncation(void);

/*
 * For the process that opened the file for the pool, before it forks any other.
 * All children are guarded too. It also moves the scoreboard out of the file,
 * so that no process believes a zeroed one; readers of the file find what it
 * was at the last tick. `path` is kept, not copied. Returns 0, or a negative
 * errno, logged.
 */
int counters_guard_install(struct counters *counters, const char *path);

/*
 * For the master, once it has started its children and then ten times a
 * second: notice and put back. It looks at the size each time, and at the
 * contents and at the path once a second. `now` is CLOCK_MONOTONIC in
 * nanoseconds.
 */
void counters_guard_tick(struct counters *counters, int64_t now);

/*
 * For the process that closes the file at the end, after the last child ended:
 * saves the last counts of a file that was deleted.
 */
void counters_guard_finish(struct counters *counters);

/*
 * 0 while counts are missing that the master is about to put back. Else a
 * number that changes with each truncation: sums that were read between two
 * calls with the same result are whole.
 */
uint64_t counters_guard_mark(void);

#endif
