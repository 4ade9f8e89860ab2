/*
 * Options and variables that are refused: one line names what is wrong and
 * what is allowed.
 */
#include "support.h"

#include "options.h"
#include "option_words.h"

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
	assert_int_equal(
	    strncmp(text, PROGRAM_NAME ": ", strlen(PROGRAM_NAME ": ")), 0);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
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
a_bad_variable_is_named_as_the_variable(void **state)
{
	static const char *const bad[][2] = {{"WORKERS", "many"},
	    {"WORKERS", ""}, {"EXERCISE", "no"}, {"EXERCISE", "0"},
	    {"EXERCISE", ""}, {"REQUEST_TIMEOUT", "soon"},
	    {"LOG_LEVEL", "loud"}, {"SOCKET", ""}};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		char name[128];

		snprintf(name, sizeof(name), PROGRAM_VARIABLES "%s takes",
		    bad[i][0]);
		set_variable(bad[i][0], bad[i][1]);
		REFUSED(name, COMMAND_SERVE, "--workers=2");
		set_variable(bad[i][0], NULL);
	}
	set_variable("EXERCISE", "yes");
	REFUSED(PROGRAM_VARIABLES "EXERCISE takes true or false, not 'yes'",
	    COMMAND_SERVE, "--workers=2");
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up, support_release)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_option_of_another_command_is_unknown),
	    TEST(an_unknown_option_is_named),
	    TEST(a_word_that_is_no_option_is_named),
	    TEST(an_option_without_its_value_is_named),
	    TEST(a_bad_value_is_named_with_what_the_option_takes),
	    TEST(every_value_out_of_range_is_refused),
	    TEST(a_bad_variable_is_named_as_the_variable),
	};

	return SUPPORT_RUN(tests);
}
