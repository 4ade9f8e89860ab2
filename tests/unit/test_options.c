/*
 * argv and the environment: what beats what, and what is said of a bad value.
 */
#include "support.h"

#include <dlfcn.h>
#include <getopt.h>
#include <math.h>

#include "metrics/exposition.h"
#include "base/log.h"
#include "options.h"

static const char *const variables[] = {"SOCKET", "METRICS_SOCKET",
    "METRICS_FILE", "WORKERS", "MAX_REQUESTS", "REQUEST_TIMEOUT",
    "DRAIN_TIMEOUT", "EXERCISE", "MAX_LOAD_SECONDS", "LOG_LEVEL", "LOG_FORMAT",
    "FORMAT", "CPU", "MEMORY", "SECONDS", "THREADS", "QUIET"};

static struct options options;

static void
set_variable(const char *name, const char *value)
{
	char variable[64];

	snprintf(variable, sizeof(variable), "FCGI_WEBAPP_%s", name);
	assert_int_equal(
	    value ? setenv(variable, value, 1) : unsetenv(variable), 0);
}

static int
set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(variables); i++)
		set_variable(variables[i], NULL);
	return 0;
}

enum { ARGUMENTS_MAX = 8 };

/* Parse these words behind the command's name. */
static int
parse(enum command command, const char *const *words, size_t count)
{
	char *arguments[ARGUMENTS_MAX + 2] = {(char[]){"serve"}};

	assert_in_range(count, 0, ARGUMENTS_MAX);
	for (size_t i = 0; i < count; i++)
		arguments[i + 1] = (char *)(uintptr_t)words[i];
	return options_parse(&options, command, (int)count + 1, arguments);
}

#define PARSE(command, ...)                                                    \
	parse(command, (const char *const[]){__VA_ARGS__},                     \
	    COUNT(((const char *const[]){__VA_ARGS__})))

/* Parsing must fail, and one line say this. */
#define REFUSED(saying, command, ...)                                          \
	do {                                                                   \
		const char *said_;                                             \
		int result_;                                                   \
                                                                               \
		support_capture();                                             \
		result_ = PARSE(command, __VA_ARGS__);                         \
		said_ = support_said();                                        \
		assert_says(said_, saying);                                    \
		assert_int_equal(result_, -EINVAL);                            \
		assert_one_line(said_);                                        \
	} while (0)

static void
assert_one_line(const char *text)
{
	assert_int_equal(strncmp(text, "fcgi-webapp: ", 13), 0);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

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
	assert_string_equal(options.socket, "/run/fcgi-webapp/app.sock");
	assert_string_equal(
	    options.metrics_socket, "/run/fcgi-webapp/metrics.sock");
	assert_string_equal(
	    options.metrics_file, "/var/lib/fcgi-webapp/counters");
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
	    options.metrics_file, "/var/lib/fcgi-webapp/counters");
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
an_option_of_another_command_is_unknown(void **state)
{
	(void)state;
	REFUSED("unknown option '--cpu'", COMMAND_SERVE, "--cpu", "1");
	REFUSED("unknown option '--workers=2'", COMMAND_LOAD, "--workers=2");
	REFUSED("unknown option '--no-quiet2'", COMMAND_LOAD, "--no-quiet2");
}

static void
an_unknown_option_is_named(void **state)
{
	(void)state;
	REFUSED("unknown option '--wokers'", COMMAND_SERVE, "--wokers", "2");
	REFUSED("unknown option '-x'", COMMAND_SERVE, "-x");
	REFUSED("unknown option '-xy'", COMMAND_SERVE, "-xy");
	REFUSED("unknown option '-xy'", COMMAND_LOAD, "--quiet", "-xy");
	REFUSED("serve --help", COMMAND_SERVE, "--wokers");
	REFUSED("'--no-exercise=1'", COMMAND_SERVE, "--no-exercise=1");
	REFUSED("'--no-workers'", COMMAND_SERVE, "--no-workers");
}

static void
a_word_that_is_no_option_is_named(void **state)
{
	(void)state;
	REFUSED("'8081' is not an option", COMMAND_SERVE, "8081");
	REFUSED(
	    "'8081' is not an option", COMMAND_SERVE, "--workers", "2", "8081");
	REFUSED("'x' is not an option", COMMAND_SERVE, "--", "x");
}

static void
an_option_without_its_value_is_named(void **state)
{
	(void)state;
	REFUSED("--workers needs a value", COMMAND_SERVE, "--workers");
	REFUSED("--socket needs a value", COMMAND_SERVE, "--workers", "2",
	    "--socket");
}

static void
a_bad_value_is_named_with_what_the_option_takes(void **state)
{
	(void)state;
	REFUSED("--workers takes a whole number from 0 to 256, not 'many'",
	    COMMAND_SERVE, "--workers", "many");
	REFUSED("--request-timeout takes a number from 0.1 to 3600, not '0'",
	    COMMAND_SERVE, "--request-timeout", "0");
	REFUSED("--log-level takes debug, info, warning or error, not 'loud'",
	    COMMAND_SERVE, "--log-level=loud");
	REFUSED("--log-format takes json or text, not 'xml'", COMMAND_SERVE,
	    "--log-format=xml");
	REFUSED("--socket takes a value that is not empty, not ''",
	    COMMAND_SERVE, "--socket", "");
	REFUSED("--format takes text", COMMAND_METRICS, "--format", "json");
}

