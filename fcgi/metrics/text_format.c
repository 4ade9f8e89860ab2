/*
 * Both text formats. A scrape has a thousand samples and more, so their lines
 * are put together without printf.
 */
#include "metrics/text_format.h"

#include <stdio.h>
#include <string.h>

static void
put(struct writer *writer, const char *text)
{
	writer_put(writer, text, strlen(text));
}

static void
put_count(struct writer *writer, uint64_t count)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + count % 10);
	while (count /= 10);
	writer_put(writer, digits + at, sizeof(digits) - at);
}

/* Nanoseconds as seconds with nine decimals. */
static void
put_nanoseconds(struct writer *writer, uint64_t ns)
{
	char decimals[10];
	uint64_t rest = ns % 1000000000;

	put_count(writer, ns / 1000000000);
	for (size_t at = sizeof(decimals); --at > 0; rest /= 10)
		decimals[at] = (char)('0' + rest % 10);
	decimals[0] = '.';
	writer_put(writer, decimals, sizeof(decimals));
}

static void
put_number(struct writer *writer, struct writer_number number)
{
	char text[32];

	switch (number.type) {
	case WRITER_COUNT:
		put_count(writer, number.value.count);
		break;
	case WRITER_NANOSECONDS:
		put_nanoseconds(writer, number.value.count);
		break;
	case WRITER_REAL:
		snprintf(text, sizeof(text), "%.15g", number.value.real);
		put(writer, text);
		break;
	}
}

/* One label; first it opens the braces. Returns what separates the next one. */
static const char *
put_label(struct writer *writer, const char *separator, const char *name,
    const char *value)
{
	put(writer, separator);
	put(writer, name);
	put(writer, "=\"");
	put(writer, value);
	put(writer, "\"");
	return ",";
}

/*
 * A line's name and labels, and the space after them. The suffix completes the
 * family's name; le is a bucket's bound, or NULL.
 */
static void
put_series(struct writer *writer, const char *suffix,
    const struct metric_label *labels, const char *le)
{
	const char *separator = "{";

	put(writer, writer->family->name);
	put(writer, suffix);
	for (; labels && labels->name; labels++)
		separator =
		    put_label(writer, separator, labels->name, labels->value);
	if (le)
		separator = put_label(writer, separator, "le", le);
	put(writer, *separator == ',' ? "} " : " ");
}

static void
write_sample(struct writer *writer, const struct metric_label *labels,
    struct writer_number number)
{
	put_series(writer, metric_family_suffix(writer->family), labels, NULL);
	put_number(writer, number);
	put(writer, "\n");
}

static void
put_exemplar(struct writer *writer, const struct writer_exemplar *exemplar)
{
	put(writer, " # {trace_id=\"");
	put(writer, exemplar->trace_id);
	put(writer, "\"} ");
	put_number(writer, exemplar->value);
	put(writer, " ");
	put_nanoseconds(writer, (uint64_t)exemplar->time_ns);
}

/* Buckets are cumulative here, so the last one, +Inf, is the count. */
static void
write_histogram(struct writer *writer, const struct metric_label *labels,
    const struct writer_histogram *histogram)
{
	const struct writer_exemplar *exemplars =
	    writer->format->has_exemplars ? histogram->exemplars : NULL;
	uint64_t count = 0;

	for (size_t i = 0; i <= histogram->bound_count; i++) {
		count += histogram->buckets[i];
		put_series(writer, "_bucket", labels, histogram->bounds[i].le);
		put_count(writer, count);
		if (exemplars && exemplars[i].trace_id[0])
			put_exemplar(writer, &exemplars[i]);
		put(writer, "\n");
	}
	put_series(writer, "_count", labels, NULL);
	put_count(writer, count);
	put(writer, "\n");
	put_series(writer, "_sum", labels, NULL);
	put_number(writer, histogram->sum);
	put(writer, "\n");
}

static void
put_comment(struct writer *writer, const char *keyword, const char *suffix,
    const char *text)
{
	put(writer, keyword);
	put(writer, writer->family->name);
	put(writer, suffix);
	put(writer, " ");
	put(writer, text);
	put(writer, "\n");
}

/* OpenMetrics calls a counter's family by its name without _total. */
static void
write_comments(struct writer *writer, const char *suffix)
{
	static const char *const types[] = {
	    [METRIC_COUNTER] = "counter",
	    [METRIC_GAUGE] = "gauge",
	    [METRIC_HISTOGRAM] = "histogram",
	};
	const struct metric_family *family = writer->family;

	put_comment(writer, "# HELP ", suffix, family->help);
	put_comment(writer, "# TYPE ", suffix, types[family->type]);
}

static void
begin_prometheus(struct writer *writer)
{
	write_comments(writer, metric_family_suffix(writer->family));
}

static void
begin_openmetrics(struct writer *writer)
{
	write_comments(writer, "");
	if (writer->family->unit)
		put_comment(writer, "# UNIT ", "", writer->family->unit);
}

static void
finish_openmetrics(struct writer *writer)
{
	put(writer, "# EOF\n");
}

const struct writer_format text_format_prometheus = {
    .content_type = "text/plain; version=0.0.4; charset=utf-8",
    .begin_family = begin_prometheus,
    .sample = write_sample,
    .histogram = write_histogram,
};

const struct writer_format text_format_openmetrics = {
    .content_type =
	"application/openmetrics-text; version=1.0.0; charset=utf-8",
    .has_exemplars = true,
    .begin_family = begin_openmetrics,
    .sample = write_sample,
    .histogram = write_histogram,
    .finish = finish_openmetrics,
};
