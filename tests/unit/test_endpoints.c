/*
 * What the handlers answer, without a web server or a pool around them.
 */
#include "support.h"

#include <math.h>
#include <sys/socket.h>

#include <json-c/json.h>

#include "http/request_metrics.h"
#include "load/order.h"
#include "metrics/registry.h"
#include "master/metrics_process.h"
#include "options.h"
#include "http/router.h"
#include "service.h"
#include "base/version.h"

static struct registry *registry;
static struct counters counters;
static struct options options;
static struct service service = {.options = &options,
    .counters = &counters,
    .load_request_fd = -1,
    .backlog_fd = -1};
static struct request request;
static struct response response;
static int endpoint; /* that the latest answer is counted under */
static int asked[2]; /* what the master is asked for */

static int
set_up(void **state)
{
	support_clear(state);
	router_open(true);
	registry = request_metrics_registry();
	if (!registry ||
	    counters_open(&counters, support_path("counters"), registry, 2) <
		0 ||
	    pipe2(asked, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	options = (struct options){.max_load_seconds = 600};
	service.load_request_fd = asked[1];
	response_init(&response);
	return 0;
}

static int
tear_down(void **state)
{
	response_release(&response);
	counters_close(&counters);
	registry_free(registry);
	close(asked[0]);
	close(asked[1]);
	return support_release(state);
}

static int
ask_with(int (*dispatch)(struct request *, struct response *),
    enum method method, const char *path, const char *query)
{
	response_release(&response);
	response_init(&response);
	request = (struct request){.method = method,
	    .path = path,
	    .parameter = "",
	    .query = query,
	    .accept = request.accept ? request.accept : "",
	    .fetch_site = "",
	    .origin = "",
	    .host = "",
	    .id = "0123abcd",
	    .body = "",
	    .service = &service};
	endpoint = dispatch(&request, &response);
	return response.status;
}

static int
ask(enum method method, const char *path, const char *query)
{
	request.accept = "";
	return ask_with(router_dispatch, method, path, query);
}

static int
get(const char *path)
{
	return ask(METHOD_GET, path, "");
}

/* A number or a string in the body, "a.b" within an object of it. */
static const char *
field(const char *name)
{
	static char text[256];
	struct json_object *body = json_tokener_parse(response.body);
	struct json_object *value = body;
	char names[64];
	char *rest = names;
	char *part;

	assert_non_null(body);
	snprintf(names, sizeof(names), "%s", name);
	while ((part = strsep(&rest, ".")))
		if (!json_object_object_get_ex(value, part, &value))
			fail_msg("no %s in %s", name, response.body);
	snprintf(text, sizeof(text), "%s",
	    value ? json_object_get_string(value) : "null");
	json_object_put(body);
	return text;
}

static void
assert_body(const char *text)
{
	assert_int_equal(response.body_length, strlen(text));
	assert_memory_equal(response.body, text, response.body_length);
}

static void
the_simple_routes_answer_what_they_always_did(void **state)
{
	(void)state;
	assert_int_equal(get("/"), 200);
	assert_body("{\"msg\": \"Hello World\"}");
	assert_int_equal(get("/health"), 200);
	assert_body("{\"health\": \"ok\"}");
	assert_int_equal(get("/bye"), 200);
	assert_body("{\"msg\": \"Bye Bye\"}");
}

static void
a_browser_gets_the_page_at_the_root(void **state)
{
	(void)state;
	request.accept = "text/html,*/*;q=0.8";
	assert_int_equal(ask_with(router_dispatch, METHOD_GET, "/", ""), 200);
	assert_string_equal(response.content_type, "text/html; charset=utf-8");
	assert_true(response.body_length > 1000);
	request.accept = "*/*"; /* curl */
	ask_with(router_dispatch, METHOD_GET, "/", "");
	assert_string_equal(response.content_type, "application/json");
}

static void
ready_says_no_while_the_pool_drains(void **state)
{
	(void)state;
	assert_int_equal(get("/ready"), 200);
	assert_body("{\"ready\": true}");
	scoreboard_entry(&counters.scoreboard, SLOT_MASTER)->draining = 1;
	assert_int_equal(get("/ready"), 503);
	assert_string_equal(response.content_type, "application/problem+json");
}

static void
version_says_which_build_this_is(void **state)
{
	(void)state;
	assert_int_equal(get("/version"), 200);
	assert_string_equal(field("name"), "fcgi-webapp");
	assert_string_equal(field("version"), version_number);
	assert_string_equal(field("revision"), version_revision);
	assert_string_equal(field("built"), version_built);
}

static void
status_answers_with_every_status_from_200_to_599(void **state)
{
	(void)state;
	for (int code = 200; code <= 599; code++) {
		char path[32];

		snprintf(path, sizeof(path), "/status/%d", code);
		assert_int_equal(get(path), code);
		if (code == 204 || code == 304)
			assert_int_equal(response.body_length, 0);
		else
			assert_int_equal(atoi(field("status")), code);
	}
}

static void
a_status_out_of_range_is_a_400_that_says_what_is_allowed(void **state)
{
	static const char *const paths[] = {"/status/99", "/status/199",
	    "/status/600", "/status/-200", "/status/200.5", "/status/x",
	    "/status/1e2", "/status/99999999999999999999"};

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		assert_int_equal(get(paths[i]), 400);
		assert_says(field("detail"), "from 200 to 599");
	}
}

static void
delay_is_due_later_and_holds_up_nobody(void **state)
{
	int64_t started = support_now_ns();

	(void)state;
	assert_int_equal(get("/delay/60"), 200);
	assert_int_equal(response.delay_ns, INT64_C(60000000000));
	assert_int_equal(get("/delay/0.25"), 200);
	assert_int_equal(response.delay_ns, 250000000);
	assert_string_equal(field("delay"), "0.25");
	assert_int_equal(get("/delay/0"), 200);
	assert_int_equal(response.delay_ns, 0);
	assert_true(support_now_ns() - started < INT64_C(5000000000));
}

static void
a_delay_out_of_range_is_a_400_that_says_what_is_allowed(void **state)
{
	static const char *const paths[] = {"/delay/-1", "/delay/60.1",
	    "/delay/x", "/delay/1e1", "/delay/nan", "/delay/1s"};

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		assert_int_equal(get(paths[i]), 400);
		assert_says(field("detail"), "from 0 to 60");
		assert_int_equal(response.delay_ns, 0);
	}
}

