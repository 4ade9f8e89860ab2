#include "metrics/app_exposition.h"

#include <stdio.h>
#include <string.h>

#include "metrics/app_metrics.h"

enum { NAME_SIZE = 128, BUCKETS_MAX = 64 };

/* The unit in a family's name, which is its last word; NULL: it has none. */
static const char *
find_unit(const char *family)
{
	static const char *const units[] = {"seconds", "bytes", "ratio",
	    "joules", "grams", "meters", "volts", "amperes", "celsius"};
	const char *word = strrchr(family, '_');

	for (size_t i = 0; word && i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(word + 1, units[i]) == 0)
			return units[i];
	return NULL;
}

static struct metric_family
make_family(const struct app_metric *metric, char name[NAME_SIZE])
{
	static const enum metric_type types[] = {
	    [APP_METRIC_COUNTER] = METRIC_COUNTER,
	    [APP_METRIC_GAUGE] = METRIC_GAUGE,
	    [APP_METRIC_GAUGE_LAST] = METRIC_GAUGE,
	    [APP_METRIC_HISTOGRAM] = METRIC_HISTOGRAM,
	};

	snprintf(name, NAME_SIZE, "%s", metric->name);
	if (metric->kind == APP_METRIC_COUNTER)
		name[strlen(name) - strlen("_total")] = '\0';
	return (struct metric_family){
	    name, types[metric->kind], find_unit(name), metric->help};
}

static void
write_gauge(
    struct writer *writer, const struct metric_label *labels, double value)
{
	writer_sample(writer, labels,
	    (struct writer_number){WRITER_REAL, {.real = value}});
}

/* The sum over the workers that live. */
static double
sum_gauge(const struct counters *counters, bool alive, size_t index)
{
	double sum = 0;

	for (unsigned slot = 0; alive && slot < counters->slot_count; slot++) {
		double value;

		if (app_metrics_read_gauge(counters, slot, index, &value))
			sum += value;
	}
	return sum;
}

static void
write_histogram(struct writer *writer, const struct counters *counters,
    const struct app_metric *metric, const struct metric_label *labels,
    size_t index)
{
	char texts[BUCKETS_MAX][APP_METRICS_BOUND_SIZE];
	struct metric_bound bounds[BUCKETS_MAX];
	uint64_t buckets[BUCKETS_MAX];
	const struct writer_histogram histogram = {
	    .bounds = bounds,
	    .bound_count = metric->bound_count,
	    .buckets = buckets,
	    .sum = {app_metrics_sum_scale(metric) == 1 ? WRITER_COUNT
						       : WRITER_NANOSECONDS,
		{.count = counters_sum(counters, index)}},
	};

	for (size_t i = 0; i <= metric->bound_count; i++) {
		app_metrics_format_bound(metric, i, texts[i]);
		bounds[i] = (struct metric_bound){0, texts[i]};
		buckets[i] = counters_sum(counters, index + 1 + i);
	}
	writer_histogram(writer, labels, &histogram);
}

static void
write_series(struct writer *writer, const struct counters *counters, bool alive,
    const struct app_metric *metric, unsigned label)
{
	const struct metric_label labels[] = {
	    {metric->label, app_metrics_label_text(metric, label)},
	    {NULL, NULL},
	};
	size_t index = app_metrics_value(metric, label);
	double value;

	switch (metric->kind) {
	case APP_METRIC_COUNTER:
		writer_count(writer, labels, counters_sum(counters, index));
		break;
	case APP_METRIC_GAUGE:
		write_gauge(writer, labels, sum_gauge(counters, alive, index));
		break;
	case APP_METRIC_GAUGE_LAST:
		if (app_metrics_read_gauge(
			counters, SLOT_MASTER, index, &value))
			write_gauge(writer, labels, value);
		break;
	case APP_METRIC_HISTOGRAM:
		write_histogram(writer, counters, metric, labels, index);
		break;
	}
}

void
app_exposition_write(
    const struct counters *counters, bool alive, struct writer *writer)
{
	for (const struct app_metric *metric = app_metrics; metric->name;
	     metric++) {
		char name[NAME_SIZE];
		const struct metric_family family = make_family(metric, name);

		writer_begin_family(writer, &family);
		for (unsigned i = 0; i <= metric->other; i++)
			write_series(writer, counters, alive, metric, i);
		writer_end_family(writer);
	}
}
