/*
 * The values of options: defaults, arguments and variables, and which of
 * them wins.
 */
#include "support.h"

#include <math.h>

#include "metrics/exposition.h"
#include "base/log.h"
#include "options.h"
#include "option_words.h"

static void
assert_near(double value, double expected)
{
	if (fabs(value - expected) > 1e-12)
		fail_msg("%g is not %g", value, expected);
}

static void
the_defaults_are_as_documented(void **state)
{
	(void)state;
	assert_int_equal(parse(COMMAND_SERVE, NULL, 0), 0);
	assert_string_equal(options.socket, "/run/" PROGRAM_NAME "/app.sock");
	assert_string_equal(
	    options.metrics_socket, "/run/" PROGRAM_NAME "/metrics.sock");
	assert_string_equal(
	    options.metrics_file, "/var/lib/" PROGRAM_NAME "/counters");
	assert_int_equal(options.workers, 0);
	assert_int_equal(options.max_requests, 0);
	assert_near(options.request_timeout, 10);
	assert_near(options.drain_timeout, 30);
	assert_true(options.exercise);
	assert_near(options.max_load_seconds, 600);
	assert_int_equal(options.log_level, LOG_INFO);
	assert_int_equal(options.log_format, LOG_JSON);

	assert_int_equal(parse(COMMAND_METRICS, NULL, 0), 0);
	assert_string_equal(
	    options.metrics_file, "/var/lib/" PROGRAM_NAME "/counters");
	assert_int_equal(options.format, EXPOSITION_TEXT);

	assert_int_equal(parse(COMMAND_LOAD, NULL, 0), 0);
	assert_null(options.cpu);
	assert_null(options.memory);
	assert_near(options.seconds, 60);
	assert_int_equal(options.threads, 0);
	assert_false(options.quiet);
}

static void
every_option_of_serve_can_be_given(void **state)
{
	(void)state;
	assert_int_equal(
	    PARSE(COMMAND_SERVE, "--socket=a", "--metrics-socket", "b",
		"--metrics-file", "c", "--workers", "4", "--max-requests=1000"),
	    0);
	assert_string_equal(options.socket, "a");
	assert_string_equal(options.metrics_socket, "b");
	assert_string_equal(options.metrics_file, "c");
	assert_int_equal(options.workers, 4);
	assert_int_equal(options.max_requests, 1000);
	assert_int_equal(
	    PARSE(COMMAND_SERVE, "--request-timeout=0.5", "--drain-timeout=1.5",
		"--no-exercise", "--max-load-seconds=30", "--log-level=warning",
		"--log-format=text"),
	    0);
	assert_near(options.request_timeout, 0.5);
	assert_near(options.drain_timeout, 1.5);
	assert_false(options.exercise);
	assert_near(options.max_load_seconds, 30);
	assert_int_equal(options.log_level, LOG_WARNING);
	assert_int_equal(options.log_format, LOG_TEXT);
}

static void
every_option_of_the_others_can_be_given(void **state)
{
	(void)state;
	assert_int_equal(PARSE(COMMAND_METRICS, "--format", "openmetrics",
			     "--metrics-file=f"),
	    0);
	assert_int_equal(options.format, EXPOSITION_OPENMETRICS);
	assert_string_equal(options.metrics_file, "f");
	assert_int_equal(PARSE(COMMAND_LOAD, "--cpu", "150%", "--memory=64M",
			     "--seconds=5", "--threads=3", "--quiet"),
	    0);
	assert_string_equal(options.cpu, "150%");
	assert_string_equal(options.memory, "64M");
	assert_near(options.seconds, 5);
	assert_int_equal(options.threads, 3);
	assert_true(options.quiet);
}

static void
every_option_is_also_a_variable(void **state)
{
	(void)state;
	set_variable("SOCKET", "a");
	set_variable("METRICS_SOCKET", "b");
	set_variable("METRICS_FILE", "c");
	set_variable("WORKERS", "4");
	set_variable("MAX_REQUESTS", "5");
	set_variable("REQUEST_TIMEOUT", "6.5");
	set_variable("DRAIN_TIMEOUT", "7");
	set_variable("EXERCISE", "false");
	set_variable("MAX_LOAD_SECONDS", "8");
	set_variable("LOG_LEVEL", "debug");
	set_variable("LOG_FORMAT", "text");
	assert_int_equal(options_from_environment(&options, COMMAND_SERVE), 0);
	assert_string_equal(options.socket, "a");
	assert_string_equal(options.metrics_socket, "b");
	assert_string_equal(options.metrics_file, "c");
	assert_int_equal(options.workers, 4);
	assert_int_equal(options.max_requests, 5);
	assert_near(options.request_timeout, 6.5);
	assert_near(options.drain_timeout, 7);
	assert_false(options.exercise);
	assert_near(options.max_load_seconds, 8);
	assert_int_equal(options.log_level, LOG_DEBUG);
	assert_int_equal(options.log_format, LOG_TEXT);
	set_variable("FORMAT", "openmetrics");
	assert_int_equal(parse(COMMAND_METRICS, NULL, 0), 0);
	assert_int_equal(options.format, EXPOSITION_OPENMETRICS);
	assert_string_equal(options.metrics_file, "c");
}

static void
an_option_given_beats_the_environment(void **state)
{
	(void)state;
	set_variable("WORKERS", "4");
	set_variable("EXERCISE", "false");
	set_variable("LOG_LEVEL", "error");
	assert_int_equal(PARSE(COMMAND_SERVE, "--workers", "8", "--exercise",
			     "--log-level", "debug"),
	    0);
	assert_int_equal(options.workers, 8);
	assert_true(options.exercise);
	assert_int_equal(options.log_level, LOG_DEBUG);
}

static void
the_last_of_an_option_counts(void **state)
{
	(void)state;
	assert_int_equal(PARSE(COMMAND_SERVE, "--workers=1", "--no-exercise",
			     "--workers=2", "--exercise"),
	    0);
	assert_int_equal(options.workers, 2);
	assert_true(options.exercise);
}

static void
a_variable_of_another_command_is_not_looked_at(void **state)
{
	(void)state;
	set_variable("WORKERS", "many");
	assert_int_equal(parse(COMMAND_METRICS, NULL, 0), 0);
	assert_int_equal(parse(COMMAND_LOAD, NULL, 0), 0);
}

static void
the_ends_of_a_range_belong_to_it(void **state)
{
	(void)state;
	assert_int_equal(
	    PARSE(COMMAND_SERVE, "--workers=256", "--max-requests=1000000000",
		"--request-timeout=0.1", "--drain-timeout=3600",
		"--max-load-seconds=86400"),
	    0);
	assert_int_equal(PARSE(COMMAND_SERVE, "--workers=0"), 0);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up, support_release)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_defaults_are_as_documented),
	    TEST(every_option_of_serve_can_be_given),
	    TEST(every_option_of_the_others_can_be_given),
	    TEST(every_option_is_also_a_variable),
	    TEST(an_option_given_beats_the_environment),
	    TEST(the_last_of_an_option_counts),
	    TEST(a_variable_of_another_command_is_not_looked_at),
	    TEST(the_ends_of_a_range_belong_to_it),
	};

	return SUPPORT_RUN(tests);
}
