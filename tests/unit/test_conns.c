/*
 * The states of a nonblocking worker's connections, and the events on them.
 */
#include "support.h"

#include <sys/epoll.h>

#include "worker/conns.h"

enum { MAX = 3 };

static struct conns conns;

static int
set_up(void **state)
{
	(void)state;
	return conns_open(&conns, MAX);
}

static int
tear_down(void **state)
{
	(void)state;
	free(conns.all);
	return 0;
}

static struct conn *
open_one(int64_t now)
{
	struct conn *conn = conns_find_free(&conns);

	assert_non_null(conn);
	conns_change(&conns, conn, CONN_IDLE, now);
	return conn;
}

static void
a_connection_that_is_closed_is_free_again(void **state)
{
	struct conn *first = open_one(1);

	(void)state;
	open_one(2);
	open_one(3);
	assert_int_equal(conns.count, MAX);
	assert_null(conns_find_free(&conns));
	conns_change(&conns, first, CONN_FREE, 0);
	assert_int_equal(conns.count, MAX - 1);
	assert_ptr_equal(conns_find_free(&conns), first);
}

static void
the_one_that_is_due_first_comes_first(void **state)
{
	struct conn *a = open_one(1);
	struct conn *b = open_one(2);
	struct conn *c = open_one(3);

	(void)state;
	conns_change(&conns, a, CONN_DELAYED, 30);
	conns_change(&conns, b, CONN_DELAYED, 10);
	conns_change(&conns, c, CONN_DELAYED, 20);
	assert_ptr_equal(conns_first(&conns, CONN_DELAYED), b);
	conns_change(&conns, b, CONN_IDLE, 40);
	assert_ptr_equal(conns_first(&conns, CONN_DELAYED), c);
	conns_change(&conns, c, CONN_IDLE, 41);
	assert_ptr_equal(conns_first(&conns, CONN_DELAYED), a);
	assert_ptr_equal(conns_first(&conns, CONN_IDLE), b);
	assert_null(conns_first(&conns, CONN_PARTIAL));
}

/* Whether a change of state aborts, in a process of its own. */
static bool
aborts(enum conn_state from, enum conn_state to)
{
	struct conn *conn = open_one(1);
	int status;
	pid_t pid;

	if (from != CONN_IDLE)
		conns_change(&conns, conn, from, 1);
	pid = fork();
	if (pid == 0) {
		close(STDERR_FILENO);
		conns_change(&conns, conn, to, 2);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (from != CONN_FREE)
		conns_change(&conns, conn, CONN_FREE, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void
only_the_changes_of_the_header_are_possible(void **state)
{
	static const bool possible[CONN_STATES][CONN_STATES] = {
	    [CONN_FREE] = {[CONN_IDLE] = true},
	    [CONN_IDLE] = {true, true, true, true},
	    [CONN_PARTIAL] = {[CONN_FREE] = true, [CONN_IDLE] = true},
	    [CONN_DELAYED] = {[CONN_FREE] = true, [CONN_IDLE] = true},
	};

	(void)state;
	for (int from = 0; from < CONN_STATES; from++)
		for (int to = 0; to < CONN_STATES; to++)
			if (aborts((enum conn_state)from,
				(enum conn_state)to) == possible[from][to])
				fail_msg("from %d to %d", from, to);
}

/* --- events -------------------------------------------------------------- */

static struct event_source *handled[4];
static int handled_count;

static void
handle(void *context, struct event_source *source, uint32_t events)
{
	assert_ptr_equal(context, handled);
	assert_true(events & EPOLLIN);
	handled[handled_count++] = source;
}

static void
a_source_that_opens_and_closes_others_is_handled_last(void **state)
{
	struct event_source last = {handle, .is_last = true};
	struct event_source others[2] = {{handle, false}, {handle, false}};
	struct events events;
	int pipes[3][2];

	(void)state;
	handled_count = 0;
	assert_int_equal(events_open(&events, handled), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pipe(pipes[i]), 0);
		assert_int_equal(write(pipes[i][1], "", 1), 1);
		assert_int_equal(events_add(&events, pipes[i][0], EPOLLIN,
				     i == 0 ? &last : &others[i - 1]),
		    0);
	}
	assert_int_equal(events_wait(&events, 0), 0);
	assert_int_equal(handled_count, 3);
	assert_ptr_equal(handled[2], &last);

	handled_count = 0;
	events_remove(&events, pipes[0][0]);
	events_change(&events, pipes[1][0], 0, &others[0]);
	assert_int_equal(events_wait(&events, 0), 0);
	assert_int_equal(handled_count, 1);
	assert_ptr_equal(handled[0], &others[1]);
	for (int i = 0; i < 3; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	close(events.epoll);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(a_connection_that_is_closed_is_free_again),
	    TEST(the_one_that_is_due_first_comes_first),
	    TEST(only_the_changes_of_the_header_are_possible),
	    cmocka_unit_test(
		a_source_that_opens_and_closes_others_is_handled_last),
#undef TEST
	};

	return SUPPORT_RUN(tests);
}
