/*
 * A few messages are all there is, so this encodes them by itself. A message
 * inside another is written first; then its length goes in front of it.
 * https://protobuf.dev/programming-guides/encoding/
 */
#include "metrics/protobuf_format.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* How a field is encoded: the low bits of its key. */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2 };

/* The numbers of the fields, as metrics.proto has them. */
enum { FAMILY_NAME = 1, FAMILY_HELP, FAMILY_TYPE, FAMILY_METRIC, FAMILY_UNIT };
enum { SERIES_LABEL = 1, SERIES_GAUGE, SERIES_COUNTER, SERIES_HISTOGRAM = 7 };
enum { LABEL_NAME = 1, LABEL_VALUE };
enum { GAUGE_VALUE = 1 };
enum { COUNTER_VALUE = 1, COUNTER_CREATED = 3 };
enum {
	HISTOGRAM_COUNT = 1,
	HISTOGRAM_SUM,
	HISTOGRAM_BUCKET,
	HISTOGRAM_SCHEMA = 5,
	HISTOGRAM_ZERO_THRESHOLD,
	HISTOGRAM_ZERO_COUNT,
	HISTOGRAM_POSITIVE_SPAN = 12,
	HISTOGRAM_POSITIVE_DELTA,
	HISTOGRAM_CREATED = 15
};
enum { BUCKET_COUNT = 1, BUCKET_BOUND, BUCKET_EXEMPLAR };
enum { EXEMPLAR_LABEL = 1, EXEMPLAR_VALUE, EXEMPLAR_TIME };
enum { SPAN_OFFSET = 1, SPAN_LENGTH };
enum { TIMESTAMP_SECONDS = 1, TIMESTAMP_NANOS };

/* All fields here have numbers below 16, so a key is one byte. */
enum { VARINT_MAX = 10, HEAD_MAX = 1 + VARINT_MAX, NS = 1000000000 };

static size_t
encode_varint(unsigned char *bytes, uint64_t value)
{
	size_t size = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[size++] = (unsigned char)(value | 0x80);
	bytes[size++] = (unsigned char)value;
	return size;
}

static unsigned char
key(unsigned field, unsigned encoding)
{
	return (unsigned char)(field << 3 | encoding);
}

/* A key, and a number after it. */
static void
put_head(
    struct writer *writer, unsigned field, unsigned encoding, uint64_t value)
{
	unsigned char head[HEAD_MAX] = {key(field, encoding)};

	writer_put(writer, head, 1 + encode_varint(head + 1, value));
}

static void
put_count(struct writer *writer, unsigned field, uint64_t value)
{
	put_head(writer, field, VARINT, value);
}

