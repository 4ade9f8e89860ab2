/*
 * A child: why it ended, and what the log says about it.
 */
#include "support.h"

#include "http/request_metrics.h"
#include "master/child.h"
#include "metrics/registry.h"
#include "worker/worker.h"

static struct registry *registry;
static struct counters counters;

static int
set_up(void **state)
{
	if (support_open_folder(state) < 0)
		return -1;
	registry = request_metrics_registry();
	if (!registry ||
	    counters_open(&counters, support_path("counters"), registry, 1) < 0)
		return -1;
	support_capture();
	return 0;
}

static int
tear_down(void **state)
{
	support_release(state);
	counters_close(&counters);
	registry_free(registry);
	return support_close_folder(state);
}

/* --- what the processes do ----------------------------------------------- */

static void
exit_of_the_pool(void *context, const struct child *child)
{
	child_exit(child, &counters, *(const int *)context);
}

static void
exit_of_the_application(void *context, const struct child *child)
{
	(void)child;
	_exit(*(const int *)context);
}

static void
killed_while_it_leaves(void *context, const struct child *child)
{
	(void)context;
	scoreboard_entry(&counters.scoreboard, child->slot)->finished = 1;
	raise(SIGKILL);
}

/* Start a process that does this, and see why it ended. */
static enum child_end
end_of(
    struct child *child, void (*run)(void *, const struct child *), int status)
{
	bool served;
	int ended;

	assert_true(child_start(child, &counters, run, &status));
	assert_int_equal(waitpid(child->pid, &ended, 0), child->pid);
	return child_exited(child, &counters, ended, &served);
}

/* --- tests --------------------------------------------------------------- */

static void
an_exit_of_the_pool_is_what_its_status_says(void **state)
{
	struct child child = {.role = "worker", .slot = SLOT_WORKER};

	(void)state;
	assert_int_equal(
	    end_of(&child, exit_of_the_pool, WORKER_DRAINED), CHILD_DRAINED);
	assert_int_equal(
	    end_of(&child, exit_of_the_pool, WORKER_RECYCLED), CHILD_RECYCLED);
	assert_int_equal(end_of(&child, exit_of_the_pool, WORKER_NOT_STARTED),
	    CHILD_NOT_STARTED);
	assert_int_equal(
	    end_of(&child, exit_of_the_pool, WORKER_FAILED), CHILD_CRASHED);
	assert_silent_about(support_said(), "called exit");
}

static void
an_exit_of_the_application_is_a_crash_with_any_status(void **state)
{
	struct child child = {.role = "worker", .slot = SLOT_WORKER};
	const char *said;

	(void)state;
	/* A process before it that left on purpose changes nothing. */
	end_of(&child, exit_of_the_pool, WORKER_DRAINED);
	for (int status = 0; status <= WORKER_NOT_STARTED; status++)
		assert_int_equal(
		    end_of(&child, exit_of_the_application, status),
		    CHILD_CRASHED);
	said = support_said();
	for (int status = 0; status <= WORKER_NOT_STARTED; status++) {
		char call[40];

		snprintf(call, sizeof(call), "called exit(%d)", status);
		assert_says(said, call);
	}
}

static void
a_process_that_is_killed_while_it_leaves_has_crashed(void **state)
{
	struct child child = {.role = "worker", .slot = SLOT_WORKER};

	(void)state;
	assert_int_equal(
	    end_of(&child, killed_while_it_leaves, 0), CHILD_CRASHED);
	assert_silent_about(support_said(), "called exit");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(an_exit_of_the_pool_is_what_its_status_says),
	    TEST(an_exit_of_the_application_is_a_crash_with_any_status),
	    TEST(a_process_that_is_killed_while_it_leaves_has_crashed),
#undef TEST
	};

	return SUPPORT_RUN_WITH(tests, NULL, NULL);
}
