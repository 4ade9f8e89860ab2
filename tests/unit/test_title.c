/*
 * What ps shows of a process that sets its title. The arguments and the
 * environment are those of execve(2), so these tests execute themselves.
 */
#include "support.h"

#include "base/title.h"

enum { WRONG_TITLE = 10, WRONG_ARGUMENT, WRONG_VARIABLE };

/* One execution of this program, as argv[1] names it. */
struct execution {
	char *argv[4];
	char *environment[4];
};

static int
execute(void *argument)
{
	const struct execution *execution = argument;
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (length < 0)
		return 1;
	path[length] = '\0';
	execve(path, execution->argv, execution->environment);
	return 1;
}

/* Whether /proc/self/cmdline, without the NULs at its end, is this title. */
static bool
is_shown(const char *title)
{
	char shown[4096] = "";
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, shown, sizeof(shown) - 1);

	close(fd);
	while (size > 0 && shown[size - 1] == '\0')
		size--;
	shown[size > 0 ? size : 0] = '\0';
	if (size != (ssize_t)strlen(title) || strcmp(shown, title) != 0)
		fprintf(stderr, "shown is '%s'\n", shown);
	return size == (ssize_t)strlen(title) && strcmp(shown, title) == 0;
}

static int
set_in_place(int argc, char **argv)
{
	title_init(argc, argv);
	title_set("worker %u", 2u);
	if (!is_shown("app: worker 2"))
		return WRONG_TITLE;
	return strcmp(argv[1], "in place") == 0 &&
		       strcmp(argv[2], "--socket=/run/a.sock") == 0
		   ? 0
		   : WRONG_ARGUMENT;
}

static int
set_beyond_the_arguments(int argc, char **argv)
{
	title_init(argc, argv);
	title_set("a title of more bytes than the arguments");
	if (!is_shown("a: a title of more bytes than the arguments"))
		return WRONG_TITLE;
	title_set("a shorter title");
	if (!is_shown("a: a shorter title"))
		return WRONG_TITLE;
	return strcmp(getenv("FIRST"), "this one is overwritten") == 0 &&
		       strcmp(getenv("SECOND"), "and this one") == 0
		   ? 0
		   : WRONG_VARIABLE;
}

static int
set_what_does_not_fit(int argc, char **argv)
{
	title_init(argc, argv);
	title_set("a title that does not fit");
	/* "a", "cut" and "B=2" with a NUL each: 10 bytes. */
	return is_shown("a: a titl") ? 0 : WRONG_TITLE;
}

static int
set_before_the_beginning(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	title_set("worker");
	return is_shown("a") ? WRONG_TITLE : 0;
}

static void
the_title_takes_the_place_of_the_command_line(void **state)
{
	struct execution execution = {
	    {"/usr/bin/app", "in place", "--socket=/run/a.sock", NULL}, {NULL}};

	(void)state;
	assert_int_equal(support_in_child(execute, &execution), 0);
}

static void
a_long_title_goes_on_where_the_environment_was(void **state)
{
	struct execution execution = {{"a", "beyond", NULL},
	    {"FIRST=this one is overwritten", "SECOND=and this one", NULL}};

	(void)state;
	assert_int_equal(support_in_child(execute, &execution), 0);
}

static void
a_title_is_cut_where_the_environment_ends(void **state)
{
	struct execution execution = {{"a", "cut", NULL}, {"B=2", NULL}};

	(void)state;
	assert_int_equal(support_in_child(execute, &execution), 0);
}

static void
without_a_beginning_nothing_is_set(void **state)
{
	struct execution execution = {{"a", "before", NULL}, {NULL}};

	(void)state;
	assert_int_equal(support_in_child(execute, &execution), 0);
}

/* Nothing between the strings is written to: it could be anything. */
static int
set_over_strings_that_are_apart(void *argument)
{
	char memory[] = "app\0one\0*****two\0*****";
	char *argv[] = {memory, memory + 4, memory + 13, NULL};

	(void)argument;
	title_init(3, argv);
	title_set("a title that does not fit");
	if (strcmp(memory, "app: a ") != 0 ||
	    memcmp(memory + 8, "*****two\0*****", 15) != 0)
		return WRONG_TITLE;
	return strcmp(argv[0], "app") == 0 && strcmp(argv[1], "one") == 0 &&
		       strcmp(argv[2], "two") == 0
		   ? 0
		   : WRONG_ARGUMENT;
}

static void
strings_that_are_apart_limit_the_title(void **state)
{
	(void)state;
	assert_int_equal(
	    support_in_child(set_over_strings_that_are_apart, NULL), 0);
}

static int
start_without_arguments(void *argument)
{
	char *argv[] = {NULL};

	(void)argument;
	title_init(0, argv);
	title_set("worker");
	return 0;
}

static void
a_process_without_arguments_has_no_title(void **state)
{
	(void)state;
	assert_int_equal(support_in_child(start_without_arguments, NULL), 0);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int, char **);
	} executions[] = {
	    {"in place", set_in_place},
	    {"beyond", set_beyond_the_arguments},
	    {"cut", set_what_does_not_fit},
	    {"before", set_before_the_beginning},
	};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_title_takes_the_place_of_the_command_line),
	    cmocka_unit_test(a_long_title_goes_on_where_the_environment_was),
	    cmocka_unit_test(a_title_is_cut_where_the_environment_ends),
	    cmocka_unit_test(without_a_beginning_nothing_is_set),
	    cmocka_unit_test(strings_that_are_apart_limit_the_title),
	    cmocka_unit_test(a_process_without_arguments_has_no_title),
	};

	for (size_t i = 0; argc > 1 && i < COUNT(executions); i++)
		if (strcmp(argv[1], executions[i].name) == 0)
			return executions[i].run(argc, argv);
	return SUPPORT_RUN(tests);
}
