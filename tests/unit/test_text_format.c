/*
 * The text formats, line by line: what a writer makes of families and samples.
 */
#include "support.h"

#include "metrics/text_format.h"

static const struct metric_family counter = {
    "jobs", METRIC_COUNTER, NULL, "Jobs done."};
static const struct metric_family gauge = {
    "size_bytes", METRIC_GAUGE, "bytes", "Size."};
static const struct metric_family times = {
    "job_seconds", METRIC_HISTOGRAM, "seconds", "Time of a job."};

static void
assert_text(struct writer *writer, const char *expected)
{
	size_t size;
	char *text = writer_finish(writer, &size);

	assert_non_null(text);
	assert_string_equal(text, expected);
	assert_int_equal(size, strlen(expected));
	free(text);
}

static void
a_counter_is_named_with_total_where_the_format_wants_it(void **state)
{
	struct writer prometheus = {.format = &text_format_prometheus};
	struct writer openmetrics = {.format = &text_format_openmetrics};

	(void)state;
	writer_begin_family(&prometheus, &counter);
	writer_count(&prometheus, NULL, 7);
	writer_end_family(&prometheus);
	assert_text(&prometheus, "# HELP jobs_total Jobs done.\n"
				 "# TYPE jobs_total counter\n"
				 "jobs_total 7\n");
	writer_begin_family(&openmetrics, &counter);
	writer_count(&openmetrics, NULL, 7);
	writer_end_family(&openmetrics);
	assert_text(&openmetrics, "# HELP jobs Jobs done.\n"
				  "# TYPE jobs counter\n"
				  "jobs_total 7\n"
				  "# EOF\n");
}

static void
only_openmetrics_names_the_unit(void **state)
{
	struct writer prometheus = {.format = &text_format_prometheus};
	struct writer openmetrics = {.format = &text_format_openmetrics};

	(void)state;
	writer_begin_family(&prometheus, &gauge);
	assert_text(&prometheus, "# HELP size_bytes Size.\n"
				 "# TYPE size_bytes gauge\n");
	writer_begin_family(&openmetrics, &gauge);
	assert_text(&openmetrics, "# HELP size_bytes Size.\n"
				  "# TYPE size_bytes gauge\n"
				  "# UNIT size_bytes bytes\n"
				  "# EOF\n");
}

static void
labels_stand_in_braces_in_their_order(void **state)
{
	const struct metric_label one[] = {{"a", "x"}, {NULL, NULL}};
	const struct metric_label two[] = {
	    {"a", "x"}, {"b", "y z"}, {NULL, NULL}};
	const struct metric_label none[] = {{NULL, NULL}};
	struct writer writer = {
	    .format = &text_format_prometheus, .family = &gauge};

	(void)state;
	writer_count(&writer, one, 1);
	writer_count(&writer, two, 2);
	writer_count(&writer, none, 3);
	writer_count(&writer, NULL, 4);
	assert_text(&writer, "size_bytes{a=\"x\"} 1\n"
			     "size_bytes{a=\"x\",b=\"y z\"} 2\n"
			     "size_bytes 3\n"
			     "size_bytes 4\n");
}

static void
numbers_are_exact(void **state)
{
	static const struct writer_number numbers[] = {
	    {WRITER_COUNT, {.count = 0}},
	    {WRITER_COUNT, {.count = UINT64_MAX}},
	    {WRITER_NANOSECONDS, {.count = 0}},
	    {WRITER_NANOSECONDS, {.count = 1}},
	    {WRITER_NANOSECONDS, {.count = UINT64_MAX}},
	    {WRITER_REAL, {.real = 0.3}},
	    {WRITER_REAL, {.real = 1700000000.25}},
	};
	struct writer writer = {
	    .format = &text_format_prometheus, .family = &gauge};

	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++)
		writer_sample(&writer, NULL, numbers[i]);
	assert_text(&writer, "size_bytes 0\n"
			     "size_bytes 18446744073709551615\n"
			     "size_bytes 0.000000000\n"
			     "size_bytes 0.000000001\n"
			     "size_bytes 18446744073.709551615\n"
			     "size_bytes 0.3\n"
			     "size_bytes 1700000000.25\n");
}

