/*
 * The table of metrics, and the names of their values in the counter file. The
 * names go into the file, so that another version finds its counts again.
 */
#include "metrics/registry.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct metric_bound registry_bounds[REGISTRY_BOUND_COUNT + 1] = {
    {100000, "0.0001"},
    {250000, "0.00025"},
    {500000, "0.0005"},
    {1000000, "0.001"},
    {2500000, "0.0025"},
    {5000000, "0.005"},
    {10000000, "0.01"},
    {25000000, "0.025"},
    {50000000, "0.05"},
    {100000000, "0.1"},
    {250000000, "0.25"},
    {500000000, "0.5"},
    {1000000000, "1.0"},
    {2500000000, "2.5"},
    {5000000000, "5.0"},
    {10000000000, "10.0"},
    {INT64_MAX, "+Inf"},
};

/* NOLINTBEGIN(bugprone-macro-parentheses): values is a list */
const struct registry_family registry_families[] = {
#define COUNTER(symbol, family, unit, help)                                    \
	{{family, METRIC_COUNTER, unit, help}, REGISTRY_KIND_COUNTER,          \
	    REGISTRY_##symbol, NULL, NULL, 0},
#define COUNTER_BY(label, family, unit, help, values)                          \
	{{family, METRIC_COUNTER, unit, help}, REGISTRY_KIND_COUNTER_BY, 0,    \
	    label, (const struct registry_series[]){values{NULL, 0}}, 0},
#define VALUE(symbol, text) {text, REGISTRY_##symbol},
#define HISTOGRAM(symbol, family, unit, help)                                  \
	{{family, METRIC_HISTOGRAM, unit, help}, REGISTRY_KIND_HISTOGRAM,      \
	    REGISTRY_##symbol, NULL, NULL, REGISTRY_CELLS_##symbol},
#define ENDPOINT_COUNTER(symbol, family, unit, help)                           \
	{{family, METRIC_COUNTER, unit, help}, REGISTRY_KIND_ENDPOINT_COUNTER, \
	    REGISTRY_ENDPOINT_##symbol, NULL, NULL, 0},
#define ENDPOINT_HISTOGRAM(symbol, family, unit, help)                         \
	{{family, METRIC_HISTOGRAM, unit, help},                               \
	    REGISTRY_KIND_ENDPOINT_HISTOGRAM, REGISTRY_ENDPOINT_##symbol,      \
	    NULL, NULL, REGISTRY_CELLS_##symbol},
#define LABEL_SETS(family, unit, help)                                         \
	{{family, METRIC_COUNTER, unit, help}, REGISTRY_KIND_LABEL_SETS, 0,    \
	    NULL, NULL, 0},
#define GAUGE(symbol, family, unit, help)                                      \
	{{family, METRIC_GAUGE, unit, help}, REGISTRY_KIND_GAUGE,              \
	    REGISTRY_GAUGE_##symbol, NULL, NULL, 0},
#define INTERNAL(symbol, name)                                                 \
	{{name, METRIC_GAUGE, NULL, ""}, REGISTRY_KIND_INTERNAL,               \
	    REGISTRY_##symbol, NULL, NULL, 0},
#include "metrics/metrics.def"
#undef VALUE
    {{NULL, METRIC_GAUGE, NULL, NULL}, REGISTRY_KIND_INTERNAL, 0, NULL, NULL,
	0},
};
/* NOLINTEND(bugprone-macro-parentheses) */

static int set_name(const char **name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int
set_name(const char **name, const char *format, ...)
{
	char *text;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	*name = length < 0 ? NULL : text;
	return length < 0 ? -1 : 0;
}

/*
 * The names of a histogram's values. labels is "" or ends with a comma. The
 * buckets of what is in no cell are buckets to a migration, too.
 */
static int
set_histogram_names(const char **names, const char *family, const char *labels)
{
	size_t length = strlen(labels);
	int error = length == 0 ? set_name(&names[0], "%s_sum", family)
				: set_name(&names[0], "%s_sum{%.*s}", family,
				      (int)length - 1, labels);

	for (int i = 0; i < REGISTRY_BUCKETS; i++) {
		error |= set_name(&names[1 + i], "%s_bucket{%sle=\"%s\"}",
		    family, labels, registry_bounds[i].le);
		error |= set_name(&names[REGISTRY_NO_CELL + i],
		    "%s_no_cell_bucket{%sle=\"%s\"}", family, labels,
		    registry_bounds[i].le);
	}
	return error;
}

/* The names of a family's values for one endpoint. */
static int
set_endpoint_names(const char **names, const struct registry_family *family,
    const char *endpoint)
{
	char labels[256];

	if (family->kind == REGISTRY_KIND_ENDPOINT_COUNTER)
		return set_name(&names[0], "%s_total{endpoint=\"%s\"}",
		    family->family.name, endpoint);
	snprintf(labels, sizeof(labels), "endpoint=\"%s\",", endpoint);
	return set_histogram_names(names, family->family.name, labels);
}

/* The names of all values of a family. Returns 0, or -1 without memory. */
static int
set_family_names(const char **names, const struct registry_family *family,
    const struct registry *registry)
{
	const char *name = family->family.name;
	int error = 0;

	switch (family->kind) {
	case REGISTRY_KIND_COUNTER:
		return set_name(&names[family->value], "%s_total", name);
	case REGISTRY_KIND_COUNTER_BY:
		for (const struct registry_series *series = family->series;
		     series->label_value; series++)
			error |= set_name(&names[series->value],
			    "%s_total{%s=\"%s\"}", name, family->label,
			    series->label_value);
		return error;
	case REGISTRY_KIND_HISTOGRAM:
		return set_histogram_names(&names[family->value], name, "");
	case REGISTRY_KIND_ENDPOINT_COUNTER:
	case REGISTRY_KIND_ENDPOINT_HISTOGRAM:
		for (unsigned i = 0; i < registry->endpoint_count; i++)
			error |= set_endpoint_names(
			    &names[registry_endpoint_value(i, family->value)],
			    family, registry->endpoints[i]);
		return error;
	case REGISTRY_KIND_INTERNAL:
		return set_name(&names[family->value], "%s", name);
	case REGISTRY_KIND_LABEL_SETS:
	case REGISTRY_KIND_GAUGE:
		break; /* they have no fixed values */
	}
	return 0;
}

_Static_assert(REGISTRY_CELL_METHODS < 200,
    "a label set has 8 bits for its method, and requests need some, too");

/*
 * The methods of requests, those of cells, and the last of requests again.
 * Returns 0, or -1 without memory.
 */
static int
set_methods(const char **names, const char *const *methods, size_t count)
{
	const char **name = names + count;
	int error = 0;

	memcpy(names, methods, count * sizeof(*names));
	for (const struct registry_family *family = registry_families;
	     family->family.name; family++) {
		if (family->kind != REGISTRY_KIND_HISTOGRAM &&
		    family->kind != REGISTRY_KIND_ENDPOINT_HISTOGRAM)
			continue;
		for (size_t i = 0; i < REGISTRY_BUCKETS; i++)
			error |= set_name(
			    &name[family->cells * REGISTRY_BUCKETS + i],
			    "%s{le=\"%s\"}", family->family.name,
			    registry_bounds[i].le);
	}
	name[REGISTRY_CELL_METHODS] = methods[count - 1];
	return error;
}

static size_t
next_power_of_two(size_t value)
{
	size_t power = 1;

	while (power < value)
		power *= 2;
	return power;
}

struct registry *
registry_new(const char *const *endpoints, size_t endpoint_count,
    const char *const *methods, size_t method_count)
{
	size_t count =
	    REGISTRY_ENDPOINTS + endpoint_count * REGISTRY_ENDPOINT_VALUES;
	struct registry *registry = calloc(1, sizeof(*registry));
	const char **names = calloc(count, sizeof(*names));
	size_t all_methods = method_count + REGISTRY_CELL_METHODS + 1;
	const char **method_names = calloc(all_methods, sizeof(*method_names));
	int error = 0;

	if (!registry || !names || !method_names) {
		free(registry);
		free(names);
		free(method_names);
		return NULL;
	}
	/*
	 * /status alone has label sets for 400 codes and two methods. Half of
	 * the table is for cells, of which a time between 1 ms and 1 s can be
	 * in 88.
	 */
	*registry = (struct registry){names, count, endpoints, endpoint_count,
	    method_names, all_methods,
	    next_power_of_two(1024 + 64 * endpoint_count)};
	error |= set_methods(method_names, methods, method_count);
	for (const struct registry_family *family = registry_families;
	     family->family.name; family++)
		error |= set_family_names(names, family, registry);
	error |= app_metrics_set_names(names);
	if (error) {
		registry_free(registry);
		return NULL;
	}
	return registry;
}

void
registry_free(struct registry *registry)
{
	if (!registry)
		return;
	for (size_t i = 0; i < registry->fixed_count; i++)
		free((char *)(uintptr_t)registry->fixed[i]);
	for (size_t i = 0; i < REGISTRY_CELL_METHODS; i++)
		free((char *)(uintptr_t)
			 registry->methods[registry->method_count - 2 - i]);
	free((void *)(uintptr_t)registry->fixed);
	free((void *)(uintptr_t)registry->methods);
	free(registry);
}
