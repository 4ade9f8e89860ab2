/*
 * The time that workers are busy: counted once, shown while it passes, and
 * never taken back.
 */
#include "busy_pool.h"

#include "http/router.h"
#include "metrics/counters_snapshot.h"

/* At least so many seconds, and no more than passed since `since` besides. */
static void
assert_running(uint64_t time, int64_t at_least, int64_t since)
{
	assert_true(time >= (uint64_t)seconds(at_least));
	assert_true(
	    time <= (uint64_t)(seconds(at_least) + clock_now() - since));
}

static void
a_request_is_counted_when_it_ends(void **state)
{
	int64_t now = clock_now();

	(void)state;
	busy_time_begin(entry, place, now - seconds(3));
	busy_time_end(entry, place, now);
	assert_int_equal(busy_now(), seconds(3));
	assert_int_equal(counted(), seconds(3));
	busy_time_begin(entry, place, now - seconds(2));
	busy_time_end(entry, place, now);
	assert_int_equal(busy_now(), seconds(5));
	assert_int_equal(
	    busy_time_read(&counters, SCOREBOARD_BLOCKING, true), 0);
}

static void
a_request_under_way_is_shown_and_not_counted(void **state)
{
	int64_t now = clock_now();

	(void)state;
	counters_add(place, 0, (uint64_t)seconds(100));
	busy_time_begin(entry, place, now - seconds(5));
	assert_running(busy_now(), 105, now);
	assert_int_equal(counted(), seconds(100));
	/* Without a pool nothing is under way. */
	assert_int_equal(
	    busy_time_read(&counters, SCOREBOARD_NONBLOCKING, false),
	    seconds(100));
}

static void
each_kind_of_worker_has_a_time_of_its_own(void **state)
{
	_Atomic uint64_t *other = busy_time_place(&counters, BLOCKING_SLOT);
	int64_t now = clock_now();

	(void)state;
	busy_time_begin(scoreboard_entry(&counters.scoreboard, BLOCKING_SLOT),
	    other, now - seconds(7));
	assert_running(
	    busy_time_read(&counters, SCOREBOARD_BLOCKING, true), 7, now);
	assert_int_equal(busy_now(), 0);
}

static void
processes_that_are_no_workers_count_nothing(void **state)
{
	int64_t now = clock_now();

	(void)state;
	for (unsigned slot = 0; slot < SLOT_WORKER; slot++) {
		struct scoreboard_entry *other =
		    scoreboard_entry(&counters.scoreboard, slot);

		assert_null(busy_time_place(&counters, slot));
		busy_time_begin(other, NULL, now - seconds(1));
		assert_int_equal(other->request_started, now - seconds(1));
		assert_int_equal(busy_now(), 0);
		busy_time_settle(&counters, slot);
		busy_time_end(other, NULL, now);
		assert_int_equal(other->request_started, 0);
	}
	assert_int_equal(busy_now(), 0);
}

static void
a_request_that_is_counted_and_still_in_the_scoreboard_is_counted_once(
    void **state)
{
	int64_t now = clock_now();

	(void)state;
	busy_time_begin(entry, place, now - seconds(3));
	counters_add(place, 0, (uint64_t)seconds(3)); /* and it is killed */
	assert_int_equal(busy_now(), seconds(3));
	busy_time_settle(&counters, NONBLOCKING_SLOT);
	assert_int_equal(busy_now(), seconds(3));
}

static void
the_request_of_a_worker_that_died_is_counted_once(void **state)
{
	int64_t now = clock_now();
	uint64_t before;

	(void)state;
	busy_time_begin(entry, place, now - seconds(4));
	before = busy_now();
	busy_time_settle(&counters, NONBLOCKING_SLOT);
	assert_true(counted() >= before);
	assert_running(counted(), 4, now);
	before = counted();
	busy_time_settle(&counters, NONBLOCKING_SLOT);
	assert_int_equal(counted(), before);
	assert_int_equal(busy_now(), before);
}

static void
an_entry_that_was_copied_while_it_changed_shows_nothing_under_way(void **state)
{
	int64_t now = clock_now();

	(void)state;
	busy_time_begin(entry, place, now - seconds(9));
	busy_time_end(entry, place, now - seconds(2));
	busy_time_begin(entry, place, now - seconds(1));
	entry->request_started = now - seconds(9);
	assert_int_equal(busy_now(), seconds(7));
}

static void
a_time_that_cannot_be_is_not_shown(void **state)
{
	const int64_t times[] = {
	    INT64_MAX, INT64_MIN, -1, clock_now() + seconds(1000), 1};

	(void)state;
	for (size_t i = 0; i < COUNT(times); i++) {
		entry->request_started = times[i];
		assert_int_equal(busy_now(), 0);
	}
	busy_time_begin(entry, place, clock_now() + seconds(1000));
	assert_int_equal(busy_now(), 0);
}

