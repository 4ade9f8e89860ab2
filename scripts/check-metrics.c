/*
 * Part of the build: fails for a line of fcgi/app/metrics.def that Prometheus
 * would not accept, or that would be mixed up with a metric of the engine.
 */
#include <stdio.h>
#include <string.h>

/* As in fcgi/metrics/app_exposition.c: there are as many buckets, with +Inf. */
enum { BUCKETS_MAX = 64, NAME_MAX = 100, LABEL_MAX = 100 };

static const struct metric {
	const char *kind;
	const char *name;
	const char *help;
	const double *bounds;
	size_t bound_count;
	const char *label;
	const char *const *values;
} metrics[] = {
#define VALUE(symbol, text) text,
#define METRIC(kind, name, help, buckets, label, ...)                          \
	{#kind, #name, help, buckets, sizeof(buckets) / sizeof(double), label, \
	    (const char *const[]){__VA_ARGS__ NULL}},
#include "metrics/app_metrics.def"
#undef VALUE
    {0},
};

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define DIGITS  "0123456789"

static int
is_name(const char *text)
{
	return *text && strlen(text) <= NAME_MAX && !strchr(DIGITS, *text) &&
	       text[strspn(text, LETTERS DIGITS)] == '\0';
}

static int
has_suffix(const char *text, const char *suffix)
{
	size_t length = strlen(text);

	return length > strlen(suffix) &&
	       strcmp(text + length - strlen(suffix), suffix) == 0;
}

/* Whether Prometheus makes series of this name out of the other metric. */
static int
is_series_of(const char *name, const struct metric *other)
{
	static const char *const suffixes[] = {
	    "", "_bucket", "_count", "_sum", "_created", "_total"};
	size_t length = strlen(other->name);

	if (has_suffix(other->name, "_total"))
		length -= strlen("_total");
	if (strncmp(name, other->name, length) != 0)
		return 0;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcmp(name + length, suffixes[i]) == 0)
			return 1;
	return 0;
}

static const char *
find_fault_in_name(const struct metric *metric)
{
	static const char *const engine[] = {
	    "http_", "fcgi_", "cgroup_", "process_"};
	int is_counter = strcmp(metric->kind, "COUNTER") == 0;

	if (!is_name(metric->name))
		return "a name has at most 100 letters, digits and _";
	for (size_t i = 0; i < sizeof(engine) / sizeof(engine[0]); i++)
		if (strncmp(metric->name, engine[i], strlen(engine[i])) == 0)
			return "http_, fcgi_, cgroup_ and process_ begin the "
			       "names of the engine's metrics";
	if (is_counter != has_suffix(metric->name, "_total"))
		return "the names of counters end in _total, and no others";
	for (const struct metric *other = metrics; other->name; other++)
		if (other != metric && is_series_of(metric->name, other))
			return "another metric has series of this name";
	return NULL;
}

static const char *
find_fault_in_label(const struct metric *metric)
{
	if (!metric->label)
		return NULL;
	if (!is_name(metric->label) || strncmp(metric->label, "__", 2) == 0)
		return "a label has at most 100 letters, digits and _";
	if (strcmp(metric->label, "le") == 0)
		return "the label le is that of buckets";
	for (const char *const *value = metric->values; *value; value++) {
		if (!**value || strlen(*value) > LABEL_MAX ||
		    strpbrk(*value, " \"\\\n\t{}"))
			return "a label's value has at most 100 characters, "
			       "and no space, quote, backslash and brace";
		if (strcmp(*value, "other") == 0)
			return "\"other\" is there without a VALUE";
		for (const char *const *before = metric->values; before < value;
		     before++)
			if (strcmp(*before, *value) == 0)
				return "a label has the same value twice";
	}
	return NULL;
}

static const char *
find_fault_in_buckets(const struct metric *metric)
{
	if (strcmp(metric->kind, "HISTOGRAM") != 0)
		return NULL;
	if (metric->bound_count >= BUCKETS_MAX)
		return "there are at most 63 buckets";
	for (size_t i = 0; i < metric->bound_count; i++)
		if (!(metric->bounds[i] >= 0) || metric->bounds[i] > 1e300 ||
		    (i > 0 && metric->bounds[i] <= metric->bounds[i - 1]))
			return "the buckets are numbers from 0 that increase";
	return NULL;
}

/* Returns what is wrong with a metric, or NULL. */
static const char *
find_fault(const struct metric *metric)
{
	const char *fault = find_fault_in_name(metric);

	if (!fault && (!*metric->help || strpbrk(metric->help, "\"\\\n")))
		fault = "a help is one line without quotes and backslashes";
	if (!fault)
		fault = find_fault_in_label(metric);
	return fault ? fault : find_fault_in_buckets(metric);
}

int
main(void)
{
	int status = 0;

	for (const struct metric *metric = metrics; metric->name; metric++) {
		const char *fault = find_fault(metric);

		if (!fault)
			continue;
		fprintf(stderr, "fcgi/app/metrics.def: %s: %s\n", metric->name,
		    fault);
		status = 1;
	}
	return status;
}
