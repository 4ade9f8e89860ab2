/*
 * Who has the load: workers claim it by a ticket, the master runs it.
 */
#include "support.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/request_metrics.h"
#include "load/burn.h"
#include "load/order.h"
#include "master/load_manager.h"
#include "metrics/registry.h"

static struct counters counters;
static struct registry *registry;
static struct options options;
static struct load_manager manager;
static int orders[2];
static const struct load light = {.seconds = 60, .cpu_cores = 0.01};

static int
set_up(void **state)
{
	support_clear(state);
	registry = request_metrics_registry();
	options = (struct options){.max_load_seconds = 600};
	assert_int_equal(
	    counters_open(&counters, support_path("counters"), registry, 2), 0);
	assert_int_equal(pipe2(orders, O_CLOEXEC | O_NONBLOCK), 0);
	manager = (struct load_manager){
	    .options = &options, .counters = &counters, .orders = orders[0]};
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	load_manager_stop(&manager);
	close(orders[0]);
	close(orders[1]);
	counters_close(&counters);
	registry_free(registry);
	return 0;
}

static int64_t
ticket(void)
{
	return scoreboard_entry(&counters.scoreboard, SLOT_MASTER)->load_ticket;
}

static void
a_load_that_is_asked_for_runs_until_its_end_is_asked_for(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(
	    load_order_start(&counters.scoreboard, orders[1], &light), 0);
	load_manager_order(&manager);
	pid = manager.pid;
	assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(
	    load_order_start(&counters.scoreboard, orders[1], &light), -EBUSY);
	assert_int_equal(load_order_end(&counters.scoreboard, orders[1]), 0);
	load_manager_order(&manager);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(manager.pid, 0);
	assert_int_equal(
	    load_order_end(&counters.scoreboard, orders[1]), -ENOENT);
}

static void
a_load_that_ends_does_not_take_the_next_ones_ticket(void **state)
{
	int status;

	(void)state;
	assert_int_equal(
	    load_order_start(&counters.scoreboard, orders[1], &light), 0);
	load_manager_order(&manager);
	kill(manager.pid, SIGKILL);
	/* Before the master hears of it, a DELETE and a POST pass. */
	assert_int_equal(load_order_end(&counters.scoreboard, orders[1]), 0);
	assert_int_equal(
	    load_order_start(&counters.scoreboard, orders[1], &light), 0);
	assert_int_equal(waitpid(manager.pid, &status, 0), manager.pid);
	load_manager_ended(&manager, status);
	assert_int_not_equal(ticket(), 0);
	load_manager_order(&manager);
	load_manager_order(&manager);
	assert_int_not_equal(manager.pid, 0);
	assert_int_equal(ticket(), manager.ticket);
}

static void
an_end_that_is_asked_for_before_the_start_arrives_wins(void **state)
{
	struct load_order late;

	(void)state;
	assert_int_equal(
	    load_order_start(&counters.scoreboard, orders[1], &light), 0);
	assert_int_equal(
	    read(orders[0], &late, sizeof(late)), (int)sizeof(late));
	assert_int_equal(load_order_end(&counters.scoreboard, orders[1]), 0);
	assert_int_equal(
	    write(orders[1], &late, sizeof(late)), (int)sizeof(late));
	load_manager_order(&manager);
	load_manager_order(&manager);
	assert_int_equal(manager.pid, 0);
	assert_int_equal(ticket(), 0);
}

static void
values_that_no_worker_should_send_are_refused(void **state)
{
	const struct load bad[] = {
	    {.seconds = NAN, .cpu_cores = 1},
	    {.seconds = INFINITY, .cpu_cores = 1},
	    {.seconds = -1, .cpu_cores = 1},
	    {.seconds = 601, .cpu_cores = 1},
	    {.seconds = 1, .cpu_cores = NAN},
	    {.seconds = 1, .cpu_cores = -1},
	    {.seconds = 1, .cpu_cores = 1e9},
	    {.seconds = 1, .cpu_cores = 1, .cpu_floor = NAN},
	    {.seconds = 1, .cpu_cores = 1, .cpu_floor = 2},
	    {.seconds = 1, .cpu_cores = 1, .threads = 1000000},
	    {.seconds = 1, .memory_bytes = UINT64_MAX},
	    {.seconds = 1, .memory_target = UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(
		    load_order_start(&counters.scoreboard, orders[1], &bad[i]),
		    0);
		support_capture();
		load_manager_order(&manager);
		assert_says(support_said(), "out of range");
		assert_int_equal(manager.pid, 0);
		assert_int_equal(ticket(), 0);
	}
}

static void
a_ticket_without_an_order_is_taken_back_after_a_second(void **state)
{
	int64_t now = clock_now();

	(void)state;
	scoreboard_entry(&counters.scoreboard, SLOT_MASTER)->load_ticket = 1;
	load_manager_check(&manager, now);
	load_manager_check(&manager, now + CLOCK_NS_PER_SECOND);
	assert_int_equal(ticket(), 1);
	load_manager_check(&manager, now + CLOCK_NS_PER_SECOND + 1);
	assert_int_equal(ticket(), 0);
}

/* A parent that has died already sends no more signals. */
static void
a_load_whose_parent_is_gone_burns_nothing(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		alarm(10);
		load_burn(&light, 1 << 30);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_load_that_is_asked_for_runs_until_its_end_is_asked_for),
	    TEST(a_load_that_ends_does_not_take_the_next_ones_ticket),
	    TEST(an_end_that_is_asked_for_before_the_start_arrives_wins),
	    TEST(values_that_no_worker_should_send_are_refused),
	    TEST(a_ticket_without_an_order_is_taken_back_after_a_second),
	    TEST(a_load_whose_parent_is_gone_burns_nothing),
	};

	return SUPPORT_RUN(tests);
}
