#ifndef METRICS_COUNTERS_SNAPSHOT_H
#define METRICS_COUNTERS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "metrics/counters.h"

/*
 * A copy of a counter file's bytes in shared anonymous memory, and how counts
 * that the file lost are put back from it. The copy is a struct counters of its
 * own: counters_values() and counters_sum() work on it.
 */

/*
 * Reserve the memory of a copy; counters_snapshot_copy() fills it. Returns 0,
 * or -ENOMEM. counters_snapshot_free() gives it back.
 */
int counters_snapshot_new(
    struct counters *copy, const struct counters *counters);

void counters_snapshot_free(struct counters *copy);

/* Copy all bytes, each value whole, while others count. */
void counters_snapshot_copy(
    struct counters *copy, const struct counters *counters);

/* Nothing was cut off. */
static const size_t COUNTERS_SNAPSHOT_UNCUT = SIZE_MAX;

/*
 * Put back what the file lost since the copy was made: header, registry, label
 * sets, and counts, which are added to the master's slot. All bytes from the
 * offset `cut` on were zeroed since; COUNTERS_SNAPSHOT_UNCUT where that is not
 * known.
 *
 * Where it is known, a count is what it was plus what was counted since. Else a
 * sum that is lower than in the copy is raised to that: doing so twice, or
 * while the file is cut again, counts nothing double.
 *
 * Returns whether anything had been lost. Only the master may call it.
 */
bool counters_snapshot_restore(
    struct counters *counters, const struct counters *copy, size_t cut);

#endif
