#ifndef METRICS_CATALOG_H
#define METRICS_CATALOG_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/shm.h"

/*
 * The cells that every version of the counter file has by name. A new counter
 * is a line here, a name in catalog.c and a family in exposition.c.
 */
enum catalog_cell {
	CATALOG_STARTS,
	CATALOG_STORE_RECOVERIES,
	CATALOG_STORE_TRUNCATED,
	CATALOG_STORE_OVERWRITTEN,
	CATALOG_STORE_DELETED,
	CATALOG_STORE_REPLACED,
	CATALOG_LOG_DROPPED,
	CATALOG_WORKER_STARTS,
	CATALOG_EXITS_DRAINED, /* in the order of reasons[] in pool.c */
	CATALOG_EXITS_RECYCLED,
	CATALOG_EXITS_CRASHED,
	CATALOG_EXITS_DEADLINE,
	CATALOG_GATEWAY_LOG, /* bytes read of gateway_log.h's file; no metric */
	CATALOG_QUEUE,       /* a histogram */
};

enum { CATALOG_BOUND_COUNT = 16 };

/* A histogram is a sum in nanoseconds, then a plain count a bucket. */
enum { CATALOG_HISTOGRAM_CELLS = 1 + CATALOG_BOUND_COUNT + 1 };

enum {
	CATALOG_ENDPOINTS = CATALOG_QUEUE + CATALOG_HISTOGRAM_CELLS,
	/* each endpoint: response bytes, then its duration histogram */
	CATALOG_ENDPOINT_CELLS = 1 + CATALOG_HISTOGRAM_CELLS,
};

/* An upper bound of a histogram's bucket, and how both formats print it. */
struct catalog_bound {
	int64_t ns;
	const char *le;
};

/* CATALOG_BOUND_COUNT bounds, then {INT64_MAX, "+Inf"}. */
extern const struct catalog_bound catalog_bounds[];

/*
 * Make the catalog of a service with these endpoints and methods; the names
 * are kept, not copied. NULL where memory is short. catalog_free() frees it.
 */
struct store_catalog *catalog_new(const char *const *endpoints,
    size_t endpoint_count, const char *const *methods, size_t method_count);

void catalog_free(struct store_catalog *catalog);

static inline size_t
catalog_size_cell(unsigned endpoint)
{
	return CATALOG_ENDPOINTS + endpoint * CATALOG_ENDPOINT_CELLS;
}

static inline size_t
catalog_duration_cell(unsigned endpoint)
{
	return catalog_size_cell(endpoint) + 1;
}

/* The cell of the bucket that a value falls into. */
static inline size_t
catalog_bucket(size_t histogram, int64_t ns)
{
	size_t bucket = 0;

	while (ns > catalog_bounds[bucket].ns)
		bucket++;
	return histogram + 1 + bucket;
}

#endif
