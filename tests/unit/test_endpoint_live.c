/*
 * The numbers of the live endpoint, which the status page shows.
 */
#include "support.h"

#include "handlers.h"

static void
live_tells_what_has_been_counted(void **state)
{
	struct request_sample count = {.endpoint = ENDPOINT_health,
	    .method = METHOD_GET,
	    .status = 200,
	    .duration_ns = 1000000,
	    .queue_ns = -1,
	    .body_bytes = 16};
	const char *said;

	(void)state;
	for (int i = 0; i < 3; i++)
		request_metrics_add(&counters, SLOT_WORKER, &count);
	count.endpoint = ENDPOINT_status;
	count.status = 503;
	request_metrics_add(&counters, SLOT_WORKER, &count);
	counters_add(
	    counters_values(&counters, SLOT_MASTER), REGISTRY_STARTS, 4);
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER)->pid = 10;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER)->connections = 2;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER)->request_started =
	    1;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER + 1)->pid = 11;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER + 1)->stopped = 1;
	assert_int_equal(get("/live"), 200);
	assert_string_equal(field("starts"), "4");
	assert_string_equal(field("requests_total"), "4");
	assert_string_equal(field("errors_total"), "1");
	assert_string_equal(field("requests.health"), "3");
	assert_string_equal(field("requests.other"), "0");
	assert_string_equal(field("workers.count"), "2");
	assert_string_equal(field("workers.busy"), "1");
	assert_string_equal(field("workers.idle"), "0");
	assert_string_equal(field("workers.stopped"), "1");
	assert_string_equal(field("workers.connections"), "2");
	assert_string_equal(field("load_active"), "false");
	said = field("cpu.limit_cores");
	assert_true(strtod(said, NULL) > 0);
	assert_int_equal(
	    strncmp(response.headers, "Cache-Control: no-store", 23), 0);
}

static void
live_tells_no_demand_while_the_container_is_throttled(void **state)
{
	struct scoreboard_entry *master =
	    scoreboard_entry(&counters.scoreboard, SLOT_MASTER);

	(void)state;
	master->cpu_usage = 250000000;
	assert_int_equal(get("/live"), 200);
	assert_string_equal(field("cpu.usage_cores"), "0.25");
	assert_string_equal(field("cpu.demand_cores"), "0.25");
	assert_string_equal(field("cpu.throttled_share"), "0.0");
	/* Four threads: more time than has passed, in nearly each period. */
	master->cpu_throttled = 1750000000;
	master->cpu_throttled_share = 875;
	get("/live");
	assert_string_equal(field("cpu.usage_cores"), "0.25");
	assert_string_equal(field("cpu.demand_cores"), "null");
	assert_string_equal(field("cpu.throttled_cores"), "1.75");
	assert_string_equal(field("cpu.throttled_share"), "0.875");
}

static void
a_rate_that_is_not_known_is_null_in_live(void **state)
{
	(void)state;
	scoreboard_entry(&counters.scoreboard, SLOT_MASTER)->cpu_usage = -1;
	get("/live");
	assert_string_equal(field("cpu.usage_cores"), "null");
	assert_string_equal(field("cpu.demand_cores"), "null");
	assert_string_equal(field("cpu.throttled_cores"), "null");
	assert_string_equal(field("cpu.throttled_share"), "null");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(live_tells_what_has_been_counted),
	    TEST(live_tells_no_demand_while_the_container_is_throttled),
	    TEST(a_rate_that_is_not_known_is_null_in_live),
	};

	return SUPPORT_RUN(tests);
}
