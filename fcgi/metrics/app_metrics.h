#ifndef METRICS_APP_METRICS_H
#define METRICS_APP_METRICS_H

/*
 * The metrics of the application, generated from app/metrics.def: their values
 * in the counter file, and how to change them. Handlers use metric.h.
 *
 * All changes are single atomic operations in this process's slot, so they are
 * safe in every thread of a handler.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct counters;

enum app_metric_kind {
	APP_METRIC_COUNTER,
	APP_METRIC_GAUGE,
	APP_METRIC_GAUGE_LAST,
	APP_METRIC_HISTOGRAM,
};

/* The values of each metric's label; "other" is the last, or the only one. */
#define VALUE(symbol, text) symbol,
#define METRIC(kind, name, help, buckets, label, ...)                          \
	enum metric_label_##name{__VA_ARGS__ METRIC_OTHER_##name};
#include "metrics/app_metrics.def"
#undef VALUE

/* The values of one series: a histogram is a sum, then a count a bucket. */
#define APP_METRIC_SIZE_COUNTER(buckets)    1
#define APP_METRIC_SIZE_GAUGE(buckets)      1
#define APP_METRIC_SIZE_GAUGE_LAST(buckets) 1
#define APP_METRIC_SIZE_HISTOGRAM(buckets)                                     \
	(2 + (int)(sizeof(buckets) / sizeof(double)))

/* The first value of each metric, counted from REGISTRY_APP (registry.h). */
enum {
#define METRIC(kind, name, help, buckets, label, ...)                          \
	APP_FIRST_##name,                                                      \
	    APP_LAST_##name = APP_FIRST_##name +                               \
			      ((int)METRIC_OTHER_##name + 1) *                 \
				  APP_METRIC_SIZE_##kind(buckets) -            \
			      1,
#include "metrics/app_metrics.def"
	APP_METRICS_VALUES
};

/* The place of each metric in app_metrics. */
enum {
#define METRIC(kind, name, help, buckets, label, ...) APP_INDEX_##name,
#include "metrics/app_metrics.def"
	APP_METRICS_COUNT
};

/* A line of app/metrics.def. */
struct app_metric {
	const char *name; /* with a counter's _total */
	const char *help;
	enum app_metric_kind kind;
	const char *label;              /* NULL: it has none */
	const char *const *label_texts; /* without "other"; ends with NULL */
	unsigned other;                 /* the place of "other" */
	size_t first;                   /* value, from REGISTRY_APP */
	size_t size;                    /* values of a series */
	const double *bounds;           /* of buckets, without +Inf */
	size_t bound_count;
};

/* All lines, in the table's order; ends with a name of NULL. */
extern const struct app_metric app_metrics[];

/* The text of a label's value; "other" for all that are not in the list. */
const char *app_metrics_label_text(
    const struct app_metric *metric, unsigned label);

/* The label's value with this text; the place of "other" if there is none. */
unsigned app_metrics_find_label(
    const struct app_metric *metric, const char *text);

/* The first value of a series, as its place in a slot. */
size_t app_metrics_value(const struct app_metric *metric, unsigned label);

/* Format the bound of a bucket as Prometheus does, such as 0.5 or 2.0. */
enum { APP_METRICS_BOUND_SIZE = 32 };
void app_metrics_format_bound(const struct app_metric *metric, size_t bucket,
    char text[APP_METRICS_BOUND_SIZE]);

/*
 * Set the names of all values, which registry.h describes. The caller frees
 * them. Returns 0, or -1 without memory.
 */
int app_metrics_set_names(const char **names);

/*
 * Whether the value at this place of a slot is a gauge's. It may decrease, and
 * sums over slots are meaningless.
 */
bool app_metrics_is_gauge(size_t index);

/* Forget the gauges of a slot, whose process has ended. */
void app_metrics_reset(const struct counters *counters, unsigned slot);

/*
 * Restore the gauges of a slot that a damaged file has lost. Those of a process
 * that has ended since the copy was made stay lost.
 */
void app_metrics_restore(const struct counters *counters,
    const struct counters *copy, unsigned slot);

/* Decode a gauge's value of a slot. Returns false if it was never set. */
bool app_metrics_read_gauge(const struct counters *counters, unsigned slot,
    size_t index, double *value);

/* A sum is kept in this many parts of the unit: 1 for bytes, else 10^9. */
uint64_t app_metrics_sum_scale(const struct app_metric *metric);

/*
 * Change a metric, which is a place in app_metrics. counters NULL: do nothing.
 * A label that is not in the list counts as "other". metric.h has the rest of
 * the contract.
 */
void app_metrics_count(
    struct counters *counters, unsigned metric, unsigned label, uint64_t count);
void app_metrics_change(
    struct counters *counters, unsigned metric, unsigned label, double change);
void app_metrics_set(
    struct counters *counters, unsigned metric, unsigned label, double value);
void app_metrics_observe(
    struct counters *counters, unsigned metric, unsigned label, double value);

#endif
