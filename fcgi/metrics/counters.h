#ifndef METRICS_COUNTERS_H
#define METRICS_COUNTERS_H

/*
 * The counter file: 64-bit values that all processes share through mmap.
 *
 *   header | registry (text) | label sets | slot 0 | slot 1 | ...
 *
 * A slot belongs to one process at a time (by worker index, not by pid), and
 * only that process writes to it. An increment is a relaxed load and a store.
 * It takes no lock, so a killed process cannot hold one. The value of a series
 * is the sum over all slots.
 *
 * A slot has `fixed` values, each named by a line of the registry, then one
 * value for each label set. A label set is a combination of endpoint, method
 * and code that has been counted. Label sets form an insert-only hash table;
 * processes extend it with a compare-and-swap. So no combination has to be
 * declared, none takes space before it occurs, and a process that dies during
 * an insertion leaves nothing unfinished. The cells of histograms are label
 * sets, too (native.h).
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/exemplars.h"
#include "scoreboard.h"

struct registry;

struct counters {
	const struct registry *registry;
	int fd;
	void *map;
	size_t map_size;
	_Atomic uint64_t *label_sets;
	char *slots;
	size_t slot_size;
	/* in the slots, or in memory of its own (counters_guard.h) */
	struct scoreboard scoreboard;
	size_t entry_size;
	unsigned slot_count;
	unsigned own_slot; /* where the application of this process counts */
	/* of the buckets; not in the file, and only in a pool */
	struct exemplars exemplars;
};

/*
 * Open the file for a pool with this many workers. No other process may hold
 * it. Create the file if there is none. If another version wrote it, replace it
 * and keep its counts by their names. If it is damaged, move it aside, create a
 * new one and count that. Reserve memory for exemplars; without memory there
 * are none.
 *
 * Returns 0, or a negative errno after logging one line that says what to do:
 * -EBUSY another pool holds it, -ENOSPC, -EACCES, -EROFS, -EISDIR, -ELOOP a
 * symbolic link, -EINVAL not a regular file.
 */
int counters_open(struct counters *counters, const char *path,
    const struct registry *registry, unsigned workers);

/*
 * Open the file beside a pool, or without one, to add to SLOT_CGI with
 * counters_add_shared(). If no pool holds the file, it is created or repaired
 * as in counters_open(), and the scoreboard shows no processes. Returns 0, or a
 * negative errno after logging it; -ESTALE: the running pool is of another
 * version, so nothing can be counted.
 */
int counters_attach(struct counters *counters, const char *path,
    const struct registry *registry);

/*
 * Open the file to read it, without changing anything. *alive tells whether a
 * pool holds it. Returns 0, or a negative errno after logging it; -ESTALE:
 * another version wrote the file; -EBADMSG: it is damaged.
 */
int counters_read(struct counters *counters, const char *path,
    const struct registry *registry, bool *alive);

/* Unmap and close. The lock ends when the last process has closed the file. */
void counters_close(struct counters *counters);

/* The values of a slot: the fixed ones, then one for each label set. */
static inline _Atomic uint64_t *
counters_values(const struct counters *counters, unsigned slot)
{
	return (_Atomic uint64_t *)(counters->slots +
				    slot * counters->slot_size +
				    counters->entry_size);
}

/* Add to a value of a slot that only the caller writes; index is its place. */
static inline void
counters_add(_Atomic uint64_t *values, size_t index, uint64_t count)
{
	uint64_t value =
	    atomic_load_explicit(&values[index], memory_order_relaxed);

	atomic_store_explicit(
	    &values[index], value + count, memory_order_relaxed);
}

/* Add to a value that other processes write too (SLOT_CGI). */
static inline void
counters_add_shared(_Atomic uint64_t *values, size_t index, uint64_t count)
{
	atomic_fetch_add_explicit(&values[index], count, memory_order_relaxed);
}

/*
 * The place in a slot of the value of a label set, which is added to the table
 * if it is new. If the table is full: the place of the overflow label set (last
 * endpoint, last method, 0).
 */
size_t counters_find_value(struct counters *counters, unsigned endpoint,
    unsigned method, unsigned code);

/*
 * The same for a cell (native.h). Cells take at most half of the table. One
 * that finds no place there is counted at `otherwise`.
 */
size_t counters_find_cell(struct counters *counters, unsigned endpoint,
    unsigned method, unsigned code, size_t otherwise);

/*
 * The one or the other, as the method says; SIZE_MAX for a cell that finds no
 * place.
 */
size_t counters_find_any(struct counters *counters, unsigned endpoint,
    unsigned method, unsigned code);

/* A label set of the file. */
struct counters_label_set {
	unsigned endpoint;
	unsigned method;
	unsigned code;
	size_t index; /* the place of its value in a slot */
};

/*
 * All label sets of requests, sorted by endpoint, method and code, into an
 * array of label_set_capacity. Returns how many.
 */
size_t counters_list_label_sets(
    const struct counters *counters, struct counters_label_set *label_sets);

/* The same for cells. */
size_t counters_list_cells(
    const struct counters *counters, struct counters_label_set *cells);

/* The value's sum over all slots; index is its place in a slot. */
uint64_t counters_sum(const struct counters *counters, size_t index);

/*
 * Add the sums of an endpoint's cells with `count` methods from `method` on to
 * `sums`, one for each method.
 */
void counters_add_cells(const struct counters *counters, unsigned endpoint,
    unsigned method, uint64_t *sums, size_t count);

/* When the file began to count, in nanoseconds of CLOCK_REALTIME. */
int64_t counters_created(const struct counters *counters);

/* All requests that were counted: the sum over their label sets. */
uint64_t counters_sum_requests(const struct counters *counters);

#endif
