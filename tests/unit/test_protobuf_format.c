/*
 * The protobuf format, byte by byte: tags and lengths as the encoding's
 * specification has them. tests/integration decodes whole scrapes.
 */
#include "support.h"

#include "metrics/protobuf_format.h"

static const struct metric_family counter = {
    "jobs", METRIC_COUNTER, NULL, "Done."};
static const struct metric_family gauge = {
    "size_bytes", METRIC_GAUGE, "bytes", "Size."};
static const struct metric_family times = {"t", METRIC_HISTOGRAM, NULL, "T."};

/* The whole of what was written, and not a byte more. */
static void
assert_bytes(struct writer *writer, const char *expected, size_t length)
{
	size_t size;
	char *bytes = writer_finish(writer, &size);

	assert_non_null(bytes);
	assert_int_equal(size, length);
	assert_memory_equal(bytes, expected, length);
	free(bytes);
}

#define ASSERT_BYTES(writer, text) assert_bytes(writer, text, sizeof(text) - 1)

static void
a_counter_has_its_full_name_and_when_it_was_0(void **state)
{
	struct writer writer = {
	    .format = &protobuf_format, .created_ns = 1000000000000000003};

	(void)state;
	writer_begin_family(&writer, &counter);
	writer_count(&writer, NULL, 7);
	writer_end_family(&writer);
	ASSERT_BYTES(&writer, "\x2c"
			      "\x0a\x0ajobs_total\x12\x05"
			      "Done.\x18\x00"
			      "\x22\x15\x1a\x13\x09\0\0\0\0\0\0\x1c\x40"
			      "\x1a\x08\x08\x80\x94\xeb\xdc\x03\x10\x03");
}

static void
a_gauge_has_a_unit_and_labels_and_began_at_no_time(void **state)
{
	const struct metric_label labels[] = {{"a", "x"}, {NULL, NULL}};
	struct writer writer = {.format = &protobuf_format, .created_ns = 1};

	(void)state;
	writer_begin_family(&writer, &gauge);
	writer_count(&writer, labels, 7);
	writer_end_family(&writer);
	ASSERT_BYTES(&writer, "\x31"
			      "\x0a\x0asize_bytes\x12\x05Size.\x18\x01\x2a\x05"
			      "bytes"
			      "\x22\x13\x0a\x06\x0a\x01\x61\x12\x01x"
			      "\x12\x09\x09\0\0\0\0\0\0\x1c\x40");
}

/* In the bucket; the other one has none. */
static void
an_exemplar_has_a_trace_id_a_value_and_a_time(void **state)
{
	static const struct metric_bound bounds[] = {
	    {2000000000, "2.0"}, {INT64_MAX, "+Inf"}};
	static const uint64_t buckets[] = {1, 0};
	static const struct writer_exemplar exemplars[] = {
	    {"", {WRITER_COUNT, {0}}, 0},
	    {"0123", {WRITER_NANOSECONDS, {12500000000}}, 1000000005}};
	const struct writer_histogram histogram = {.bounds = bounds,
	    .bound_count = 1,
	    .buckets = buckets,
	    .sum = {WRITER_COUNT, {.count = 0}},
	    .exemplars = exemplars};
	struct writer writer = {.format = &protobuf_format};

	(void)state;
	writer_begin_family(&writer, &times);
	writer_histogram(&writer, NULL, &histogram);
	writer_end_family(&writer);
	ASSERT_BYTES(&writer, "\x55\x0a\x01t\x12\x02T.\x18\x04\x22\x4a\x3a\x48"
			      "\x1a\x0b\x08\x01\x11\0\0\0\0\0\0\0\x40"
			      "\x1a\x2e\x08\x01\x11\0\0\0\0\0\0\xf0\x7f"
			      "\x1a\x21\x0a\x10\x0a\x08trace_id\x12\x04"
			      "0123"
			      "\x11\0\0\0\0\0\0\x29\x40\x1a\x04\x08\x01\x10\x05"
			      "\x08\x01\x11\0\0\0\0\0\0\0\0");
}

/* Buckets -3 and -2, and 4 after a gap: two spans, and differences. */
static void
a_native_histogram_stands_beside_the_classic_one(void **state)
{
	static const struct metric_bound bounds[] = {{INT64_MAX, "+Inf"}};
	static const uint64_t buckets[] = {9};
	static const struct writer_native_bucket native_buckets[] = {
	    {-3, 2}, {-2, 5}, {4, 1}};
	static const struct writer_native native = {native_buckets, 3, 1};
	const struct writer_histogram histogram = {.bounds = bounds,
	    .buckets = buckets,
	    .sum = {WRITER_NANOSECONDS, {12500000000}},
	    .native = &native};
	struct writer writer = {.format = &protobuf_format};

	(void)state;
	writer_begin_family(&writer, &times);
	writer_histogram(&writer, NULL, &histogram);
	writer_end_family(&writer);
	ASSERT_BYTES(&writer, "\x44\x0a\x01t\x12\x02T.\x18\x04\x22\x39\x3a\x37"
			      "\x1a\x0b\x08\x09\x11\0\0\0\0\0\0\xf0\x7f"
			      "\x08\x09\x11\0\0\0\0\0\0\x29\x40"
			      "\x28\x06\x31\0\0\0\0\0\0\xb0\x3e\x38\x01"
			      "\x62\x04\x08\x05\x10\x02\x62\x04\x08\x0a\x10\x01"
			      "\x68\x04\x68\x06\x68\x07");
}

/* A length of more than one byte moves what it stands in front of. */
static void
long_messages_have_long_lengths(void **state)
{
	enum { SAMPLES = 20000, SAMPLE = 2 + 2 + 9 };
	struct writer writer = {.format = &protobuf_format};
	size_t size;
	char *bytes;

	(void)state;
	writer_begin_family(&writer, &gauge);
	for (int i = 0; i < SAMPLES; i++)
		writer_count(&writer, NULL, 0);
	writer_end_family(&writer);
	bytes = writer_finish(&writer, &size);
	assert_non_null(bytes);
	assert_int_equal(size, 3 + 28 + SAMPLES * SAMPLE);
	assert_memory_equal(bytes, "\xbc\xef\x0f\x0a\x0asize_bytes", 15);
	assert_memory_equal(
	    bytes + size - SAMPLE, "\x22\x0b\x12\x09\x09\0\0\0\0\0\0\0\0", 13);
	free(bytes);
}

#define TEST(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_counter_has_its_full_name_and_when_it_was_0),
	    TEST(a_gauge_has_a_unit_and_labels_and_began_at_no_time),
	    TEST(an_exemplar_has_a_trace_id_a_value_and_a_time),
	    TEST(a_native_histogram_stands_beside_the_classic_one),
	    TEST(long_messages_have_long_lengths),
	};

	return SUPPORT_RUN(tests);
}
