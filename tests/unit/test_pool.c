/*
 * The pool: real processes that end in every way there is.
 */
#include "support.h"

#include "base/clock.h"
#include "http/request_metrics.h"
#include "master/pool.h"
#include "metrics/registry.h"
#include "worker/worker.h"

enum { NONBLOCKING = 2, BLOCKING = 3, ALL = NONBLOCKING + BLOCKING };

static struct registry *registry;
static struct counters counters;
static struct pool pool;

/* --- what the processes do ----------------------------------------------- */

static void
unblock_all(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

static struct scoreboard_entry *own; /* of this process */

/* As child_exit(), but safe in a signal handler. */
static void
exit_drained(int signal)
{
	(void)signal;
	own->exits_on_purpose = 1;
	_exit(WORKER_DRAINED);
}

/* Leave by TERM, as a worker does. */
static void
serve(void *context, const struct child *child)
{
	struct scoreboard_entry *entry =
	    scoreboard_entry(&counters.scoreboard, child->slot);

	(void)context;
	own = entry;
	signal(SIGTERM, exit_drained);
	signal(SIGINT, exit_drained);
	unblock_all();
	entry->unready = 0;
	entry->served = 1;
	for (;;)
		pause();
}

/* Be killed and nothing else. */
static void
ignore_all(void *context, const struct child *child)
{
	(void)context;
	(void)child;
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	unblock_all();
	for (;;)
		pause();
}

static void
fail_at_once(void *context, const struct child *child)
{
	(void)context;
	(void)child;
	_exit(WORKER_FAILED);
}

static void
fail_but_for_the_first(void *context, const struct child *child)
{
	if (child->slot == SLOT_WORKER)
		serve(context, child);
	_exit(WORKER_FAILED);
}

/* --- the pool under test ------------------------------------------------- */

static int
set_up(void **state)
{
	if (support_open_folder(state) < 0)
		return -1;
	registry = request_metrics_registry();
	if (!registry || counters_open(&counters, support_path("counters"),
			     registry, ALL) < 0)
		return -1;
	pool = (struct pool){
	    .counters = &counters,
	    .nonblocking_count = NONBLOCKING,
	    .blocking_count = BLOCKING,
	    .request_timeout_ns = 60 * CLOCK_NS_PER_SECOND,
	    .run = serve,
	};
	support_capture();
	return 0;
}

static int
tear_down(void **state)
{
	pool_kill(&pool, SIGKILL);
	pool_end(&pool);
	support_release(state);
	counters_close(&counters);
	registry_free(registry);
	return support_close_folder(state);
}

/* What the master does in each turn of its loop. */
static void
turn(void)
{
	const struct timespec step = {.tv_nsec = 1000000};
	int status;
	pid_t pid;

	while (
	    (pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0)
		pool_reap(&pool, pid, status);
	if (pool.state != POOL_FAILED)
		pool_tick(&pool, clock_now());
	nanosleep(&step, NULL);
}

static uint64_t
value(enum registry_value value)
{
	return counters_sum(&counters, value);
}

static bool
all_serve(void)
{
	for (unsigned i = 0; i < ALL; i++)
		if (!pool.workers[i].pid ||
		    !scoreboard_entry(
			&counters.scoreboard, pool.workers[i].slot)
			 ->served)
			return false;
	return true;
}

static void
start_all(void)
{
	pool_start(&pool);
	while (!all_serve())
		turn();
}

/* --- tests --------------------------------------------------------------- */

static void
workers_of_both_kinds_are_started(void **state)
{
	(void)state;
	start_all();
	assert_int_equal(value(REGISTRY_WORKER_STARTS), ALL);
	assert_int_equal(
	    scoreboard_census(&counters.scoreboard, SCOREBOARD_NONBLOCKING)
		.workers,
	    NONBLOCKING);
	assert_int_equal(
	    scoreboard_census(&counters.scoreboard, SCOREBOARD_BLOCKING)
		.workers,
	    BLOCKING);
	assert_false(pool_is_blocking(&pool, SLOT_WORKER + NONBLOCKING - 1));
	assert_true(pool_is_blocking(&pool, SLOT_WORKER + NONBLOCKING));
}

static void
a_worker_that_was_killed_is_started_again(void **state)
{
	pid_t pid;

	(void)state;
	start_all();
	pid = pool.workers[ALL - 1].pid;
	kill(pid, SIGKILL);
	while (value(REGISTRY_WORKER_STARTS) == ALL)
		turn();
	assert_int_not_equal(pool.workers[ALL - 1].pid, pid);
	assert_int_equal(value(REGISTRY_EXITS_CRASHED), 1);
	assert_int_equal(pool.state, POOL_STEADY);
}

static void
a_suspended_worker_is_seen_and_goes_on(void **state)
{
	const struct scoreboard_entry *entry =
	    scoreboard_entry(&counters.scoreboard, SLOT_WORKER);

	(void)state;
	start_all();
	kill(pool.workers[0].pid, SIGSTOP);
	while (!entry->stopped)
		turn();
	assert_int_equal(pool.workers[0].state, CHILD_SUSPENDED);
	kill(pool.workers[0].pid, SIGCONT);
	while (entry->stopped)
		turn();
	assert_int_equal(pool.workers[0].state, CHILD_RUNNING);
	assert_int_equal(value(REGISTRY_WORKER_STARTS), ALL);
}

static void
a_worker_over_its_deadline_is_killed_whether_it_tells_its_stack_or_not(
    void **state)
{
	int64_t now = clock_now();

	(void)state;
	start_all();
	pool.request_timeout_ns = CLOCK_NS_PER_SECOND;
	pool.workers[1].started_at -= 10 * CLOCK_NS_PER_SECOND;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER + 1)
	    ->request_started = now - 2 * CLOCK_NS_PER_SECOND;
	for (int64_t ms = 0; ms < 100; ms += 33) {
		pool_tick(&pool, now + ms * CLOCK_NS_PER_MS);
		assert_int_equal(pool.workers[1].state, CHILD_RUNNING);
	}
	pool_tick(&pool, now + CLOCK_NS_PER_SECOND / 10);
	assert_int_equal(pool.workers[1].state, CHILD_KILLED);
	while (value(REGISTRY_WORKER_STARTS) == ALL)
		turn();
	assert_int_equal(value(REGISTRY_EXITS_DEADLINE), 1);
}

static void
a_request_that_takes_just_its_time_is_not_killed(void **state)
{
	int64_t now = clock_now();

	(void)state;
	start_all();
	pool.request_timeout_ns = CLOCK_NS_PER_SECOND;
	pool.workers[1].started_at = now - 10 * CLOCK_NS_PER_SECOND;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER + 1)
	    ->request_started = now - CLOCK_NS_PER_SECOND;
	pool_tick(&pool, now);
	assert_int_equal(pool.workers[1].state, CHILD_RUNNING);
}

