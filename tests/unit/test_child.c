/*
 * A child: why it ended, and what the log says about it.
 */
#include "support.h"

#include <pthread.h>

#include "base/clock.h"
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
	scoreboard_entry(&counters.scoreboard, child->slot)->exits_on_purpose =
	    1;
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

static void
wait_for_a_signal(void *context, const struct child *child)
{
	(void)context;
	(void)child;
	pause();
}

/* --- a child that has a request before fork() returns in the parent ------ */

static bool has_fast_child;

static _Atomic int64_t *
request_started(void)
{
	return &scoreboard_entry(&counters.scoreboard, SLOT_WORKER)
		    ->request_started;
}

static void
begin_a_request(void)
{
	if (has_fast_child)
		*request_started() = clock_now();
}

static void
wait_for_the_request(void)
{
	while (has_fast_child && !*request_started())
		usleep(100);
}

/* --- tests --------------------------------------------------------------- */

static void
a_request_that_begins_before_fork_returns_is_watched(void **state)
{
	struct child child = {.role = "worker", .slot = SLOT_WORKER};

	(void)state;
	has_fast_child = true;
	assert_true(child_start(&child, &counters, wait_for_a_signal, NULL));
	has_fast_child = false;
	assert_int_equal(child_request_started(&child, &counters, clock_now()),
	    *request_started());
	child_stop(&child, SIGKILL);
}

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
	assert_silent_about(support_said(), "was called outside");
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

		snprintf(call, sizeof(call), "exit(%d) was called", status);
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
	assert_silent_about(support_said(), "was called outside");
}

static unsigned
occurrences(const char *text, const char *part)
{
	unsigned count = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		count++;
	return count;
}

static void
an_application_that_does_not_start_for_10_s_is_logged_once(void **state)
{
	struct child late = {.role = "worker", .slot = SLOT_WORKER};
	_Atomic int32_t *unready =
	    &scoreboard_entry(&counters.scoreboard, SLOT_WORKER)->unready;

	(void)state;
	*unready = SCOREBOARD_STARTING;
	assert_true(child_start(&late, &counters, wait_for_a_signal, NULL));
	for (int seconds = 1; seconds <= 30; seconds++) {
		int64_t now = late.started_at + seconds * CLOCK_NS_PER_SECOND;

		/* Until then it serves as one whose app_start() failed. */
		*unready =
		    seconds < 15 ? SCOREBOARD_NOT_STARTED : SCOREBOARD_STARTING;
		child_check_start(&late, &counters, now);
		assert_int_equal(late.is_late, seconds >= 15);
	}
	child_stop(&late, SIGKILL);
	*unready = SCOREBOARD_STARTING;
	assert_true(child_start(&late, &counters, wait_for_a_signal, NULL));
	child_check_start(
	    &late, &counters, late.started_at + 10 * CLOCK_NS_PER_SECOND);
	assert_false(late.is_late);
	child_stop(&late, SIGKILL);
	assert_int_equal(
	    occurrences(support_said(), "app_start() has not returned"), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(an_exit_of_the_pool_is_what_its_status_says),
	    TEST(an_exit_of_the_application_is_a_crash_with_any_status),
	    TEST(a_process_that_is_killed_while_it_leaves_has_crashed),
	    TEST(an_application_that_does_not_start_for_10_s_is_logged_once),
	    TEST(a_request_that_begins_before_fork_returns_is_watched),
#undef TEST
	};

	pthread_atfork(NULL, wait_for_the_request, begin_a_request);
	return SUPPORT_RUN_WITH(tests, NULL, NULL);
}