static void
every_value_out_of_range_is_refused(void **state)
{
	static const char *const bad[][2] = {{"--workers", "-1"},
	    {"--workers", "257"}, {"--workers", "1.5"}, {"--workers", ""},
	    {"--workers", "1 "}, {"--workers", "0x2"}, {"--workers", "1e1"},
	    {"--workers", "99999999999999999999"},
	    {"--max-requests", "1000000001"}, {"--max-requests", "-5"},
	    {"--request-timeout", "0.05"}, {"--request-timeout", "3601"},
	    {"--request-timeout", "nan"}, {"--request-timeout", "10s"},
	    {"--drain-timeout", "inf"}, {"--drain-timeout", "0"},
	    {"--max-load-seconds", "0.5"}, {"--max-load-seconds", "86401"},
	    {"--log-level", ""}, {"--log-level", "INFO"},
	    {"--log-format", "JSON"}, {"--metrics-file", ""},
	    {"--metrics-socket", ""}};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		REFUSED(bad[i][0], COMMAND_SERVE, bad[i][0], bad[i][1]);
	REFUSED("--threads", COMMAND_LOAD, "--threads", "257");
	REFUSED("--seconds", COMMAND_LOAD, "--seconds", "0");
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

static void
a_bad_variable_is_named_as_the_variable(void **state)
{
	static const char *const bad[][2] = {{"WORKERS", "many"},
	    {"WORKERS", ""}, {"EXERCISE", "no"}, {"EXERCISE", "0"},
	    {"EXERCISE", ""}, {"REQUEST_TIMEOUT", "soon"},
	    {"LOG_LEVEL", "loud"}, {"SOCKET", ""}};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		char name[64];

		snprintf(name, sizeof(name), "FCGI_WEBAPP_%s takes", bad[i][0]);
		set_variable(bad[i][0], bad[i][1]);
		REFUSED(name, COMMAND_SERVE, "--workers=2");
		set_variable(bad[i][0], NULL);
	}
	set_variable("EXERCISE", "yes");
	REFUSED("FCGI_WEBAPP_EXERCISE takes true or false, not 'yes'",
	    COMMAND_SERVE, "--workers=2");
}

/* In a child, since the help goes to stdout. */
static int
ask_for_help(void *argument)
{
	const enum command *command = argument;
	int result;

	dup2(STDERR_FILENO, STDOUT_FILENO);
	result = PARSE(*command, "--help");
	fflush(stdout);
	return result;
}

static void
help_names_every_option_with_its_default(void **state)
{
	static const char *const serve[] = {"Usage: fcgi-webapp serve",
	    "--socket PATH", "--metrics-socket PATH", "--metrics-file PATH",
	    "--workers COUNT", "--max-requests COUNT",
	    "--request-timeout SECONDS", "--drain-timeout SECONDS",
	    "--[no-]exercise", "--max-load-seconds SECONDS",
	    "--log-level LEVEL", "--log-format FORMAT", "[10]", "[30]",
	    "[json]", "[on]", "FCGI_WEBAPP_EXERCISE=false"};
	enum command command = COMMAND_SERVE;
	const char *said;
	int status;

	(void)state;
	support_capture();
	status = support_in_child(ask_for_help, &command);
	said = support_said();
	assert_int_equal(status, 1);
	for (size_t i = 0; i < COUNT(serve); i++)
		assert_says(said, serve[i]);
	assert_silent_about(said, "--cpu");
	command = COMMAND_LOAD;
	support_capture();
	status = support_in_child(ask_for_help, &command);
	said = support_said();
	assert_int_equal(status, 1);
	assert_says(said, "--cpu AMOUNT");
	assert_silent_about(said, "--workers");
}

static int lowest_code;

/* In front of the C library's: note the codes of the options. */
int
getopt_long(int argc, char *const argv[], const char *short_options,
    const struct option *list, int *index)
{
	int (*real)(int, char *const[], const char *, const struct option *,
	    int *) = NULL;

	*(void **)&real = dlsym(RTLD_NEXT, "getopt_long");
	for (const struct option *option = list; option->name; option++)
		if (option->val < lowest_code)
			lowest_code = option->val;
	return real(argc, argv, short_options, list, index);
}

static void
no_code_of_an_option_is_a_character_to_getopt(void **state)
{
	static const enum command all[] = {
	    COMMAND_SERVE, COMMAND_METRICS, COMMAND_LOAD};

	(void)state;
	lowest_code = INT_MAX;
	for (size_t i = 0; i < COUNT(all); i++)
		assert_int_equal(parse(all[i], NULL, 0), 0);
	assert_in_range(lowest_code, 256, INT_MAX - 1);
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
	    TEST(an_option_of_another_command_is_unknown),
	    TEST(an_unknown_option_is_named),
	    TEST(a_word_that_is_no_option_is_named),
	    TEST(an_option_without_its_value_is_named),
	    TEST(a_bad_value_is_named_with_what_the_option_takes),
	    TEST(every_value_out_of_range_is_refused),
	    TEST(the_ends_of_a_range_belong_to_it),
	    TEST(a_bad_variable_is_named_as_the_variable),
	    TEST(help_names_every_option_with_its_default),
	    TEST(no_code_of_an_option_is_a_character_to_getopt),
	};

	return SUPPORT_RUN(tests);
}
