#ifndef METRICS_STORE_SNAPSHOT_H
#define METRICS_STORE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "metrics/shm.h"

/*
 * A copy of a counter file's bytes in shared anonymous memory, and how counts
 * that the file lost are put back from it. The copy is a struct store of its
 * own: store_cells() and store_sum() work on it.
 */

/*
 * Reserve the memory of a copy; store_snapshot_copy() fills it. Returns 0, or
 * -ENOMEM. store_snapshot_free() gives it back.
 */
int store_snapshot_new(struct store *copy, const struct store *store);

void store_snapshot_free(struct store *copy);

/* Copy all bytes, each cell whole, while others count. */
void store_snapshot_copy(struct store *copy, const struct store *store);

/* Nothing was cut off. */
static const size_t STORE_SNAPSHOT_UNCUT = SIZE_MAX;

/*
 * Put back what the file lost since the copy was made: header, catalog, keys,
 * and counts, which are added to the master's slot. All bytes from the offset
 * `cut` on were zeroed since; STORE_SNAPSHOT_UNCUT where that is not known.
 *
 * Where it is known, a count is what it was plus what was counted since. Else a
 * sum that is lower than in the copy is raised to that: doing so twice, or
 * while the file is cut again, counts nothing double.
 *
 * Returns whether anything had been lost. Only the master may call it.
 */
bool store_snapshot_restore(
    struct store *store, const struct store *copy, size_t cut);

#endif
