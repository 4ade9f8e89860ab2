/*
 * What Prometheus reads: the families, their values and both text formats.
 */
#include "scrape.h"

static void
assert_value(const char *series, double expected)
{
	double value = value_of(EXPOSITION_TEXT, true, series);

	if (fabs(value - expected) > 1e-9)
		fail_msg("%s is %.17g", series, value);
	assert_true(fabs(value_of(EXPOSITION_OPENMETRICS, true, series) -
			 expected) < 1e-9);
}

static void
the_text_format_is_sound(void **state)
{
	(void)state;
	assert_true(check_text(EXPOSITION_TEXT, true) > 25);
}

static void
openmetrics_is_sound_and_has_the_same_families(void **state)
{
	(void)state;
	assert_int_equal(check_text(EXPOSITION_OPENMETRICS, true),
	    check_text(EXPOSITION_TEXT, true));
}

static void
both_are_sound_without_a_pool(void **state)
{
	(void)state;
	assert_int_equal(check_text(EXPOSITION_TEXT, false),
	    check_text(EXPOSITION_OPENMETRICS, false));
}

static void
both_are_sound_while_nothing_has_been_counted(void **state)
{
	const struct counters full = counters;

	(void)state;
	assert_int_equal(
	    counters_open(&counters, support_path("empty"), registry, 1), 0);
	check_text(EXPOSITION_TEXT, true);
	check_text(EXPOSITION_OPENMETRICS, true);
	assert_value("fcgi_workers{kind=\"nonblocking\",state=\"busy\"}", 0);
	counters_close(&counters);
	counters = full;
}

static void
openmetrics_ends_in_eof_and_the_text_format_does_not_know_it(void **state)
{
	char *text = render(EXPOSITION_OPENMETRICS, true);
	char *plain = render(EXPOSITION_TEXT, true);

	(void)state;
	assert_true(has_suffix(text, "\n# EOF\n"));
	assert_null(strstr(plain, "EOF"));
	assert_null(strstr(plain, "# UNIT"));
	assert_null(strstr(text, "fcgi_gateway_log_bytes")); /* internal */
	free(text);
	free(plain);
}

static void
openmetrics_names_the_units(void **state)
{
	static const char *const units[] = {
	    "# UNIT http_request_duration_seconds seconds\n",
	    "# UNIT http_response_size_bytes bytes\n",
	    "# UNIT fcgi_worker_busy_seconds seconds\n",
	    "# UNIT cgroup_cpu_limit_cores cores\n",
	    "# UNIT cgroup_cpu_throttled_seconds seconds\n",
	    "# UNIT process_resident_memory_bytes bytes\n",
	};
	char *text = render(EXPOSITION_OPENMETRICS, true);

	(void)state;
	for (size_t i = 0; i < COUNT(units); i++)
		assert_says(text, units[i]);
	free(text);
}

/* Every family of design/metrics.md, under the name that it has there. */
static void
every_family_is_there(void **state)
{
	static const char *const names[] = {"http_requests_total counter",
	    "http_request_duration_seconds histogram",
	    "http_request_queue_seconds histogram",
	    "http_response_size_bytes_total counter",
	    PROGRAM_METRICS "starts_total counter",
	    PROGRAM_METRICS "build_info gauge",
	    PROGRAM_METRICS "store_recoveries_total counter",
	    PROGRAM_METRICS "log_dropped_total counter", "fcgi_workers gauge",
	    "fcgi_worker_starts_total counter",
	    "fcgi_worker_exits_total counter",
	    "fcgi_worker_busy_seconds_total counter", "fcgi_connections gauge",
	    "fcgi_listen_queue_length gauge", "fcgi_listen_queue_limit gauge",
	    "fcgi_load_active gauge", "fcgi_collector_success gauge",
	    "cgroup_limited gauge", "cgroup_cpu_limit_cores gauge",
	    "cgroup_cpu_usage_seconds_total counter",
	    "cgroup_cpu_periods_total counter",
	    "cgroup_cpu_throttled_periods_total counter",
	    "cgroup_cpu_throttled_seconds_total counter",
	    "cgroup_memory_limit_bytes gauge",
	    "cgroup_memory_usage_bytes gauge",
	    "cgroup_memory_working_set_bytes gauge",
	    "cgroup_oom_kills_total counter",
	    "process_cpu_seconds_total counter",
	    "process_resident_memory_bytes gauge", "process_open_fds gauge",
	    "process_start_time_seconds gauge"};
	char *text = render(EXPOSITION_TEXT, true);

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		char line[128];

		snprintf(line, sizeof(line), "# TYPE %s\n", names[i]);
		assert_says(text, line);
	}
	free(text);
}

