/*
 * Part of the build: fails for a line of fcgi/app/metrics.def that Prometheus
 * would not accept, or that would be mixed up with a metric of the engine.
 */
#include <stdio.h>
#include <string.h>

/* As in fcgi/metrics/app_exposition.c: there are as many buckets, with +Inf. */
enum { BUCKETS_MAX = 64, NAME_MAX = 100, LABEL_MAX = 100 };

struct value {
	const char *symbol;
	const char *text;
};

static const struct metric {
	int line;
	const char *kind;
	const char *name;
	const char *help;
	const double *bounds;
	size_t bound_count;
	const char *label;
	const struct value *values;
} metrics[] = {
#define VALUE(symbol, text) {#symbol, text},
#define METRIC(kind, name, help, buckets, label, ...)                          \
	{__LINE__, #kind, #name, help, buckets,                                \
	    sizeof(buckets) / sizeof(double), label,                           \
	    (const struct value[]){__VA_ARGS__{0}}},
#include "metrics/app_metrics.def"
#undef VALUE
    {0},
};

/* Only those with the program's name can be met: other prefixes are refused. */
static const char *const engine_families[] = {
#define COUNTER(symbol, family, unit, help)            family,
#define COUNTER_BY(label, family, unit, help, values)  family,
#define HISTOGRAM(symbol, family, unit, help)          family,
#define ENDPOINT_COUNTER(symbol, family, unit, help)   family,
#define ENDPOINT_HISTOGRAM(symbol, family, unit, help) family,
#define LABEL_SETS(family, unit, help)                 family,
#define GAUGE(symbol, family, unit, help)              family,
#include "metrics/metrics.def"
    NULL};

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
is_series_of(const char *name, const char *other)
{
	static const char *const suffixes[] = {
	    "", "_bucket", "_count", "_sum", "_created", "_total"};
	size_t length = strlen(other);

	if (has_suffix(other, "_total"))
		length -= strlen("_total");
	if (strncmp(name, other, length) != 0)
		return 0;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcmp(name + length, suffixes[i]) == 0)
			return 1;
	return 0;
}

/* Which other metric has series of this one's name; or NULL. */
static const char *
find_other(const struct metric *metric)
{
	static char fault[2 * NAME_MAX];
	const char *name = metric->name;

	for (const char *const *family = engine_families; *family; family++)
		if (is_series_of(name, *family) || is_series_of(*family, name))
			return "the engine has a metric of this name";
	for (const struct metric *other = metrics; other->name; other++) {
		if (other == metric || !is_series_of(name, other->name))
			continue;
		snprintf(fault, sizeof(fault),
		    "%.*s in line %d has series of this name", NAME_MAX,
		    other->name, other->line);
		return fault;
	}
	return NULL;
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
	return find_other(metric);
}

/* Keywords, and macros that are always there or in common headers. */
static int
is_word_of_c(const char *symbol)
{
	static const char words[] =
	    " auto break case char const continue default do double else enum "
	    "extern float for goto if inline int long register restrict return "
	    "short signed sizeof static struct switch typedef union unsigned "
	    "void volatile while asm typeof "
	    "NULL bool errno false linux true unix ";
	char word[NAME_MAX + 3];

	snprintf(word, sizeof(word), " %s ", symbol);
	return strstr(words, word) != NULL;
}

/* Symbols are constants of the whole program. */
static const char *
find_fault_in_symbol(const struct metric *metric, const struct value *value)
{
	static char fault[2 * NAME_MAX];

	if (!is_name(value->symbol))
		return "the symbol of a VALUE has letters, digits and _, and "
		       "begins with no digit";
	if (is_word_of_c(value->symbol)) {
		snprintf(fault, sizeof(fault),
		    "the symbol %.*s is a word of C: choose another", NAME_MAX,
		    value->symbol);
		return fault;
	}
	for (const struct metric *other = metrics; other <= metric; other++)
		for (const struct value *before = other->values;
		     before->symbol && before != value; before++)
			if (strcmp(before->symbol, value->symbol) == 0) {
				snprintf(fault, sizeof(fault),
				    "the symbol %.*s is taken by a VALUE in "
				    "line %d: a symbol is unique",
				    NAME_MAX, value->symbol, other->line);
				return fault;
			}
	return NULL;
}

static const char *
find_fault_in_value(const struct metric *metric, const struct value *value)
{
	const char *text = value->text;

	if (!*text || strlen(text) > LABEL_MAX || strpbrk(text, " \"\\\n\t{}"))
		return "a label's value has at most 100 characters, and no "
		       "space, quote, backslash and brace";
	if (strcmp(text, "other") == 0)
		return "\"other\" is there without a VALUE";
	for (const struct value *before = metric->values; before < value;
	     before++)
		if (strcmp(before->text, text) == 0)
			return "a label has the same value twice";
	return find_fault_in_symbol(metric, value);
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
	if (!metric->values->symbol)
		return "a label has at least one VALUE";
	for (const struct value *value = metric->values; value->symbol;
	     value++) {
		const char *fault = find_fault_in_value(metric, value);

		if (fault)
			return fault;
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
		fprintf(stderr, "fcgi/app/metrics.def:%d: %s: %s\n",
		    metric->line, metric->name, fault);
		status = 1;
	}
	return status;
}
