#ifndef METRICS_NATIVE_H
#define METRICS_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/counters.h"
#include "metrics/registry.h"
#include "metrics/writer.h"

/*
 * Native histograms: eight buckets for each power of two, and only those that
 * have counts (writer.h).
 *
 * What a native and a classic bucket have in common is a cell. An observation
 * is counted in one cell, and both histograms are sums of cells. So they agree
 * in every scrape, whenever a process is killed. A cell is a label set of the
 * counter file, whose method is a classic bucket and whose code is a native
 * one. So it takes space only once it has counts.
 *
 * The counts of an older version, and what finds no place in the table, are in
 * no cell but in REGISTRY_NO_CELL. They are shown in the last native bucket of
 * their classic one.
 */

/* Observations up to 2^-20 s, 953 ns, are in the zero bucket. */
enum { NATIVE_ZERO = -20 * (1 << WRITER_NATIVE_SCHEMA) };

/* Room for native buckets: all times of an int64_t are in 425. */
enum { NATIVE_BUCKETS_MAX = 512 };

/* The native bucket of an observation; NATIVE_ZERO: the zero bucket. */
int native_bucket(int64_t ns);

/*
 * A histogram: the cells of an endpoint, and the place of its sum in a slot.
 * The cells of a histogram of all endpoints are of the last one.
 */
struct native_place {
	enum registry_cells cells;
	unsigned endpoint;
	size_t first;
};

/*
 * The place in a slot in which an observation is counted; bucket is that of
 * registry_bucket_of().
 */
size_t native_find(struct counters *counters, const struct native_place *place,
    size_t bucket, int64_t ns);

/* A histogram that was read, as both kinds. */
struct native_histogram {
	uint64_t classic[REGISTRY_BUCKETS]; /* plain counts */
	struct writer_native_bucket buckets[NATIVE_BUCKETS_MAX];
	struct writer_native native;
};

/*
 * Read a histogram. cells are the `count` of counters_list_cells(). The
 * histogram points into itself.
 */
void native_read(const struct counters *counters,
    const struct native_place *place, const struct counters_label_set *cells,
    size_t count, struct native_histogram *histogram);

/*
 * After a file of another version was taken over, or cells were lost: count
 * what the classic buckets have beyond their cells. Workers may count
 * meanwhile; only the master may call it.
 */
void native_adopt(struct counters *counters);

#endif