/* --- load
 * ---------------------------------------------------------------------- */

/* What the master was asked for; false where it was not. */
static bool
was_asked(struct load *load)
{
	struct load_order order;

	if (read(asked[0], &order, sizeof(order)) != sizeof(order))
		return false;
	*load = order.load;
	return true;
}

static bool
is_active(void)
{
	return scoreboard_entry(&counters.scoreboard, SLOT_MASTER)
		   ->load_ticket != 0;
}

static void
raising_a_load_asks_the_master_and_answers_at_once(void **state)
{
	struct load load = {0};

	(void)state;
	assert_int_equal(
	    ask(METHOD_POST, "/riseload", "seconds=5&load=0.5cores"), 202);
	assert_string_equal(field("msg"), "Load raised");
	assert_string_equal(field("load"), "0.5cores");
	assert_true(was_asked(&load));
	assert_true(fabs(load.seconds - 5) < 1e-9);
	assert_true(fabs(load.cpu_cores - 0.5) < 1e-9);
	assert_int_equal(load.memory_bytes, 0);
	assert_true(is_active());
}

static void
the_defaults_of_a_load_are_as_documented(void **state)
{
	struct load load = {0};

	(void)state;
	assert_int_equal(get("/riseload"), 202);
	assert_true(was_asked(&load));
	assert_true(fabs(load.seconds - 60) < 1e-9);
	assert_string_equal(field("load"), "1.5");
	assert_string_equal(field("memory"), "0");
}

static void
a_load_of_memory_alone_is_one(void **state)
{
	struct load load = {0};

	(void)state;
	assert_int_equal(
	    ask(METHOD_POST, "/riseload", "load=0&memory=8M"), 202);
	assert_true(was_asked(&load));
	assert_int_equal(load.memory_bytes, 8 << 20);
}

static void
a_second_load_is_a_409_and_the_first_goes_on(void **state)
{
	struct load load = {0};

	(void)state;
	assert_int_equal(ask(METHOD_POST, "/riseload", "seconds=5"), 202);
	assert_true(was_asked(&load));
	assert_int_equal(ask(METHOD_POST, "/riseload", "seconds=5"), 409);
	assert_false(was_asked(&load));
}

static void
delete_ends_the_load_and_without_one_is_a_404(void **state)
{
	struct load load = {0};

	(void)state;
	assert_int_equal(ask(METHOD_DELETE, "/riseload", ""), 404);
	assert_false(was_asked(&load));
	assert_int_equal(ask(METHOD_POST, "/riseload", "seconds=5"), 202);
	assert_true(was_asked(&load));
	assert_int_equal(ask(METHOD_DELETE, "/riseload", ""), 200);
	assert_true(was_asked(&load));
	assert_true(load.seconds <= 0);
	assert_false(is_active());
}

