/*
 * The life of a worker: every transition, and those that are impossible.
 */
#include "support.h"

#include "worker/life.h"

static struct life life;

static int
set_up(void **state)
{
	(void)state;
	life = (struct life){0};
	return 0;
}

/* Whether a call aborts, in a process of its own. */
static bool
aborts(void (*transition)(struct life *, int64_t))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close(STDERR_FILENO);
		transition(&life, 1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void
a_worker_leaves_drains_and_ends(void **state)
{
	(void)state;
	assert_int_equal(life.state, LIFE_SERVING);
	life_leave(&life, 3, 10);
	assert_int_equal(life.state, LIFE_LEAVING);
	assert_int_equal(life.since, 10);
	life_drain(&life, 20);
	assert_int_equal(life.state, LIFE_DRAINING);
	assert_int_equal(life.since, 20);
	life_end(&life, 30);
	assert_int_equal(life.state, LIFE_ENDED);
	assert_int_equal(life.exit_code, 3);
}

static void
the_first_reason_to_leave_counts(void **state)
{
	(void)state;
	life_leave(&life, 3, 10);
	life_leave(&life, 0, 20);
	assert_int_equal(life.exit_code, 3);
	assert_int_equal(life.since, 10);
	life_drain(&life, 30);
	life_leave(&life, 0, 40);
	assert_int_equal(life.state, LIFE_DRAINING);
	assert_int_equal(life.exit_code, 3);
}

static void
a_worker_can_end_from_every_state_but_the_end(void **state)
{
	(void)state;
	assert_false(aborts(life_end));
	life_leave(&life, 0, 10);
	assert_false(aborts(life_end));
	life_drain(&life, 10);
	assert_false(aborts(life_end));
	life_end(&life, 10);
	assert_true(aborts(life_end));
}

static void
only_a_worker_that_leaves_can_drain(void **state)
{
	(void)state;
	assert_true(aborts(life_drain));
	life_leave(&life, 0, 10);
	assert_false(aborts(life_drain));
	life_drain(&life, 10);
	assert_true(aborts(life_drain));
	life_end(&life, 10);
	assert_true(aborts(life_drain));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	    TEST(a_worker_leaves_drains_and_ends),
	    TEST(the_first_reason_to_leave_counts),
	    TEST(a_worker_can_end_from_every_state_but_the_end),
	    TEST(only_a_worker_that_leaves_can_drain),
#undef TEST
	};

	return SUPPORT_RUN(tests);
}
