/*
 * Which worker is to have a connection, for all that the others may be at.
 */
#include "support.h"

#include "base/clock.h"
#include "worker/affinity.h"

enum { WORKERS = 4, MAX = 100, HOUR = 3600 };

/* A process of nginx whose connections are worker 1's. */
enum { NGINX = 4001 };

static struct scoreboard_entry states[SLOT_WORKER + WORKERS];
static struct counters counters = {
    .scoreboard.entries = (char *)states,
    .scoreboard.stride = sizeof(states[0]),
    .slot_count = SLOT_WORKER + WORKERS,
};
static struct affinity affinity;

static struct scoreboard_entry *
worker(unsigned number)
{
	return scoreboard_entry(&counters.scoreboard, SLOT_WORKER + number);
}

/* This one is worker 0; all run, each with ten connections. */
static int
set_up(void **state)
{
	(void)state;
	memset((void *)states, 0, sizeof(states));
	for (unsigned i = 0; i < WORKERS; i++) {
		worker(i)->pid = 1;
		worker(i)->connections = 10;
	}
	affinity = (struct affinity){
	    .counters = &counters,
	    .slot = SLOT_WORKER,
	    .worker_count = WORKERS,
	    .connections_max = MAX,
	};
	return 0;
}

static void
take(int64_t microseconds, int times)
{
	while (times-- > 0)
		affinity_note(&affinity, microseconds * 1000);
}

static void
assert_home(unsigned number, pid_t nginx)
{
	assert_int_equal(affinity_find(&affinity, nginx), SLOT_WORKER + number);
}

static void
light_requests_of_one_process_go_to_one_worker(void **state)
{
	(void)state;
	take(3, 1000);
	for (pid_t nginx = NGINX; nginx < NGINX + 8; nginx++)
		assert_home((unsigned)nginx % WORKERS, nginx);
}

static void
who_cannot_take_it_is_given_nothing(void **state)
{
	(void)state;
	assert_home(1, NGINX);
	worker(1)->pid = 0;
	assert_home(0, NGINX);
	worker(1)->pid = 1;
	worker(1)->stopped = 1;
	assert_home(0, NGINX);
	worker(1)->stopped = 0;
	worker(1)->draining = 1;
	assert_home(0, NGINX);
	worker(1)->draining = 0;
	worker(1)->connections = MAX;
	assert_home(0, NGINX);
	worker(1)->connections = MAX - 1;
	assert_home(1, NGINX);
}

static void
who_has_been_at_one_request_for_long_is_given_nothing(void **state)
{
	(void)state;
	worker(1)->request_started = clock_now() - CLOCK_NS_PER_SECOND;
	assert_home(0, NGINX);
	/* Not for long, however slow this test is. */
	worker(1)->request_started = clock_now() + HOUR * CLOCK_NS_PER_SECOND;
	assert_home(1, NGINX);
}

static void
slow_requests_go_to_who_has_the_fewest_connections(void **state)
{
	(void)state;
	take(500, 1000);
	assert_home(0, NGINX);
	worker(0)->connections = 40;
	worker(2)->connections = 3;
	worker(3)->connections = 2;
	assert_home(3, NGINX);
	worker(3)->stopped = 1;
	assert_home(2, NGINX);
}

static void
about_as_many_are_as_many(void **state)
{
	(void)state;
	take(500, 1000);
	for (unsigned i = 0; i < WORKERS; i++)
		worker(i)->connections = 16;
	worker(3)->connections = 13;
	assert_home(0, NGINX);
	worker(3)->connections = 12;
	assert_home(3, NGINX);
	/* What was given is not given back. */
	for (int more = 2; more < MAX; more++) {
		worker(0)->connections = more;
		worker(3)->connections = 0;
		affinity.slot = SLOT_WORKER;
		while (affinity_find(&affinity, NGINX) == SLOT_WORKER + 3) {
			worker(0)->connections--;
			worker(3)->connections++;
			worker(1)->connections = worker(2)->connections = MAX;
		}
		affinity.slot = SLOT_WORKER + 3;
		assert_home(3, NGINX);
	}
}

static void
a_process_that_is_not_known_has_no_worker_of_its_own(void **state)
{
	(void)state;
	assert_home(0, 0);
	worker(2)->connections = 0;
	assert_home(2, 0);
}

static void
who_is_stuck_gives_to_who_has_the_fewest(void **state)
{
	(void)state;
	worker(0)->connections = 1;
	worker(2)->connections = 3;
	worker(3)->connections = 2;
	assert_int_equal(affinity_find_other(&affinity), SLOT_WORKER + 3);
	worker(3)->request_started = clock_now() - CLOCK_NS_PER_SECOND;
	assert_int_equal(affinity_find_other(&affinity), SLOT_WORKER + 2);
	worker(2)->stopped = worker(1)->draining = 1;
	assert_int_equal(affinity_find_other(&affinity), SLOT_WORKER);
}

static void
one_slow_request_in_a_hundred_is_no_matter(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++)
		take(i % 100 == 0 ? 100000 : 3, 1);
	assert_true(affinity.slow_ns < 20000);
	assert_home(1, NGINX);
}

static void
one_slow_request_in_five_is(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++)
		take(i % 5 == 0 ? 1000 : 3, 1);
	assert_true(affinity.slow_ns > 20000);
	assert_home(0, NGINX);
	take(3, 1000);
	assert_home(1, NGINX);
}

static void
a_connection_is_looked_at_again_and_again(void **state)
{
	int light = 0;
	int slow = 0;

	(void)state;
	assert_false(affinity_is_due(&affinity, 1));
	assert_true(affinity_is_due(&affinity, 2));
	for (unsigned answered = 1; answered <= 4096; answered++)
		light += affinity_is_due(&affinity, answered);
	take(500, 1000);
	for (unsigned answered = 1; answered <= 4096; answered++)
		slow += affinity_is_due(&affinity, answered);
	assert_int_equal(light, 4);
	assert_int_equal(slow, 256);
}

static void
who_has_no_others_keeps_all(void **state)
{
	(void)state;
	affinity.worker_count = 0;
	for (unsigned answered = 0; answered <= 4096; answered++)
		assert_false(affinity_is_due(&affinity, answered));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	    TEST(light_requests_of_one_process_go_to_one_worker),
	    TEST(who_cannot_take_it_is_given_nothing),
	    TEST(who_has_been_at_one_request_for_long_is_given_nothing),
	    TEST(slow_requests_go_to_who_has_the_fewest_connections),
	    TEST(about_as_many_are_as_many),
	    TEST(a_process_that_is_not_known_has_no_worker_of_its_own),
	    TEST(who_is_stuck_gives_to_who_has_the_fewest),
	    TEST(one_slow_request_in_a_hundred_is_no_matter),
	    TEST(one_slow_request_in_five_is),
	    TEST(a_connection_is_looked_at_again_and_again),
	    TEST(who_has_no_others_keeps_all),
#undef TEST
	};

	return SUPPORT_RUN(tests);
}
