/*
 * Which worker should own a connection, for all that the others may be doing.
 */
#include "support.h"

#include "base/clock.h"
#include "worker/affinity.h"

enum { WORKERS = 4, MAX = 100, HOUR = 3600 };

/* A process of nginx whose connections are worker 1's. */
enum { NGINX = 4001 };

static struct scoreboard_entry entries[SLOT_WORKER + WORKERS];
static const struct scoreboard scoreboard = {
    .entries = (char *)entries,
    .stride = sizeof(entries[0]),
};
static struct affinity affinity;

static struct scoreboard_entry *
worker(unsigned number)
{
	return scoreboard_entry(&scoreboard, SLOT_WORKER + number);
}

/* This one is worker 0; all run, each with ten connections. */
static int
set_up(void **state)
{
	(void)state;
	memset((void *)entries, 0, sizeof(entries));
	for (unsigned i = 0; i < WORKERS; i++) {
		worker(i)->pid = 1;
		worker(i)->connections = 10;
	}
	affinity = (struct affinity){
	    .scoreboard = &scoreboard,
	    .slot = SLOT_WORKER,
	    .worker_count = WORKERS,
	    .connections_max = MAX,
	};
	return 0;
}

static void
assert_owner(unsigned number, pid_t nginx)
{
	assert_int_equal(affinity_find(&affinity, nginx), SLOT_WORKER + number);
}

static void
connections_of_one_nginx_process_go_to_one_worker(void **state)
{
	(void)state;
	for (pid_t nginx = NGINX; nginx < NGINX + 8; nginx++)
		assert_owner((unsigned)nginx % WORKERS, nginx);
}

static void
a_worker_that_takes_no_requests_is_passed_no_connection(void **state)
{
	(void)state;
	assert_owner(1, NGINX);
	worker(1)->pid = 0;
	assert_owner(0, NGINX);
	worker(1)->pid = 1;
	worker(1)->stopped = 1;
	assert_owner(0, NGINX);
	worker(1)->stopped = 0;
	worker(1)->draining = 1;
	assert_owner(0, NGINX);
	worker(1)->draining = 0;
	worker(1)->connections = MAX;
	assert_owner(0, NGINX);
	worker(1)->connections = MAX - 1;
	assert_owner(1, NGINX);
}

static void
a_dead_worker_that_was_not_reaped_is_passed_no_connection(void **state)
{
	pid_t pid = fork();
	siginfo_t info;

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	worker(1)->pid = pid;
	assert_owner(0, NGINX);
	waitpid(pid, NULL, 0);
	assert_owner(0, NGINX);
}

static void
a_worker_that_is_long_on_one_request_is_passed_no_connection(void **state)
{
	(void)state;
	worker(1)->request_started = clock_now() - CLOCK_NS_PER_SECOND;
	assert_owner(0, NGINX);
	/* Not for long, however slow this test is. */
	worker(1)->request_started = clock_now() + HOUR * CLOCK_NS_PER_SECOND;
	assert_owner(1, NGINX);
}

static void
a_connection_of_an_unknown_process_stays(void **state)
{
	(void)state;
	worker(2)->connections = 0;
	assert_owner(0, 0);
}

static void
a_connection_is_looked_at_again_and_again(void **state)
{
	int looks = 0;

	(void)state;
	assert_false(affinity_is_due(&affinity, 1));
	assert_true(affinity_is_due(&affinity, 2));
	for (unsigned answered = 1; answered <= 4096; answered++)
		looks += affinity_is_due(&affinity, answered);
	assert_int_equal(looks, 4);
}

static void
a_process_without_other_workers_keeps_all_connections(void **state)
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
	    TEST(connections_of_one_nginx_process_go_to_one_worker),
	    TEST(a_worker_that_takes_no_requests_is_passed_no_connection),
	    TEST(a_dead_worker_that_was_not_reaped_is_passed_no_connection),
	    TEST(a_worker_that_is_long_on_one_request_is_passed_no_connection),
	    TEST(a_connection_of_an_unknown_process_stays),
	    TEST(a_connection_is_looked_at_again_and_again),
	    TEST(a_process_without_other_workers_keeps_all_connections),
#undef TEST
	};

	return SUPPORT_RUN(tests);
}
