#include "metrics/app_metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "metrics/counters.h"
#include "metrics/registry.h"

/* --- the table ------------------------------------------------------------ */

const struct app_metric app_metrics[] = {
#define VALUE(symbol, text) text,
#define METRIC(kind, name, help, buckets, label, ...)                          \
	{#name, help, APP_METRIC_##kind, label,                                \
	    (const char *const[]){__VA_ARGS__ NULL}, METRIC_OTHER_##name,      \
	    APP_FIRST_##name, APP_METRIC_SIZE_##kind(buckets), buckets,        \
	    sizeof(buckets) / sizeof(double)},
#include "metrics/app_metrics.def"
#undef VALUE
    {.name = NULL},
};

const char *
app_metrics_label_text(const struct app_metric *metric, unsigned label)
{
	return label < metric->other ? metric->label_texts[label] : "other";
}

unsigned
app_metrics_find_label(const struct app_metric *metric, const char *text)
{
	unsigned label = 0;

	while (label < metric->other &&
	       strcmp(metric->label_texts[label], text) != 0)
		label++;
	return label;
}

size_t
app_metrics_value(const struct app_metric *metric, unsigned label)
{
	if (label > metric->other)
		label = metric->other;
	return REGISTRY_APP + metric->first + label * metric->size;
}

uint64_t
app_metrics_sum_scale(const struct app_metric *metric)
{
	size_t length = strlen(metric->name);
	bool is_bytes =
	    length > 6 && strcmp(metric->name + length - 6, "_bytes") == 0;

	return is_bytes ? 1 : 1000000000;
}

/* --- names ---------------------------------------------------------------- */

void
app_metrics_format_bound(const struct app_metric *metric, size_t bucket,
    char text[APP_METRICS_BOUND_SIZE])
{
	if (bucket == metric->bound_count) {
		strcpy(text, "+Inf");
		return;
	}
	snprintf(text, APP_METRICS_BOUND_SIZE, "%.15g", metric->bounds[bucket]);
	if (!strpbrk(text, ".e"))
		strcat(text, ".0");
}

static int
set_name(const char **name, const char *prefix, const char *suffix,
    const char *labels, const char *end)
{
	char *text;

	if (asprintf(&text, "%s%s%s%s%s%s", prefix, suffix, *labels ? "{" : "",
		labels, *labels ? "}" : "", end) < 0)
		return -1;
	*name = text;
	return 0;
}

static int
set_histogram_names(
    const char **names, const struct app_metric *metric, const char *label)
{
	int error = set_name(&names[0], metric->name, "_sum", label, "");

	for (size_t i = 0; i <= metric->bound_count; i++) {
		char bound[APP_METRICS_BOUND_SIZE];
		char labels[256];

		app_metrics_format_bound(metric, i, bound);
		snprintf(labels, sizeof(labels), "%s%sle=\"%s\"", label,
		    *label ? "," : "", bound);
		error |= set_name(
		    &names[1 + i], metric->name, "_bucket", labels, "");
	}
	return error;
}

/*
 * The two kinds of gauges have different names in the file, since one cannot be
 * read as the other.
 */
static int
set_series_names(
    const char **names, const struct app_metric *metric, const char *label)
{
	switch (metric->kind) {
	case APP_METRIC_HISTOGRAM:
		return set_histogram_names(names, metric, label);
	case APP_METRIC_GAUGE:
		return set_name(names, "sum(", metric->name, label, ")");
	case APP_METRIC_GAUGE_LAST:
		return set_name(names, "last(", metric->name, label, ")");
	case APP_METRIC_COUNTER:
		break;
	}
	return set_name(names, metric->name, "", label, "");
}

int
app_metrics_set_names(const char **names)
{
	int error = 0;

	for (const struct app_metric *metric = app_metrics; metric->name;
	     metric++)
		for (unsigned i = 0; i <= metric->other; i++) {
			char label[128] = "";

			if (metric->label)
				snprintf(label, sizeof(label), "%s=\"%s\"",
				    metric->label,
				    app_metrics_label_text(metric, i));
			error |= set_series_names(
			    &names[app_metrics_value(metric, i)], metric,
			    label);
		}
	return error;
}

/* --- gauges --------------------------------------------------------------- */

/*
 * A gauge's value is the complement of a double's bits. So 0, with which every
 * value of a file begins, means that it was never set: it would be a NaN.
 */
static uint64_t
encode(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return ~bits;
}