static void
requests_are_counted_by_endpoint_method_and_code(void **state)
{
	(void)state;
	assert_value("http_requests_total{endpoint=\"health\",method=\"GET\","
		     "code=\"200\"}",
	    20);
	assert_value("http_requests_total{endpoint=\"status\",method=\"GET\","
		     "code=\"503\"}",
	    1);
	assert_value(
	    "http_response_size_bytes_total{endpoint=\"health\"}", 320);
}

static void
declared_combinations_are_there_as_zero(void **state)
{
	(void)state;
	assert_value("http_requests_total{endpoint=\"root\",method=\"GET\","
		     "code=\"500\"}",
	    0);
	assert_value("http_requests_total{endpoint=\"riseload\",method=\"POST\""
		     ",code=\"502\"}",
	    0);
	assert_value(
	    "http_request_duration_seconds_count{endpoint=\"bye\"}", 0);
	assert_value("fcgi_worker_exits_total{reason=\"deadline\"}", 0);
}

static void
the_overflow_label_set_shows_only_when_it_has_counted(void **state)
{
	const char *series =
	    "http_requests_total{endpoint=\"other\",method=\"other\","
	    "code=\"000\"}";

	(void)state;
	assert_value(series, -1);
	counters_add(counters_values(&counters, SLOT_WORKER),
	    counters_find_value(&counters, ENDPOINT_OTHER, METHOD_OTHER, 0), 2);
	assert_value(series, 2);
	check_text(EXPOSITION_TEXT, true);
}

static void
buckets_are_cumulative_and_inclusive(void **state)
{
	(void)state;
	/* 3, 6, 12, 24, 48, ... ms */
	assert_value("http_request_duration_seconds_bucket{endpoint=\"health\","
		     "le=\"0.0025\"}",
	    0);
	assert_value("http_request_duration_seconds_bucket{endpoint=\"health\","
		     "le=\"0.005\"}",
	    1);
	assert_value("http_request_duration_seconds_bucket{endpoint=\"health\","
		     "le=\"0.025\"}",
	    4);
	assert_value("http_request_duration_seconds_bucket{endpoint=\"health\","
		     "le=\"+Inf\"}",
	    20);
	assert_value(
	    "http_request_duration_seconds_count{endpoint=\"health\"}", 20);
	assert_value("http_request_duration_seconds_sum{endpoint=\"health\"}",
	    0.003 * ((1 << 20) - 1));
	/* exactly on a bound: le means at most */
	assert_value("http_request_queue_seconds_bucket{le=\"0.0001\"}", 0);
	assert_value("http_request_queue_seconds_bucket{le=\"0.00025\"}", 20);
	assert_value("http_request_queue_seconds_sum", 0.005);
}

static void
workers_are_busy_idle_or_stopped(void **state)
{
	(void)state;
	assert_value("fcgi_workers{kind=\"nonblocking\",state=\"busy\"}", 1);
	assert_value("fcgi_workers{kind=\"nonblocking\",state=\"idle\"}", 0);
	assert_value("fcgi_workers{kind=\"nonblocking\",state=\"stopped\"}", 1);
	assert_value("fcgi_connections", 7);
	assert_value("fcgi_load_active", 1);
}

