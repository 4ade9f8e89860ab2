/*
 * What the simple endpoints answer: the root, health, readiness, the
 * version, chosen statuses and delays, and the endpoints that break a
 * worker.
 */
#include "support.h"

#include "base/version.h"
#include "handlers.h"

static void
assert_body(const char *text)
{
	assert_int_equal(response.body_length, strlen(text));
	assert_memory_equal(response.body, text, response.body_length);
}

static void
the_environment_gives_a_test_no_options(void **state)
{
	long before = options.workers;

	(void)state;
	assert_int_equal(setenv(PROGRAM_VARIABLES "WORKERS", "7", 1), 0);
	app_stop(&service);
	assert_int_equal(start_application(), 0);
	assert_int_equal(options.workers, before);
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
ready_says_why_the_application_did_not_start(void **state)
{
	(void)state;
	snprintf(service.start_failure, sizeof(service.start_failure),
	    "The database is away.");
	assert_int_equal(get("/ready"), 503);
	assert_says(response.body,
	    "The application cannot start: The database is away.");
	service.start_failure[0] = '\0';
	assert_int_equal(get("/ready"), 200);
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
	assert_string_equal(field("name"), PROGRAM_NAME);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_environment_gives_a_test_no_options),
	    TEST(the_simple_routes_answer_what_they_always_did),
	    TEST(a_browser_gets_the_page_at_the_root),
	    TEST(ready_says_why_the_application_did_not_start),
	    TEST(ready_says_no_while_the_pool_drains),
	    TEST(version_says_which_build_this_is),
	    TEST(status_answers_with_every_status_from_200_to_599),
	    TEST(a_status_out_of_range_is_a_400_that_says_what_is_allowed),
	    TEST(delay_is_due_later_and_holds_up_nobody),
	    TEST(a_delay_out_of_range_is_a_400_that_says_what_is_allowed),
	    TEST(crash_aborts_its_process_and_hang_never_answers),
	};

	return SUPPORT_RUN(tests);
}
