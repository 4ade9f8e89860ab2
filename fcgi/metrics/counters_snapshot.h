#ifndef METRICS_COUNTERS_SNAPSHOT_H
#define METRICS_COUNTERS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "metrics/counters.h"

/*
 * A copy of the bytes of a counter file in shared anonymous memory, from which
 * lost counts are restored. The copy is a struct counters too:
 * counters_values() and counters_sum() work on it.
 */

/*
 * Reserve memory for a copy; counters_snapshot_copy() fills it. Returns 0 or
 * -ENOMEM. The caller frees it with counters_snapshot_free().
 */
int counters_snapshot_new(
    struct counters *copy, const struct counters *counters);

void counters_snapshot_free(struct counters *copy);

/* Copy all bytes while other processes count. No value is copied in part. */
void counters_snapshot_copy(
    struct counters *copy, const struct counters *counters);

/* Nothing was cut off. */
static const size_t COUNTERS_SNAPSHOT_UNCUT = SIZE_MAX;

/*
 * Restore what the file lost since the copy was made: header, registry, label
 * sets, and counts, which are added to the master's slot. `cut` is the offset
 * from which all bytes were zeroed since; COUNTERS_SNAPSHOT_UNCUT if that is
 * not known.
 *
 * If the offset is known, a count becomes what it was plus what was counted
 * since. Otherwise a sum that is lower than in the copy becomes that of the
 * copy; this may be repeated, also while the file is cut again, without
 * counting anything twice.
 *
 * Returns whether anything was lost. Only the master may call it.
 */
bool counters_snapshot_restore(
    struct counters *counters, const struct counters *copy, size_t cut);

#endif
