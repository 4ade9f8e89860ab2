#ifndef METRICS_EXEMPLARS_H
#define METRICS_EXEMPLARS_H

/*
 * Exemplars: for each bucket of a histogram one request that fell into it, by
 * its trace id. They are samples in memory that the processes of a pool share,
 * not in the counter file: they end with the pool, or with its program.
 *
 * Each value of each slot of the counter file can have an exemplar. Those of
 * buckets do. That reserves 40 bytes for each value and slot, 15 MB for 1,000
 * routes and 16 workers. The kernel gives memory only to pages that are used:
 * one of each slot, then those that a worker writes.
 *
 * Each slot has one writer, as in counters.h, which takes no lock. It writes
 * about once a second for each bucket. Otherwise it reads one number and
 * compares it. A reader never gets parts of two exemplars: a sequence number is
 * odd while the writer writes. If the writer is killed then, the exemplar is
 * not read until the next writer of the slot has replaced it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exemplars {
	char *map; /* NULL: this process has no exemplars */
	size_t map_size;
	size_t flags_size; /* bytes of a slot before its exemplars */
	size_t slot_size;
	unsigned slot_count;
};

/* The size of a trace id: 32 hex digits in lower case and a NUL. */
enum { EXEMPLARS_ID_SIZE = 33 };

struct exemplar {
	char trace_id[EXEMPLARS_ID_SIZE];
	uint64_t value;  /* that was counted in the bucket */
	int64_t time_ns; /* CLOCK_REALTIME, when it was counted */
};

/*
 * Reserve memory for this many values of each slot, which processes that are
 * forked afterwards share. Returns 0 or -ENOMEM; then, as after
 * exemplars_close(), recording does nothing and nothing is found.
 */
int exemplars_open(
    struct exemplars *exemplars, size_t value_count, unsigned slot_count);

void exemplars_close(struct exemplars *exemplars);

/*
 * Record a value that was counted in the bucket at this index, unless the last
 * one of this slot is less than a second old. Nothing is recorded if trace_id
 * is not a trace id, or has only zeros, or if now_ns is 0: not known. Only the
 * writer of the slot may call this.
 */
void exemplars_record(const struct exemplars *exemplars, unsigned slot,
    size_t index, const char *trace_id, uint64_t value, int64_t now_ns);

/*
 * Get the newest exemplar that a slot has for the bucket at this index. One
 * that is being written is left out. Returns whether there is one.
 */
bool exemplars_find(
    const struct exemplars *exemplars, size_t index, struct exemplar *exemplar);

#endif