static void
a_bad_load_is_a_400_and_nobody_is_asked(void **state)
{
	static const char *const queries[] = {"seconds=0", "seconds=601",
	    "seconds=-1", "seconds=x", "seconds=", "load=x", "load=11",
	    "load=-1", "memory=x", "memory=151%25", "load=0", "load=0&memory=0",
	    "load=0&memory=0%25", "sconds=5", "seconds=5&x=1", "load=1%",
	    "load=1%00", "load=0.000000000000000000000000000000000001"};
	struct load load = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(queries); i++) {
		if (ask(METHOD_POST, "/riseload", queries[i]) != 400)
			fail_msg("%s is taken", queries[i]);
		assert_string_equal(field("title"), "Bad Request");
		assert_false(was_asked(&load));
		assert_false(is_active());
	}
}

static void
a_load_that_cannot_be_asked_for_is_a_503_and_none_is_active(void **state)
{
	(void)state;
	service.load_request_fd = -1; /* as plain CGI */
	assert_int_equal(ask(METHOD_POST, "/riseload", "seconds=5"), 503);
	assert_false(is_active());
}

/* --- breaking things
 * -------------------------------------------------------------- */

static int
crash(void *unused)
{
	(void)unused;
	ask(METHOD_POST, "/crash", "");
	return 0;
}

static int
hang(void *unused)
{
	(void)unused;
	ualarm(50000, 0); /* SIGALRM ends the child: it did not come back */
	ask(METHOD_POST, "/hang", "");
	return 0;
}

static void
crash_aborts_its_process_and_hang_never_answers(void **state)
{
	const char *said;
	int crashed;
	int hung;

	(void)state;
	support_capture();
	crashed = support_in_child(crash, NULL);
	hung = support_in_child(hang, NULL);
	said = support_said();
	assert_int_equal(crashed, 1000 + SIGABRT);
	assert_int_equal(hung, 1000 + SIGALRM);
	assert_says(said, "crashing on request");
	assert_says(said, "hanging on request");
	assert_says(said, "0123abcd");
}

/* --- live
 * ----------------------------------------------------------------------------
 */

static void
live_tells_what_has_been_counted(void **state)
{
	struct request_sample count = {
	    ENDPOINT_health, METHOD_GET, 200, 1000000, -1, 16};
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

/* --- the observer
 * ---------------------------------------------------------------------- */

static void
the_observer_renders_the_metrics_as_asked(void **state)
{
	(void)state;
	request.accept = "application/openmetrics-text;version=1.0.0";
	assert_int_equal(
	    ask_with(metrics_process_dispatch, METHOD_GET, "/metrics", ""),
	    200);
	assert_int_equal(
	    strncmp(response.content_type, "application/openmetrics-text", 28),
	    0);
	assert_string_equal(
	    response.body + response.body_length - 6, "# EOF\n");
	request.accept = "";
	assert_int_equal(
	    ask_with(metrics_process_dispatch, METHOD_HEAD, "/metrics", ""),
	    200);
	assert_int_equal(
	    strncmp(response.content_type, "text/plain; version=0.0.4", 25), 0);
}

static void
the_observer_serves_nothing_else(void **state)
{
	(void)state;
	request.accept = "";
	assert_int_equal(
	    ask_with(metrics_process_dispatch, METHOD_GET, "/", ""), 404);
	assert_int_equal(
	    ask_with(metrics_process_dispatch, METHOD_POST, "/metrics", ""),
	    404);
	assert_int_equal(endpoint, ENDPOINT_UNCOUNTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_simple_routes_answer_what_they_always_did),
	    TEST(a_browser_gets_the_page_at_the_root),
	    TEST(ready_says_no_while_the_pool_drains),
	    TEST(version_says_which_build_this_is),
	    TEST(status_answers_with_every_status_from_200_to_599),
	    TEST(a_status_out_of_range_is_a_400_that_says_what_is_allowed),
	    TEST(delay_is_due_later_and_holds_up_nobody),
	    TEST(a_delay_out_of_range_is_a_400_that_says_what_is_allowed),
	    TEST(raising_a_load_asks_the_master_and_answers_at_once),
	    TEST(the_defaults_of_a_load_are_as_documented),
	    TEST(a_load_of_memory_alone_is_one),
	    TEST(a_second_load_is_a_409_and_the_first_goes_on),
	    TEST(delete_ends_the_load_and_without_one_is_a_404),
	    TEST(a_bad_load_is_a_400_and_nobody_is_asked),
	    TEST(a_load_that_cannot_be_asked_for_is_a_503_and_none_is_active),
	    TEST(crash_aborts_its_process_and_hang_never_answers),
	    TEST(live_tells_what_has_been_counted),
	    TEST(live_tells_no_demand_while_the_container_is_throttled),
	    TEST(a_rate_that_is_not_known_is_null_in_live),
	    TEST(the_observer_renders_the_metrics_as_asked),
	    TEST(the_observer_serves_nothing_else),
	};

	return SUPPORT_RUN(tests);
}