static void
a_histogram_has_cumulative_buckets_a_count_and_a_sum(void **state)
{
	static const struct metric_bound bounds[] = {
	    {1000000, "0.001"}, {1000000000, "1.0"}, {INT64_MAX, "+Inf"}};
	static const uint64_t buckets[] = {3, 0, 2};
	const struct writer_histogram histogram = {.bounds = bounds,
	    .bound_count = 2,
	    .buckets = buckets,
	    .sum = {WRITER_NANOSECONDS, {12500000000}}};
	const struct metric_label labels[] = {{"a", "x"}, {NULL, NULL}};
	struct writer writer = {
	    .format = &text_format_prometheus, .family = &times};

	(void)state;
	writer_histogram(&writer, labels, &histogram);
	writer_histogram(&writer, NULL, &histogram);
	assert_text(&writer, "job_seconds_bucket{a=\"x\",le=\"0.001\"} 3\n"
			     "job_seconds_bucket{a=\"x\",le=\"1.0\"} 3\n"
			     "job_seconds_bucket{a=\"x\",le=\"+Inf\"} 5\n"
			     "job_seconds_count{a=\"x\"} 5\n"
			     "job_seconds_sum{a=\"x\"} 12.500000000\n"
			     "job_seconds_bucket{le=\"0.001\"} 3\n"
			     "job_seconds_bucket{le=\"1.0\"} 3\n"
			     "job_seconds_bucket{le=\"+Inf\"} 5\n"
			     "job_seconds_count 5\n"
			     "job_seconds_sum 12.500000000\n");
}

static void
only_openmetrics_has_exemplars_and_only_of_buckets_that_have_one(void **state)
{
	static const struct metric_bound bounds[] = {
	    {1000000, "0.001"}, {INT64_MAX, "+Inf"}};
	static const uint64_t buckets[] = {3, 2};
	static const struct writer_exemplar exemplars[] = {
	    {.trace_id = ""},
	    {.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
		.value = {WRITER_NANOSECONDS, {2083000001}},
		.time_ns = 1700000000012345678},
	};
	const struct writer_histogram histogram = {.bounds = bounds,
	    .bound_count = 1,
	    .buckets = buckets,
	    .sum = {WRITER_NANOSECONDS, {12500000000}},
	    .exemplars = exemplars};
	struct writer prometheus = {
	    .format = &text_format_prometheus, .family = &times};
	struct writer openmetrics = {
	    .format = &text_format_openmetrics, .family = &times};

	(void)state;
	writer_histogram(&prometheus, NULL, &histogram);
	assert_text(&prometheus, "job_seconds_bucket{le=\"0.001\"} 3\n"
				 "job_seconds_bucket{le=\"+Inf\"} 5\n"
				 "job_seconds_count 5\n"
				 "job_seconds_sum 12.500000000\n");
	writer_histogram(&openmetrics, NULL, &histogram);
	assert_text(&openmetrics,
	    "job_seconds_bucket{le=\"0.001\"} 3\n"
	    "job_seconds_bucket{le=\"+Inf\"} 5 "
	    "# {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} "
	    "2.083000001 1700000000.012345678\n"
	    "job_seconds_count 5\n"
	    "job_seconds_sum 12.500000000\n"
	    "# EOF\n");
}

static void
a_long_scrape_is_complete(void **state)
{
	enum { SAMPLES = 100000 };
	struct writer writer = {
	    .format = &text_format_prometheus, .family = &gauge};
	size_t size;
	size_t lines = 0;
	char *text;

	(void)state;
	for (int i = 0; i < SAMPLES; i++)
		writer_count(&writer, NULL, 5);
	text = writer_finish(&writer, &size);
	assert_int_equal(size, SAMPLES * strlen("size_bytes 5\n"));
	for (const char *line = text; *line; line += strlen("size_bytes 5\n"))
		lines += strncmp(line, "size_bytes 5\n", 13) == 0;
	assert_int_equal(lines, SAMPLES);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		a_counter_is_named_with_total_where_the_format_wants_it),
	    cmocka_unit_test(only_openmetrics_names_the_unit),
	    cmocka_unit_test(labels_stand_in_braces_in_their_order),
	    cmocka_unit_test(numbers_are_exact),
	    cmocka_unit_test(
		a_histogram_has_cumulative_buckets_a_count_and_a_sum),
	    cmocka_unit_test(
		only_openmetrics_has_exemplars_and_only_of_buckets_that_have_one),
	    cmocka_unit_test(a_long_scrape_is_complete),
	};

	return SUPPORT_RUN(tests);
}