static double
decode(uint64_t number)
{
	uint64_t bits = ~number;
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

bool
app_metrics_is_gauge(size_t index)
{
	for (const struct app_metric *metric = app_metrics; metric->name;
	     metric++)
		if (index >= REGISTRY_APP + metric->first &&
		    index <
			app_metrics_value(metric, metric->other) + metric->size)
			return metric->kind == APP_METRIC_GAUGE ||
			       metric->kind == APP_METRIC_GAUGE_LAST;
	return false;
}

/* A file that another registry describes has no values of the application. */
static bool
has_values(const struct counters *counters)
{
	return counters->registry->fixed_count >= REGISTRY_ENDPOINTS;
}

void
app_metrics_reset(const struct counters *counters, unsigned slot)
{
	_Atomic uint64_t *values = counters_values(counters, slot);

	if (!has_values(counters))
		return;
	for (const struct app_metric *metric = app_metrics; metric->name;
	     metric++)
		for (unsigned i = 0;
		     metric->kind == APP_METRIC_GAUGE && i <= metric->other;
		     i++)
			atomic_store_explicit(
			    &values[app_metrics_value(metric, i)], 0,
			    memory_order_relaxed);
}

/* Whether a slot of the copy is of the process that has it now. */
static bool
is_same_process(
    const struct counters *counters, const struct counters *copy, unsigned slot)
{
	int64_t then = scoreboard_entry(&copy->scoreboard, slot)->pid;

	return then != 0 &&
	       then == scoreboard_entry(&counters->scoreboard, slot)->pid;
}

void
app_metrics_restore(
    const struct counters *counters, const struct counters *copy, unsigned slot)
{
	bool is_same = is_same_process(counters, copy, slot);

	for (size_t i = REGISTRY_APP;
	     i < REGISTRY_ENDPOINTS && has_values(counters); i++) {
		uint64_t unset = 0;

		if (app_metrics_is_gauge(i) && (slot == SLOT_MASTER || is_same))
			atomic_compare_exchange_strong(
			    &counters_values(counters, slot)[i], &unset,
			    counters_values(copy, slot)[i]);
	}
}

bool
app_metrics_read_gauge(
    const struct counters *counters, unsigned slot, size_t index, double *value)
{
	uint64_t number = atomic_load_explicit(
	    &counters_values(counters, slot)[index], memory_order_relaxed);

	*value = number ? decode(number) : 0;
	return number != 0;
}

/* --- changes -------------------------------------------------------------- */

/* Log once for each metric of this process why a value was refused. */
static void
refuse(unsigned metric, const char *reason)
{
	static atomic_bool is_logged[APP_METRICS_COUNT + 1];

	if (!atomic_exchange(&is_logged[metric], true))
		LOG(LOG_WARNING,
		    "value of a metric refused; further ones of "
		    "this process are not logged",
		    LOG_STRING("metric", app_metrics[metric].name),
		    LOG_STRING("reason", reason));
}

static void
add(struct counters *counters, size_t index, uint64_t count)
{
	counters_add_shared(
	    counters_values(counters, counters->own_slot), index, count);
}

void
app_metrics_count(
    struct counters *counters, unsigned metric, unsigned label, uint64_t count)
{
	if (counters)
		add(counters, app_metrics_value(&app_metrics[metric], label),
		    count);
}

/*
 * The place of a gauge's value; NULL if this process has none. The gauges of a
 * plain CGI process would end with it.
 */
static _Atomic uint64_t *
gauge(struct counters *counters, unsigned metric, unsigned label)
{
	bool is_last = app_metrics[metric].kind == APP_METRIC_GAUGE_LAST;

	if (!counters || (!is_last && counters->own_slot == SLOT_CGI))
		return NULL;
	return &counters_values(counters,
	    is_last ? SLOT_MASTER : counters->own_slot)[app_metrics_value(
	    &app_metrics[metric], label)];
}

void
app_metrics_set(
    struct counters *counters, unsigned metric, unsigned label, double value)
{
	_Atomic uint64_t *place = gauge(counters, metric, label);

	if (!isfinite(value))
		refuse(metric, "not a finite number");
	else if (place)
		atomic_store_explicit(
		    place, encode(value), memory_order_relaxed);
}

void
app_metrics_change(
    struct counters *counters, unsigned metric, unsigned label, double change)
{
	_Atomic uint64_t *place = gauge(counters, metric, label);
	uint64_t then;
	double now;

	if (!isfinite(change)) {
		refuse(metric, "not a finite number");
		return;
	}
	if (!place)
		return;
	then = atomic_load_explicit(place, memory_order_relaxed);
	do {
		now = (then ? decode(then) : 0) + change;
		if (!isfinite(now)) {
			refuse(metric, "too large");
			return;
		}
	} while (!atomic_compare_exchange_weak(place, &then, encode(now)));
}

void
app_metrics_observe(
    struct counters *counters, unsigned metric, unsigned label, double value)
{
	const struct app_metric *histogram = &app_metrics[metric];
	double parts = value * (double)app_metrics_sum_scale(histogram);
	size_t bucket = 0;
	size_t index;

	if (isnan(value) || value < 0 || parts >= (double)INT64_MAX) {
		refuse(metric, isnan(value) ? "not a number"
			       : value < 0  ? "negative"
					    : "too large");
		return;
	}
	if (!counters)
		return;
	while (bucket < histogram->bound_count &&
	       value > histogram->bounds[bucket])
		bucket++;
	index = app_metrics_value(histogram, label);
	add(counters, index + 1 + bucket, 1);
	add(counters, index, (uint64_t)llround(parts));
}
