#ifndef METRICS_REGISTRY_H
#define METRICS_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "metrics/app_metrics.h"
#include "metrics/family.h"

/*
 * The registry of metrics, generated from metrics.def: the place of each value
 * in a slot of the counter file, its name there, and its family. The values of
 * the application follow those of the engine (app_metrics.h).
 */

enum { REGISTRY_BOUND_COUNT = 16 };

/*
 * A histogram is a sum in nanoseconds, then a plain count for each bucket, then
 * one for each bucket of what is counted in no cell (native.h).
 */
enum {
	REGISTRY_BUCKETS = REGISTRY_BOUND_COUNT + 1,
	REGISTRY_NO_CELL = 1 + REGISTRY_BUCKETS,
	REGISTRY_HISTOGRAM_VALUES = REGISTRY_NO_CELL + REGISTRY_BUCKETS
};

/* The place after all values of a histogram that begins at this symbol. */
#define REGISTRY_AFTER_HISTOGRAM(symbol)                                       \
	symbol##_LAST = symbol + REGISTRY_HISTOGRAM_VALUES - 1

/*
 * Values of a slot: counters, then histograms, then the application's, then
 * those of each endpoint.
 */
enum registry_value {
#define COUNTER(symbol, family, unit, help)           REGISTRY_##symbol,
#define COUNTER_BY(label, family, unit, help, values) values
#define VALUE(symbol, text)                           REGISTRY_##symbol,
#define INTERNAL(symbol, name)                        REGISTRY_##symbol,
#include "metrics/metrics.def"
#undef VALUE
#define HISTOGRAM(symbol, family, unit, help)                                  \
	REGISTRY_##symbol, REGISTRY_AFTER_HISTOGRAM(REGISTRY_##symbol),
#include "metrics/metrics.def"
	REGISTRY_APP,
	REGISTRY_ENDPOINTS = REGISTRY_APP + APP_METRICS_VALUES
};

/* Values of an endpoint: counters, then histograms. */
enum registry_endpoint_value {
#define ENDPOINT_COUNTER(symbol, family, unit, help) REGISTRY_ENDPOINT_##symbol,
#include "metrics/metrics.def"
#define ENDPOINT_HISTOGRAM(symbol, family, unit, help)                         \
	REGISTRY_ENDPOINT_##symbol,                                            \
	    REGISTRY_AFTER_HISTOGRAM(REGISTRY_ENDPOINT_##symbol),
#include "metrics/metrics.def"
	REGISTRY_ENDPOINT_VALUES
};

/* The histograms, which have cells. */
enum registry_cells {
#define HISTOGRAM(symbol, family, unit, help)          REGISTRY_CELLS_##symbol,
#define ENDPOINT_HISTOGRAM(symbol, family, unit, help) REGISTRY_CELLS_##symbol,
#include "metrics/metrics.def"
	REGISTRY_CELLS
};

/* The methods of label sets that are cells: one for each bucket. */
enum { REGISTRY_CELL_METHODS = REGISTRY_CELLS * REGISTRY_BUCKETS };

enum registry_gauge {
#define GAUGE(symbol, family, unit, help) REGISTRY_GAUGE_##symbol,
#include "metrics/metrics.def"
};

/* The kinds of lines in metrics.def. */
enum registry_kind {
	REGISTRY_KIND_COUNTER,
	REGISTRY_KIND_COUNTER_BY,
	REGISTRY_KIND_HISTOGRAM,
	REGISTRY_KIND_ENDPOINT_COUNTER,
	REGISTRY_KIND_ENDPOINT_HISTOGRAM,
	REGISTRY_KIND_LABEL_SETS,
	REGISTRY_KIND_GAUGE,
	REGISTRY_KIND_INTERNAL,
};

/* One series of a COUNTER_BY: a value of its label, and its number. */
struct registry_series {
	const char *label_value; /* NULL: the end of the list */
	unsigned value;
};

/* A line of metrics.def. */
struct registry_family {
	struct metric_family family;
	enum registry_kind kind;
	/* an enum registry_value, registry_endpoint_value or registry_gauge */
	unsigned value;
	const char *label; /* of a COUNTER_BY */
	const struct registry_series *series;
	enum registry_cells cells; /* of a histogram */
};

/* All lines of metrics.def, in its order; ends with a name of NULL. */
extern const struct registry_family registry_families[];

/* REGISTRY_BOUND_COUNT bounds, then {INT64_MAX, "+Inf"}. */
extern const struct metric_bound registry_bounds[];

/*
 * The names of all values: of the fixed ones, and of the endpoints and methods
 * of label sets. The name of a value is its series as Prometheus writes it,
 * such as `a_total{b="c"}`. The buckets of a histogram are not cumulative.
 *
 * After the methods of requests come those of cells, such as
 * `a_seconds{le="0.5"}`, and the last method again: it is the one of the
 * overflow label set.
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

/* Whether a label set with this method is a cell, and counts no requests. */
static inline bool
registry_is_cell(const struct registry *registry, unsigned method)
{
	return strchr(registry->methods[method], '{') != NULL;
}

/* Whether the registry has cells. All have that registry_new() makes. */
static inline bool
registry_has_cells(const struct registry *registry)
{
	return registry->method_count > REGISTRY_CELL_METHODS &&
	       registry_is_cell(registry, (unsigned)registry->method_count - 2);
}

/* The method of the cells in one bucket of a histogram. */
static inline unsigned
registry_cell_method(
    const struct registry *registry, enum registry_cells cells, size_t bucket)
{
	return (unsigned)(registry->method_count - 1 - REGISTRY_CELL_METHODS +
			  cells * REGISTRY_BUCKETS + bucket);
}

/*
 * Make the registry of a service with these endpoints and methods; the names
 * are kept, not copied. NULL where memory is short. registry_free() frees it.
 */
struct registry *registry_new(const char *const *endpoints,
    size_t endpoint_count, const char *const *methods, size_t method_count);

void registry_free(struct registry *registry);

/* The place in a slot of one of an endpoint's values. */
static inline size_t
registry_endpoint_value(unsigned endpoint, enum registry_endpoint_value value)
{
	return REGISTRY_ENDPOINTS + endpoint * REGISTRY_ENDPOINT_VALUES + value;
}

/* The number of the bucket that an observation falls into. */
static inline size_t
registry_bucket_of(int64_t ns)
{
	size_t bucket = 0;

	while (ns > registry_bounds[bucket].ns)
		bucket++;
	return bucket;
}

/* The place of that bucket. */
static inline size_t
registry_bucket(size_t histogram, int64_t ns)
{
	return histogram + 1 + registry_bucket_of(ns);
}

#endif
