/*
 * A new program: its trial, and the moment when it is executed.
 */
#include "support.h"

#include "master/upgrade.h"

static char arg0[] = "serve";
static char *const arguments[] = {arg0, NULL};
static struct upgrade upgrade;
static struct sockets sockets; /* stand-ins: any files */

static int
set_up(void **state)
{
	int error = support_clear(state);

	upgrade_init(&upgrade, arguments);
	sockets.nonblocking.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sockets.blocking.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sockets.metrics.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return error;
}

static int
tear_down(void **state)
{
	upgrade_cancel(&upgrade);
	close(sockets.nonblocking.fd);
	close(sockets.blocking.fd);
	close(sockets.metrics.fd);
	return support_release(state);
}

/* A program of these lines of sh; the path is good until the next call. */
static const char *
write_program(const char *text)
{
	static char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s", support_path("program"));
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "#!/bin/sh\n%s\n", text);
	fclose(file);
	assert_int_equal(chmod(path, 0755), 0);
	return path;
}

static bool
try_and_wait(const char *program)
{
	int status;

	upgrade.path = program;
	upgrade_try(&upgrade);
	assert_int_equal(upgrade.state, UPGRADE_TRIAL);
	assert_int_equal(waitpid(upgrade.trial, &status, 0), upgrade.trial);
	return upgrade_tried(&upgrade, status);
}

static void
assert_refused(const char *program, const char *saying)
{
	const char *said;
	bool works;

	support_capture();
	works = try_and_wait(program);
	said = support_said();
	assert_false(works);
	assert_says(said, "the old one goes on");
	assert_says(said, saying);
	assert_int_equal(upgrade.state, UPGRADE_IDLE);
}

static void
the_file_that_runs_is_no_new_one(void **state)
{
	(void)state;
	/* valgrind is then the program that runs, with its own execve(). */
	support_skip_under_valgrind();
	assert_non_null(upgrade.path);
	assert_false(upgrade_is_due(&upgrade));
}

static void
another_file_or_none_at_the_path_is_a_new_one(void **state)
{
	(void)state;
	upgrade.path = write_program("");
	assert_true(upgrade_is_due(&upgrade));
	unlink(upgrade.path);
	assert_true(upgrade_is_due(&upgrade));
}

static void
an_unknown_path_is_never_new(void **state)
{
	(void)state;
	upgrade.path = NULL;
	assert_false(upgrade_is_due(&upgrade));
}

static void
a_program_that_prints_its_help_passes_and_is_asked_with_all_arguments(
    void **state)
{
	bool works;

	(void)state;
	support_capture();
	works = try_and_wait(
	    write_program("echo help; test \"$#\" = 1 -a \"$1\" = --help"));
	support_said();
	assert_true(works);
	assert_int_equal(upgrade.state, UPGRADE_YIELDING);
	assert_int_equal(upgrade.trial, 0);
}

static void
a_program_that_fails_does_not_run_or_dies_is_refused(void **state)
{
	const char *path;

	(void)state;
	support_skip_under_valgrind();
	assert_refused(write_program("exit 2"), "\"status\":2");
	assert_refused(write_program("kill -SEGV $$"), "Segmentation fault");
	path = write_program("");
	assert_int_equal(chmod(path, 0644), 0);
	assert_refused(path, "\"status\":127");
	unlink(path);
	assert_refused(path, "\"status\":127");
}

static void
a_trial_that_takes_too_long_is_ended_and_refused(void **state)
{
	int status;

	(void)state;
	upgrade.path = write_program("exec sleep 60");
	upgrade_try(&upgrade);
	upgrade_tick(&upgrade, upgrade.trial_until);
	assert_int_equal(waitpid(upgrade.trial, &status, WNOHANG), 0);
	upgrade_tick(&upgrade, upgrade.trial_until + 1);
	assert_int_equal(waitpid(upgrade.trial, &status, 0), upgrade.trial);
	support_capture();
	assert_false(upgrade_tried(&upgrade, status));
	support_said();
	assert_int_equal(upgrade.state, UPGRADE_IDLE);
}

static void
a_second_try_begins_again_and_cancel_leaves_nothing(void **state)
{
	pid_t first;
	pid_t second;

	(void)state;
	upgrade.path = write_program("exec sleep 60");
	upgrade_try(&upgrade);
	first = upgrade.trial;
	upgrade_try(&upgrade);
	second = upgrade.trial;
	assert_int_equal(kill(first, 0), -1);
	assert_int_equal(kill(second, 0), 0);
	upgrade_cancel(&upgrade);
	assert_int_equal(kill(second, 0), -1);
	assert_int_equal(upgrade.state, UPGRADE_IDLE);
}

static void
a_stopped_trial_is_no_ended_one(void **state)
{
	int status;

	(void)state;
	upgrade.path = write_program("kill -STOP $$");
	upgrade_try(&upgrade);
	waitpid(upgrade.trial, &status, WUNTRACED);
	assert_true(WIFSTOPPED(status));
	assert_false(upgrade_tried(&upgrade, status));
	assert_int_equal(upgrade.state, UPGRADE_TRIAL);
}

static void
a_program_that_has_gone_since_its_trial_lets_the_old_one_go_on(void **state)
{
	const char *said;

	(void)state;
	support_capture();
	assert_true(try_and_wait(write_program("")));
	unlink(upgrade.path);
	upgrade_exec(&upgrade, &sockets);
	said = support_said();
	assert_says(said, "it is gone; the old program goes on");
	assert_int_equal(upgrade.state, UPGRADE_IDLE);
	assert_null(getenv(PROGRAM_VARIABLES "INHERITED"));
	assert_int_equal(fcntl(sockets.metrics.fd, F_GETFD), FD_CLOEXEC);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_file_that_runs_is_no_new_one),
	    TEST(another_file_or_none_at_the_path_is_a_new_one),
	    TEST(an_unknown_path_is_never_new),
	    TEST(
		a_program_that_prints_its_help_passes_and_is_asked_with_all_arguments),
	    TEST(a_program_that_fails_does_not_run_or_dies_is_refused),
	    TEST(a_trial_that_takes_too_long_is_ended_and_refused),
	    TEST(a_second_try_begins_again_and_cancel_leaves_nothing),
	    TEST(a_stopped_trial_is_no_ended_one),
	    TEST(
		a_program_that_has_gone_since_its_trial_lets_the_old_one_go_on),
	};

	return SUPPORT_RUN_WITH(
	    tests, support_open_program_folder, support_close_folder);
}
