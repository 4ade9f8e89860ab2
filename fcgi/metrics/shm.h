#ifndef METRICS_STORE_H
#define METRICS_STORE_H

/*
 * The counter file: 64-bit cells shared by every process through mmap.
 *
 *   header | catalog (text) | keys | slot 0 | slot 1 | ...
 *
 * A slot belongs to one process at a time (worker index, not pid), and only
 * that process writes it: an increment is a relaxed load and a store, takes no
 * lock, and a killed process can hold nothing. A value is the sum over slots.
 *
 * A slot has `fixed` cells, each named by a line of the catalog, then one cell
 * for each key. A key is one combination of (endpoint, method, code) that has
 * been counted; keys form an insert-only hash table that processes extend with
 * a compare-and-swap, so that no combination has to be declared, none costs
 * space before it occurs, and dying in the middle leaves nothing half-done.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The slots that are not a worker's; worker i has STORE_WORKER + i. */
enum { STORE_MASTER, STORE_OBSERVER, STORE_CGI, STORE_WORKER };

/*
 * What to keep: names of fixed cells, and the names that a key's endpoint and
 * method numbers stand for. A name is a series as Prometheus writes it, such as
 * `a_total{b="c"}`. The bucket series of a histogram hold plain, not
 * cumulative, counts.
 */
struct store_catalog {
	const char *const *fixed;
	size_t fixed_count;
	const char *const *endpoints;
	size_t endpoint_count;
	const char *const *methods;
	size_t method_count;
	size_t key_capacity; /* a power of two */
};

/* What a slot's process is doing; it means nothing once the process is gone. */
struct store_state {
	_Alignas(64) _Atomic int64_t pid; /* 0: nobody */
	_Atomic int64_t request_started;  /* CLOCK_MONOTONIC ns, 0: idle */
	_Atomic int64_t relieved; /* the same, once it gave all else away */
	_Atomic int32_t stopped;  /* the master saw it under SIGSTOP */
	_Atomic int64_t connections;
	_Atomic int64_t served;      /* requests since the process started */
	_Atomic int32_t draining;    /* leaving; the master's: the pool is */
	_Atomic int64_t load_pid;    /* the master's: of the load; 0: none */
	_Atomic int64_t load_ticket; /* the master's: of the load that was asked
					for, until it ends; 0: none */
	_Atomic int64_t supervisor_pid; /* the master's: of its parent */
	_Atomic int64_t leaver;         /* the master's: pid of the worker that
					   may stop accepting; 0: none */
	_Atomic uint32_t listen_inode;  /* the master's: of the public socket */
	_Atomic int64_t started;        /* the master's: CLOCK_BOOTTIME ns */
	_Atomic int64_t request_rate;   /* the master's: in 1/1000 a second, */
	_Atomic int64_t cpu_usage;      /* in ns a second; -1: not known, */
	_Atomic int64_t cpu_throttled;  /* in ns a second, over all CPUs, */
	_Atomic int64_t cpu_throttled_share; /* periods of 1,000, as above */
	char request_id[40];                 /* of the request that runs */
	char path[64];
};

struct store {
	const struct store_catalog *catalog;
	int fd;
	void *map;
	size_t map_size;
	_Atomic uint64_t *keys;
	char *slots;
	size_t slot_size;
	char *states; /* in the slots; in a pool, in memory (store_guard.h) */
	size_t state_stride;
	size_t state_size;
	unsigned slot_count;
	bool is_owner; /* holds the file's lock */
};

/*
 * Open the file for a pool of so many workers, which must hold it alone: make
 * it where there is none; take it over, counts kept by name, where another
 * version wrote it; move it aside and count that where it is damaged.
 * Returns 0, or a negative errno after logging one line that says what to do:
 * -EBUSY another pool holds it, -ENOSPC, -EACCES, -EROFS, -EISDIR, -ELOOP a
 * symbolic link, -EINVAL not a regular file.
 */
int store_open(struct store *store, const char *path,
    const struct store_catalog *catalog, unsigned workers);

/*
 * Open the file beside a pool, or without one, to add to STORE_CGI with
 * store_add_shared. Makes or mends the file as store_open does where nobody
 * holds it. Returns 0, or a negative errno, logged; -ESTALE: the running pool
 * is of another version, so that nothing can be counted.
 */
int store_attach(
    struct store *store, const char *path, const struct store_catalog *catalog);

/*
 * Open the file only to read it. Never changes anything. *alive tells whether
 * a pool holds it. Returns 0, or a negative errno, logged; -ESTALE: another
 * version wrote it; -EBADMSG: it is damaged.
 */
int store_read(struct store *store, const char *path,
    const struct store_catalog *catalog, bool *alive);

/* Unmap and close; gives the lock up when the last process has done so. */
void store_close(struct store *store);

/* What the process in this slot is doing. */
static inline struct store_state *
store_state(const struct store *store, unsigned slot)
{
	return (
	    struct store_state *)(store->states + slot * store->state_stride);
}

/* Whether the slot's process takes on more than it has. */
static inline bool
store_is_serving(const struct store_state *state)
{
	return state->pid && !state->stopped && !state->draining;
}

/* The slot's cells: the fixed ones, then one a key. */
static inline _Atomic uint64_t *
store_cells(const struct store *store, unsigned slot)
{
	return (_Atomic uint64_t *)(store->slots + slot * store->slot_size +
				    store->state_size);
}

/* Add to a cell of a slot that only the caller writes. */
static inline void
store_add(_Atomic uint64_t *cells, size_t cell, uint64_t count)
{
	uint64_t value =
	    atomic_load_explicit(&cells[cell], memory_order_relaxed);

	atomic_store_explicit(
	    &cells[cell], value + count, memory_order_relaxed);
}

/* Add to a cell that others write too (STORE_CGI). */
static inline void
store_add_shared(_Atomic uint64_t *cells, size_t cell, uint64_t count)
{
	atomic_fetch_add_explicit(&cells[cell], count, memory_order_relaxed);
}

/*
 * The cell of this combination, entered into the key table where it is new.
 * A full table puts it under (last endpoint, last method, 0).
 */
size_t store_key_cell(
    struct store *store, unsigned endpoint, unsigned method, unsigned code);

/* One key as found in the file. */
struct store_key {
	unsigned endpoint;
	unsigned method;
	unsigned code;
	size_t cell;
};

/*
 * All keys, sorted by endpoint, method and code, into an array of
 * key_capacity. Returns how many.
 */
size_t store_list_keys(const struct store *store, struct store_key *keys);

/* The cell's sum over all slots. */
uint64_t store_sum(const struct store *store, size_t cell);

#endif
