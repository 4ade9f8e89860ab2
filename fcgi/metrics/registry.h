#ifndef METRICS_REGISTRY_H
#define METRICS_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/counters.h"

/*
 * The values that every version of the counter file has by name. A new counter
 * is a line here, a name in registry.c and a family in exposition.c.
 */
enum registry_value {
	REGISTRY_STARTS,
	REGISTRY_STORE_RECOVERIES,
	REGISTRY_STORE_TRUNCATED,
	REGISTRY_STORE_OVERWRITTEN,
	REGISTRY_STORE_DELETED,
	REGISTRY_STORE_REPLACED,
	REGISTRY_LOG_DROPPED,
	REGISTRY_WORKER_STARTS,
	REGISTRY_EXITS_DRAINED, /* in the order of reasons[] in pool.c */
	REGISTRY_EXITS_RECYCLED,
	REGISTRY_EXITS_CRASHED,
	REGISTRY_EXITS_DEADLINE,
	REGISTRY_GATEWAY_LOG, /* bytes read of gateway_log.h's file; no metric
			       */
	REGISTRY_QUEUE,       /* a histogram */
};

enum { REGISTRY_BOUND_COUNT = 16 };

/* A histogram is a sum in nanoseconds, then a plain count a bucket. */
enum { REGISTRY_HISTOGRAM_VALUES = 1 + REGISTRY_BOUND_COUNT + 1 };

enum {
	REGISTRY_ENDPOINTS = REGISTRY_QUEUE + REGISTRY_HISTOGRAM_VALUES,
	/* each endpoint: response bytes, then its duration histogram */
	REGISTRY_ENDPOINT_VALUES = 1 + REGISTRY_HISTOGRAM_VALUES,
};

/* An upper bound of a histogram's bucket, and how both formats print it. */
struct registry_bound {
	int64_t ns;
	const char *le;
};

/* REGISTRY_BOUND_COUNT bounds, then {INT64_MAX, "+Inf"}. */
extern const struct registry_bound registry_bounds[];

/*
 * Make the registry of a service with these endpoints and methods; the names
 * are kept, not copied. NULL where memory is short. registry_free() frees it.
 */
struct registry *registry_new(const char *const *endpoints,
    size_t endpoint_count, const char *const *methods, size_t method_count);

void registry_free(struct registry *registry);

static inline size_t
registry_size_value(unsigned endpoint)
{
	return REGISTRY_ENDPOINTS + endpoint * REGISTRY_ENDPOINT_VALUES;
}

static inline size_t
registry_duration_value(unsigned endpoint)
{
	return registry_size_value(endpoint) + 1;
}

/* The value of the bucket that a value falls into. */
static inline size_t
registry_bucket(size_t histogram, int64_t ns)
{
	size_t bucket = 0;

	while (ns > registry_bounds[bucket].ns)
		bucket++;
	return histogram + 1 + bucket;
}

#endif