/* Types sint32 and sint64: small numbers are short, also negative ones. */
static void
put_signed(struct writer *writer, unsigned field, int64_t value)
{
	put_count(
	    writer, field, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

static void
put_double(struct writer *writer, unsigned field, double value)
{
	unsigned char bytes[1 + sizeof(uint64_t)] = {key(field, FIXED64)};
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	bits = htole64(bits);
	memcpy(bytes + 1, &bits, sizeof(bits));
	writer_put(writer, bytes, sizeof(bytes));
}

/* A text in two parts. */
static void
put_text(
    struct writer *writer, unsigned field, const char *text, const char *suffix)
{
	size_t length = strlen(text);
	size_t suffix_length = strlen(suffix);

	put_head(writer, field, BYTES, length + suffix_length);
	writer_put(writer, text, length);
	writer_put(writer, suffix, suffix_length);
}

/*
 * Begin a message in this field, with a byte for its length. Returns where its
 * contents begin, for end().
 */
static size_t
begin(struct writer *writer, unsigned field)
{
	put_head(writer, field, BYTES, 0);
	return writer->size;
}

/* End a message: fill in its length, which may need more bytes. */
static void
end(struct writer *writer, size_t at)
{
	unsigned char bytes[VARINT_MAX] = {0};
	size_t length = writer->size - at;
	size_t size = encode_varint(bytes, length);

	writer_put(writer, bytes, size - 1);
	if (writer->has_failed)
		return;
	if (size > 1)
		memmove(
		    writer->bytes + at + size - 1, writer->bytes + at, length);
	memcpy(writer->bytes + at - 1, bytes, size);
}

static double
number_of(struct writer_number number)
{
	switch (number.type) {
	case WRITER_COUNT:
		return (double)number.value.count;
	case WRITER_NANOSECONDS:
		return (double)number.value.count / NS;
	case WRITER_REAL:
		break;
	}
	return number.value.real;
}

static void
put_time(struct writer *writer, unsigned field, int64_t ns)
{
	size_t at = begin(writer, field);

	put_count(writer, TIMESTAMP_SECONDS, (uint64_t)(ns / NS));
	put_count(writer, TIMESTAMP_NANOS, (uint64_t)(ns % NS));
	end(writer, at);
}

/* Since when this counts, if that is known. */
static void
put_created(struct writer *writer, unsigned field)
{
	if (writer->created_ns > 0)
		put_time(writer, field, writer->created_ns);
}

static void
put_labels(
    struct writer *writer, unsigned field, const struct metric_label *labels)
{
	for (; labels && labels->name; labels++) {
		size_t at = begin(writer, field);

		put_text(writer, LABEL_NAME, labels->name, "");
		put_text(writer, LABEL_VALUE, labels->value, "");
		end(writer, at);
	}
}

/* Begin a series; end() ends it. */
static size_t
begin_metric(struct writer *writer, const struct metric_label *labels)
{
	size_t at = begin(writer, FAMILY_METRIC);

	put_labels(writer, SERIES_LABEL, labels);
	return at;
}

static void
write_sample(struct writer *writer, const struct metric_label *labels,
    struct writer_number number)
{
	bool is_counter = writer->family->type == METRIC_COUNTER;
	size_t metric = begin_metric(writer, labels);
	size_t at = begin(writer, is_counter ? SERIES_COUNTER : SERIES_GAUGE);

	put_double(writer, is_counter ? COUNTER_VALUE : GAUGE_VALUE,
	    number_of(number));
	if (is_counter)
		put_created(writer, COUNTER_CREATED);
	end(writer, at);
	end(writer, metric);
}

static void
put_span(struct writer *writer, int64_t gap, size_t length)
{
	size_t at = begin(writer, HISTOGRAM_POSITIVE_SPAN);

	put_signed(writer, SPAN_OFFSET, gap);
	put_count(writer, SPAN_LENGTH, length);
	end(writer, at);
}

/*
 * Spans of buckets that follow each other, and then the count of each bucket as
 * the difference from the one before it.
 */
static void
put_native(struct writer *writer, const struct writer_native *native)
{
	const struct writer_native_bucket *buckets = native->buckets;
	int64_t next = 0;
	uint64_t before = 0;

	put_signed(writer, HISTOGRAM_SCHEMA, WRITER_NATIVE_SCHEMA);
	put_double(writer, HISTOGRAM_ZERO_THRESHOLD, WRITER_NATIVE_ZERO);
	put_count(writer, HISTOGRAM_ZERO_COUNT, native->zero_count);
	for (size_t i = 0, length; i < native->bucket_count; i += length) {
		int index = buckets[i].index;

		for (length = 1; i + length < native->bucket_count; length++)
			if (buckets[i + length].index != index + (int)length)
				break;
		put_span(writer, index - next, length);
		next = index + (int64_t)length;
	}
	for (size_t i = 0; i < native->bucket_count; i++) {
		put_signed(writer, HISTOGRAM_POSITIVE_DELTA,
		    (int64_t)(buckets[i].count - before));
		before = buckets[i].count;
	}
}

static void
put_exemplar(struct writer *writer, const struct writer_exemplar *exemplar)
{
	const struct metric_label labels[] = {
	    {"trace_id", exemplar->trace_id}, {NULL, NULL}};
	size_t at;

	if (!exemplar->trace_id[0])
		return;
	at = begin(writer, BUCKET_EXEMPLAR);
	put_labels(writer, EXEMPLAR_LABEL, labels);
	put_double(writer, EXEMPLAR_VALUE, number_of(exemplar->value));
	put_time(writer, EXEMPLAR_TIME, exemplar->time_ns);
	end(writer, at);
}

/* Buckets are cumulative here, so the last one, +Inf, is the count. */
static void
write_histogram(struct writer *writer, const struct metric_label *labels,
    const struct writer_histogram *histogram)
{
	size_t metric = begin_metric(writer, labels);
	size_t all = begin(writer, SERIES_HISTOGRAM);
	uint64_t count = 0;

	for (size_t i = 0; i <= histogram->bound_count; i++) {
		size_t at = begin(writer, HISTOGRAM_BUCKET);

		count += histogram->buckets[i];
		put_count(writer, BUCKET_COUNT, count);
		put_double(writer, BUCKET_BOUND,
		    strtod(histogram->bounds[i].le, NULL));
		if (histogram->exemplars)
			put_exemplar(writer, &histogram->exemplars[i]);
		end(writer, at);
	}
	put_count(writer, HISTOGRAM_COUNT, count);
	put_double(writer, HISTOGRAM_SUM, number_of(histogram->sum));
	if (histogram->native)
		put_native(writer, histogram->native);
	put_created(writer, HISTOGRAM_CREATED);
	end(writer, all);
	end(writer, metric);
}

static void
begin_family(struct writer *writer)
{
	/* enum MetricType */
	static const unsigned types[] = {
	    [METRIC_COUNTER] = 0,
	    [METRIC_GAUGE] = 1,
	    [METRIC_HISTOGRAM] = 4,
	};
	const struct metric_family *family = writer->family;

	writer_put(writer, "", 1); /* for its length */
	writer->family_at = writer->size;
	put_text(
	    writer, FAMILY_NAME, family->name, metric_family_suffix(family));
	put_text(writer, FAMILY_HELP, family->help, "");
	put_count(writer, FAMILY_TYPE, types[family->type]);
	if (family->unit)
		put_text(writer, FAMILY_UNIT, family->unit, "");
}

static void
end_family(struct writer *writer)
{
	end(writer, writer->family_at);
}

const struct writer_format protobuf_format = {
    .content_type = "application/vnd.google.protobuf; "
		    "proto=io.prometheus.client.MetricFamily; "
		    "encoding=delimited",
    .has_exemplars = true,
    .has_native = true,
    .begin_family = begin_family,
    .sample = write_sample,
    .histogram = write_histogram,
    .end_family = end_family,
};
