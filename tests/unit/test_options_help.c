/*
 * The help of each command, and the codes of the options for getopt_long().
 */
#include "support.h"

#include <dlfcn.h>
#include <getopt.h>

#include "options.h"
#include "option_words.h"

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
	static const char *const serve[] = {"Usage: " PROGRAM_NAME " serve",
	    "--socket PATH", "--metrics-socket PATH", "--metrics-file PATH",
	    "--workers COUNT", "--max-requests COUNT",
	    "--request-timeout SECONDS", "--drain-timeout SECONDS",
	    "--[no-]exercise", "--max-load-seconds SECONDS",
	    "--log-level LEVEL", "--log-format FORMAT", "[10]", "[30]",
	    "[json]", "[on]", PROGRAM_VARIABLES "EXERCISE=false"};
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
	    TEST(help_names_every_option_with_its_default),
	    TEST(no_code_of_an_option_is_a_character_to_getopt),
	};

	return SUPPORT_RUN(tests);
}