static void
a_scrape_never_shows_less_than_the_one_before(void **state)
{
	int64_t now = clock_now();
	uint64_t shown;

	(void)state;
	busy_time_begin(entry, place, now - seconds(10));
	shown = busy_time_show(&counters, SCOREBOARD_NONBLOCKING);
	assert_running(shown, 10, now);
	/* It was stopped after it had read the clock. */
	busy_time_end(entry, place, now - seconds(5));
	assert_int_equal(counted(), seconds(5));
	assert_int_equal(
	    busy_time_show(&counters, SCOREBOARD_NONBLOCKING), shown);
	assert_int_equal(busy_now(), shown); /* for other readers, too */
	busy_time_begin(entry, place, now - seconds(6));
	busy_time_end(entry, place, now);
	assert_int_equal(
	    busy_time_show(&counters, SCOREBOARD_NONBLOCKING), seconds(11));
}

static void
what_was_shown_of_a_pool_that_was_killed_is_counted_by_the_next(void **state)
{
	int64_t now = clock_now();
	uint64_t shown;

	(void)state;
	counters_add(place, 0, (uint64_t)seconds(1));
	busy_time_begin(entry, place, now - seconds(10));
	shown = busy_time_show(&counters, SCOREBOARD_NONBLOCKING);
	counters_close(&counters);
	open_pool();
	assert_int_equal(busy_now(), shown);
	assert_int_equal(counted(), seconds(1));
	busy_time_open(&counters);
	assert_int_equal(counted(), shown);
	busy_time_open(&counters);
	busy_time_begin(entry, place, now - seconds(2));
	busy_time_end(entry, place, now);
	assert_int_equal(busy_now(), shown + (uint64_t)seconds(2));
}

static void
another_version_goes_on_from_what_was_shown(void **state)
{
	static const char *const endpoints[] = {"only", "other"};
	static const char *const methods[] = {"GET", "other"};
	struct registry *const mine = registry;
	struct registry *others = registry_new(endpoints, 2, methods, 2);
	uint64_t before = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		int64_t now = clock_now();
		uint64_t shown;

		busy_time_begin(entry, place, now - seconds(10));
		shown = busy_time_show(&counters, SCOREBOARD_NONBLOCKING);
		assert_running(shown - before, 10, now);
		counters_close(&counters);
		registry = registry == mine ? others : mine;
		support_capture();
		open_pool();
		support_said();
		assert_int_equal(busy_now(), shown);
		busy_time_open(&counters);
		assert_int_equal(counted(), shown);
		before = shown;
	}
	registry_free(others);
}

static void
what_was_shown_is_restored_and_never_added_twice(void **state)
{
	_Atomic uint64_t *shown = &counters_values(
	    &counters, SLOT_METRICS)[REGISTRY_BUSY_SHOWN_NONBLOCKING];
	struct counters copy;

	(void)state;
	*shown = (uint64_t)seconds(50);
	assert_int_equal(counters_snapshot_new(&copy, &counters), 0);
	counters_snapshot_copy(&copy, &counters);
	*shown = 0;
	counters_snapshot_restore(&counters, &copy, 0);
	assert_int_equal(busy_now(), seconds(50));
	*shown = (uint64_t)seconds(60);
	counters_snapshot_restore(&counters, &copy, 0);
	counters_snapshot_restore(&counters, &copy, COUNTERS_SNAPSHOT_UNCUT);
	assert_int_equal(busy_now(), seconds(60));
	counters_snapshot_free(&copy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_request_is_counted_when_it_ends),
	    TEST(a_request_under_way_is_shown_and_not_counted),
	    TEST(each_kind_of_worker_has_a_time_of_its_own),
	    TEST(processes_that_are_no_workers_count_nothing),
	    TEST(
		a_request_that_is_counted_and_still_in_the_scoreboard_is_counted_once),
	    TEST(the_request_of_a_worker_that_died_is_counted_once),
	    TEST(
		an_entry_that_was_copied_while_it_changed_shows_nothing_under_way),
	    TEST(a_time_that_cannot_be_is_not_shown),
	    TEST(a_scrape_never_shows_less_than_the_one_before),
	    TEST(
		what_was_shown_of_a_pool_that_was_killed_is_counted_by_the_next),
	    TEST(another_version_goes_on_from_what_was_shown),
	    TEST(what_was_shown_is_restored_and_never_added_twice),
	};

	return SUPPORT_RUN(tests);
}