static void
a_pool_whose_workers_all_die_at_once_fails(void **state)
{
	(void)state;
	pool.run = fail_at_once;
	pool_start(&pool);
	while (pool.state != POOL_FAILED)
		turn();
	assert_int_equal(value(REGISTRY_EXITS_CRASHED), 5 * ALL);
	assert_says(support_said(), "giving up");
}

static void
a_pool_with_a_worker_that_serves_does_not_fail(void **state)
{
	(void)state;
	pool.run = fail_but_for_the_first;
	pool_start(&pool);
	while (value(REGISTRY_EXITS_CRASHED) < 2 * ALL)
		turn();
	assert_int_not_equal(pool.state, POOL_FAILED);
	/* Each failure doubles the pause. */
	assert_true(pool.workers[1].failures >= 2);
}

static void
never_start(void *context, const struct child *child)
{
	(void)context;
	child_exit(child, &counters, WORKER_NOT_STARTED);
}

static void
a_pool_whose_application_does_not_start_tries_again_for_ever(void **state)
{
	(void)state;
	pool.run = never_start;
	pool_start(&pool);
	while (value(REGISTRY_EXITS_NOT_STARTED) < 20 * ALL)
		turn();
	assert_int_equal(pool.state, POOL_STEADY);
	assert_int_equal(value(REGISTRY_EXITS_CRASHED), 0);
	/* The process makes the pause; each failure makes the next longer. */
	assert_true(pool.workers[0].failures > 6);
	assert_int_equal(
	    child_backoff_ns(&pool.workers[0]), 5 * CLOCK_NS_PER_SECOND);
	pool.run = serve;
	while (!all_serve())
		turn();
}

static void
workers_are_replaced_one_after_another(void **state)
{
	pid_t before[ALL];
	int most = 0;

	(void)state;
	start_all();
	for (unsigned i = 0; i < ALL; i++)
		before[i] = pool.workers[i].pid;
	pool_replace(&pool);
	while (pool.state == POOL_REPLACING) {
		int missing = 0;

		turn();
		for (unsigned i = 0; i < ALL; i++)
			missing += pool.workers[i].pid == 0;
		most = missing > most ? missing : most;
	}
	assert_int_equal(pool.state, POOL_STEADY);
	assert_true(most <= 1);
	for (unsigned i = 0; i < ALL; i++)
		assert_int_not_equal(pool.workers[i].pid, before[i]);
	assert_int_equal(value(REGISTRY_EXITS_DRAINED), ALL);
}

static void
a_drained_pool_starts_no_worker(void **state)
{
	(void)state;
	start_all();
	pool_drain(&pool);
	pool_replace(&pool); /* HUP comes too late */
	assert_int_equal(pool.state, POOL_DRAINING);
	while (pool_has_workers(&pool))
		turn();
	turn();
	assert_int_equal(value(REGISTRY_WORKER_STARTS), ALL);
	assert_int_equal(value(REGISTRY_EXITS_DRAINED), ALL);
}

static void
the_end_kills_what_does_not_leave(void **state)
{
	(void)state;
	pool.run = ignore_all;
	pool_start(&pool);
	pool_end(&pool);
	assert_false(pool_has_workers(&pool));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void
options_say_how_many_workers(void **state)
{
	const struct options given = {.workers = 7, .blocking_workers = 9};
	const struct options none = {0};

	(void)state;
	assert_int_equal(pool_nonblocking_count(&given), 7);
	assert_int_equal(pool_blocking_count(&given), 9);
	assert_in_range(pool_nonblocking_count(&none), 2, POOL_NONBLOCKING_MAX);
	assert_in_range(pool_blocking_count(&none), 8, POOL_BLOCKING_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(workers_of_both_kinds_are_started),
	    TEST(a_worker_that_was_killed_is_started_again),
	    TEST(a_suspended_worker_is_seen_and_goes_on),
	    TEST(
		a_worker_over_its_deadline_is_killed_whether_it_tells_its_stack_or_not),
	    TEST(a_request_that_takes_just_its_time_is_not_killed),
	    TEST(a_pool_whose_workers_all_die_at_once_fails),
	    TEST(a_pool_with_a_worker_that_serves_does_not_fail),
	    TEST(a_pool_whose_application_does_not_start_tries_again_for_ever),
	    TEST(workers_are_replaced_one_after_another),
	    TEST(a_drained_pool_starts_no_worker),
	    TEST(the_end_kills_what_does_not_leave),
	    cmocka_unit_test(options_say_how_many_workers),
#undef TEST
	};

	return SUPPORT_RUN_WITH(tests, NULL, NULL);
}
