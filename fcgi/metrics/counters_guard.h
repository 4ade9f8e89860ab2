#ifndef METRICS_COUNTERS_GUARD_H
#define METRICS_COUNTERS_GUARD_H

#include <signal.h>
#include <stdint.h>

#include "metrics/counters.h"

/*
 * Protects the counter file while a pool counts in it, against other programs
 * that truncate it, overwrite it, delete it or replace it. The pool logs each
 * incident once, counts it (STORE_ in metrics.def) and goes on counting.
 *
 *   truncated    Access to the missing part causes SIGBUS. Its handler extends
 *                the file again. The master restores the contents.
 *   overwritten  The master restores what is missing.
 *   deleted      The pool counts in the file that it has open. Each second the
 *                master saves a copy at the path, for the next start.
 *   replaced     The pool counts in the file that it has open. The other file
 *                stays as it is.
 *
 * One open counter file per process.
 */

/*
 * For a process that only reads a counter file, or adds to it beside a pool: if
 * the file is truncated while the process uses it, print one line and exit with
 * status 1.
 */
void counters_guard_exit_on_truncation(void);

/*
 * In this process, call this handler before a bus error ends it: one that is
 * not the counter file's, or for which the disk has no space. NULL: none.
 */
void counters_guard_on_bus_error(
    void (*report)(int number, siginfo_t *info, void *context));

/*
 * Start to protect the file, in the process that opened it for the pool and
 * before it forks; children inherit the protection. The scoreboard moves from
 * the file to memory of its own, so that no process reads a zeroed one. Readers
 * of the file find the scoreboard of the last tick. `path` is kept, not copied.
 * Returns 0, or a negative errno after logging it.
 */
int counters_guard_install(struct counters *counters, const char *path);

/*
 * Detect incidents and restore the file. The master calls it ten times a
 * second. It checks the size each time, and the contents and the path once a
 * second. `now` is CLOCK_MONOTONIC in nanoseconds.
 */
void counters_guard_tick(struct counters *counters, int64_t now);

/*
 * For the process that opened the file, after the last child has exited and
 * before another program opens it: save the last counts of a file that was
 * deleted. This process may go on.
 */
void counters_guard_save(struct counters *counters);

/*
 * For the process that closes the file, after the last child has exited: save
 * the last counts of a file that was deleted.
 */
void counters_guard_finish(struct counters *counters);

/*
 * 0 while counts are missing and the master is about to restore them. Otherwise
 * a number that changes with each truncation: sums that were read between two
 * calls with the same result are complete.
 */
uint64_t counters_guard_mark(void);

#endif