static void
the_time_of_busy_workers_is_in_seconds(void **state)
{
	char *text;

	(void)state;
	counters_add(counters_values(&counters, SLOT_WORKER),
	    REGISTRY_BUSY_NONBLOCKING, 1500000001);
	text = render(EXPOSITION_TEXT, true);
	assert_says(text,
	    "fcgi_worker_busy_seconds_total{kind=\"nonblocking\"} "
	    "1.500000001\n");
	assert_says(text, "fcgi_worker_busy_seconds_total{kind=\"blocking\"} "
			  "0.000000000\n");
	free(text);
}

static void
without_a_pool_gauges_are_zero_and_counters_are_kept(void **state)
{
	static const char *const gauges[] = {
	    "fcgi_workers{kind=\"nonblocking\",state=\"busy\"}",
	    "fcgi_workers{kind=\"nonblocking\",state=\"stopped\"}",
	    "fcgi_connections", "fcgi_load_active"};

	(void)state;
	for (size_t i = 0; i < COUNT(gauges); i++)
		assert_true(
		    fabs(value_of(EXPOSITION_TEXT, false, gauges[i])) < 1e-9);
	assert_true(fabs(value_of(EXPOSITION_TEXT, false,
			     PROGRAM_METRICS "starts_total") -
			 4) < 1e-9);
}

static void
large_counts_and_sums_are_exact(void **state)
{
	char *text;
	_Atomic uint64_t *values = counters_values(&counters, SLOT_CGI);

	(void)state;
	counters_add(values,
	    registry_endpoint_value(ENDPOINT_bye, REGISTRY_ENDPOINT_SIZE),
	    (1ull << 53) + 1);
	counters_add(values,
	    registry_endpoint_value(ENDPOINT_bye, REGISTRY_ENDPOINT_DURATION),
	    9007199254740993000ull);
	text = render(EXPOSITION_TEXT, true);
	assert_says(text, "http_response_size_bytes_total{endpoint=\"bye\"} "
			  "9007199254740993\n");
	assert_says(text, "http_request_duration_seconds_sum{endpoint=\"bye\"} "
			  "9007199254.740993000\n");
	free(text);
}

static void
each_format_has_its_content_type(void **state)
{
	(void)state;
	assert_string_equal(exposition_content_type(EXPOSITION_TEXT),
	    "text/plain; version=0.0.4; charset=utf-8");
	assert_string_equal(exposition_content_type(EXPOSITION_OPENMETRICS),
	    "application/openmetrics-text; version=1.0.0; charset=utf-8");
	assert_string_equal(exposition_content_type(EXPOSITION_PROTOBUF),
	    "application/vnd.google.protobuf; "
	    "proto=io.prometheus.client.MetricFamily; encoding=delimited");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_text_format_is_sound),
	    cmocka_unit_test(openmetrics_is_sound_and_has_the_same_families),
	    cmocka_unit_test(both_are_sound_without_a_pool),
	    cmocka_unit_test(both_are_sound_while_nothing_has_been_counted),
	    cmocka_unit_test(
		openmetrics_ends_in_eof_and_the_text_format_does_not_know_it),
	    cmocka_unit_test(openmetrics_names_the_units),
	    cmocka_unit_test(every_family_is_there),
	    cmocka_unit_test(requests_are_counted_by_endpoint_method_and_code),
	    cmocka_unit_test(declared_combinations_are_there_as_zero),
	    cmocka_unit_test(
		the_overflow_label_set_shows_only_when_it_has_counted),
	    cmocka_unit_test(buckets_are_cumulative_and_inclusive),
	    cmocka_unit_test(workers_are_busy_idle_or_stopped),
	    cmocka_unit_test(the_time_of_busy_workers_is_in_seconds),
	    cmocka_unit_test(
		without_a_pool_gauges_are_zero_and_counters_are_kept),
	    cmocka_unit_test(large_counts_and_sums_are_exact),
	    cmocka_unit_test(each_format_has_its_content_type),
	};

	return SUPPORT_RUN_WITH(tests, set_up, tear_down);
}
