#ifndef METRICS_COUNTERS_H
#define METRICS_COUNTERS_H

/*
 * The counter file: 64-bit values shared by every process through mmap.
 *
 *   header | registry (text) | label sets | slot 0 | slot 1 | ...
 *
 * A slot belongs to one process at a time (worker index, not pid), and only
 * that process writes it: an increment is a relaxed load and a store, takes no
 * lock, and a killed process can hold nothing. A value is the sum over slots.
 *
 * A slot has `fixed` values, each named by a line of the registry, then one
 * value for each label set. A label set is one combination of (endpoint,
 * method, code) that has been counted; label sets form an insert-only hash
 * table that processes extend with a compare-and-swap, so that no combination
 * has to be declared, none costs space before it occurs, and dying in the
 * middle leaves nothing half-done.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scoreboard.h"

/*
 * What to keep: names of fixed values, and the names that a label set's
 * endpoint and method numbers stand for. A name is a series as Prometheus
 * writes it, such as `a_total{b="c"}`. The bucket series of a histogram hold
 * plain, not cumulative, counts.
 */
struct registry {
	const char *const *fixed;
	size_t fixed_count;
	const char *const *endpoints;
	size_t endpoint_count;
	const char *const *methods;
	size_t method_count;
	size_t label_set_capacity; /* a power of two */
};

struct counters {
	const struct registry *registry;
	int fd;
	void *map;
	size_t map_size;
	_Atomic uint64_t *label_sets;
	char *slots;
	size_t slot_size;
	/* in the slots; in a pool, in memory (counters_guard.h) */
	struct scoreboard scoreboard;
	size_t entry_size;
	unsigned slot_count;
};

/*
 * Open the file for a pool of so many workers, which must hold it alone: make
 * it where there is none; take it over, counts kept by name, where another
 * version wrote it; move it aside and count that where it is damaged.
 * Returns 0, or a negative errno after logging one line that says what to do:
 * -EBUSY another pool holds it, -ENOSPC, -EACCES, -EROFS, -EISDIR, -ELOOP a
 * symbolic link, -EINVAL not a regular file.
 */
int counters_open(struct counters *counters, const char *path,
    const struct registry *registry, unsigned workers);

/*
 * Open the file beside a pool, or without one, to add to SLOT_CGI with
 * counters_add_shared. Makes or mends the file as counters_open does where
 * nobody holds it. Returns 0, or a negative errno, logged; -ESTALE: the running
 * pool is of another version, so that nothing can be counted.
 */
int counters_attach(struct counters *counters, const char *path,
    const struct registry *registry);

/*
 * Open the file only to read it. Never changes anything. *alive tells whether
 * a pool holds it. Returns 0, or a negative errno, logged; -ESTALE: another
 * version wrote it; -EBADMSG: it is damaged.
 */
int counters_read(struct counters *counters, const char *path,
    const struct registry *registry, bool *alive);

/* Unmap and close; gives the lock up when the last process has done so. */
void counters_close(struct counters *counters);

/* The slot's values: the fixed ones, then one a label set. */
static inline _Atomic uint64_t *
counters_values(const struct counters *counters, unsigned slot)
{
	return (_Atomic uint64_t *)(counters->slots +
				    slot * counters->slot_size +
				    counters->entry_size);
}

/* Add to a value of a slot that only the caller writes. */
static inline void
counters_add(_Atomic uint64_t *values, size_t index, uint64_t count)
{
	uint64_t value =
	    atomic_load_explicit(&values[index], memory_order_relaxed);

	atomic_store_explicit(
	    &values[index], value + count, memory_order_relaxed);
}

/* Add to a value that others write too (SLOT_CGI). */
static inline void
counters_add_shared(_Atomic uint64_t *values, size_t index, uint64_t count)
{
	atomic_fetch_add_explicit(&values[index], count, memory_order_relaxed);
}

/*
 * The value of this combination, entered into the label set table where it is
 * new. A full table puts it under (last endpoint, last method, 0).
 */
size_t counters_find_value(struct counters *counters, unsigned endpoint,
    unsigned method, unsigned code);

/* One label set as found in the file. */
struct counters_label_set {
	unsigned endpoint;
	unsigned method;
	unsigned code;
	size_t index;
};

/*
 * All label sets, sorted by endpoint, method and code, into an array of
 * label_set_capacity. Returns how many.
 */
size_t counters_list_label_sets(
    const struct counters *counters, struct counters_label_set *label_sets);

/* The value's sum over all slots; index is its place in a slot. */
uint64_t counters_sum(const struct counters *counters, size_t index);

/* All requests that were counted: the sum over all label sets. */
uint64_t counters_sum_requests(const struct counters *counters);

#endif
