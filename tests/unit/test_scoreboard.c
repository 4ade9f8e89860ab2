/*
 * The scoreboard: which workers count as busy, idle or stopped.
 */
#include "support.h"

#include "scoreboard.h"

enum { WORKERS = 4 };

static struct scoreboard_entry entries[SLOT_WORKER + WORKERS];
static const struct scoreboard scoreboard = {
    .entries = (char *)entries,
    .stride = sizeof(entries[0]),
    .slot_count = SLOT_WORKER + WORKERS,
};

static int
set_up(void **state)
{
	(void)state;
	memset((void *)entries, 0, sizeof(entries));
	return 0;
}

static void
assert_census(unsigned busy, unsigned idle, unsigned stopped)
{
	struct scoreboard_census census =
	    scoreboard_census(&scoreboard, SCOREBOARD_NONBLOCKING);

	assert_int_equal(census.busy, busy);
	assert_int_equal(census.idle, idle);
	assert_int_equal(census.stopped, stopped);
	assert_int_equal(census.workers, busy + idle + stopped);
}

static void
a_pool_without_workers_has_none_in_any_state(void **state)
{
	(void)state;
	entries[SLOT_MASTER].pid = 1;
	entries[SLOT_METRICS].pid = 2;
	entries[SLOT_CGI].request_started = 3;
	assert_census(0, 0, 0);
}

static void
a_worker_is_busy_while_it_is_on_a_request(void **state)
{
	(void)state;
	entries[SLOT_WORKER].pid = 10;
	entries[SLOT_WORKER + WORKERS - 1].pid = 11;
	entries[SLOT_WORKER + WORKERS - 1].request_started = 1;
	assert_census(1, 1, 0);
}

static void
a_stopped_worker_is_neither_busy_nor_idle(void **state)
{
	(void)state;
	entries[SLOT_WORKER].pid = 10;
	entries[SLOT_WORKER].stopped = 1;
	entries[SLOT_WORKER + 1].pid = 11;
	entries[SLOT_WORKER + 1].stopped = 1;
	entries[SLOT_WORKER + 1].request_started = 1;
	assert_census(0, 0, 2);
}

static void
connections_of_all_workers_are_added_up(void **state)
{
	(void)state;
	entries[SLOT_WORKER].pid = 10;
	entries[SLOT_WORKER].connections = 3;
	entries[SLOT_WORKER + 1].pid = 11;
	entries[SLOT_WORKER + 1].connections = 4;
	entries[SLOT_WORKER + 2].connections = 100; /* of one that has died */
	assert_int_equal(
	    scoreboard_census(&scoreboard, SCOREBOARD_NONBLOCKING).connections,
	    7);
}

static void
each_kind_of_worker_is_counted_by_itself(void **state)
{
	(void)state;
	entries[SLOT_WORKER].pid = 10;
	entries[SLOT_WORKER + 1].pid = 11;
	entries[SLOT_WORKER + 1].kind = SCOREBOARD_BLOCKING;
	entries[SLOT_WORKER + 1].request_started = 1;
	assert_census(0, 1, 0);
	assert_int_equal(
	    scoreboard_census(&scoreboard, SCOREBOARD_BLOCKING).busy, 1);
	assert_string_equal(
	    scoreboard_kind_name(SCOREBOARD_BLOCKING), "blocking");
}

static void
a_kind_is_served_by_a_worker_that_has_started(void **state)
{
	(void)state;
	entries[SLOT_WORKER].pid = 10;
	entries[SLOT_WORKER].unready = 1;
	entries[SLOT_WORKER + 1].pid = 11;
	entries[SLOT_WORKER + 1].kind = SCOREBOARD_BLOCKING;
	assert_false(
	    scoreboard_kind_is_served(&scoreboard, SCOREBOARD_NONBLOCKING));
	assert_true(
	    scoreboard_kind_is_served(&scoreboard, SCOREBOARD_BLOCKING));
	entries[SLOT_WORKER].unready = 0;
	assert_true(
	    scoreboard_kind_is_served(&scoreboard, SCOREBOARD_NONBLOCKING));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(
		a_pool_without_workers_has_none_in_any_state, set_up),
	    cmocka_unit_test_setup(
		a_worker_is_busy_while_it_is_on_a_request, set_up),
	    cmocka_unit_test_setup(
		a_stopped_worker_is_neither_busy_nor_idle, set_up),
	    cmocka_unit_test_setup(
		connections_of_all_workers_are_added_up, set_up),
	    cmocka_unit_test_setup(
		each_kind_of_worker_is_counted_by_itself, set_up),
	    cmocka_unit_test_setup(
		a_kind_is_served_by_a_worker_that_has_started, set_up),
	};

	return SUPPORT_RUN(tests);
}
