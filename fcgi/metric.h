#ifndef METRIC_H
#define METRIC_H

/*
 * How a handler changes the metrics of app/metrics.def:
 *
 *   metric_add(request->service, notes_created_total, 1, KIND_long);
 *   metric_add(request->service, notes_open_files, -1);
 *   metric_set(request->service, notes_stored, count);
 *   metric_observe(request->service, notes_query_seconds, seconds);
 *
 * The service comes first since a process has no global state: a unit test
 * hands its handler a service of its own. Without counters (service->counters
 * is NULL) the calls do nothing.
 *
 * The name selects a function with the right types. So the build fails for a
 * name that is not in the table, for a call that does not fit its kind, for a
 * label that is missing, and for the label of another metric. A label that is
 * not in the table counts as "other":
 *
 *   metric_add(request->service, notes_created_total, 1,
 *       metric_label(notes_created_total, text));
 *
 * A change is visible at once, and survives the end of the process by whatever
 * cause. All calls are safe in threads.
 */

#include "metrics/app_metrics.h"
#include "service.h"

/* Add a whole number to a counter, or any number to a GAUGE. */
#define metric_add(service, name, ...) metric_add_##name((service), __VA_ARGS__)

/*
 * Set a GAUGE of this worker, or a GAUGE_LAST of the service. A value that is
 * not finite is refused and logged once. A GAUGE_LAST is not in a scrape before
 * it was set. A plain CGI process has no GAUGE.
 */
#define metric_set(service, name, ...) metric_set_##name((service), __VA_ARGS__)

/*
 * Count a value in a histogram. A NaN, a negative number and one whose sum has
 * no room (9.2e9, or 9.2e18 bytes) are refused and logged once.
 */
#define metric_observe(service, name, ...)                                     \
	metric_observe_##name((service), __VA_ARGS__)

/* The label with this text; that of "other" if it is not in the table. */
#define metric_label(name, text)                                               \
	((enum metric_label_##name)app_metrics_find_label(                     \
	    &app_metrics[APP_INDEX_##name], (text)))

/* A function that changes a metric, with and without a label. */
#define METRIC_CHANGE(verb, name, type, change)                                \
	static inline void metric_##verb##_##name(                             \
	    const struct service *service, type value)                         \
	{                                                                      \
		change(service->counters, APP_INDEX_##name, 0, value);         \
	}
#define METRIC_CHANGE_BY(verb, name, type, change)                             \
	static inline void metric_##verb##_##name(                             \
	    const struct service *service, type value,                         \
	    enum metric_label_##name label)                                    \
	{                                                                      \
		change(service->counters, APP_INDEX_##name, (unsigned)label,   \
		    value);                                                    \
	}

#define COUNTER(name, help)                                                    \
	METRIC_CHANGE(add, name, uint64_t, app_metrics_count)
#define COUNTER_BY(name, help, label, ...)                                     \
	METRIC_CHANGE_BY(add, name, uint64_t, app_metrics_count)
#define GAUGE(name, help)                                                      \
	METRIC_CHANGE(add, name, double, app_metrics_change)                   \
	METRIC_CHANGE(set, name, double, app_metrics_set)
#define GAUGE_BY(name, help, label, ...)                                       \
	METRIC_CHANGE_BY(add, name, double, app_metrics_change)                \
	METRIC_CHANGE_BY(set, name, double, app_metrics_set)
#define GAUGE_LAST(name, help) METRIC_CHANGE(set, name, double, app_metrics_set)
#define GAUGE_LAST_BY(name, help, label, ...)                                  \
	METRIC_CHANGE_BY(set, name, double, app_metrics_set)
#define HISTOGRAM(name, help, buckets)                                         \
	METRIC_CHANGE(observe, name, double, app_metrics_observe)
#define HISTOGRAM_BY(name, help, buckets, label, ...)                          \
	METRIC_CHANGE_BY(observe, name, double, app_metrics_observe)
#include "metrics/app_metrics.def"

#endif
