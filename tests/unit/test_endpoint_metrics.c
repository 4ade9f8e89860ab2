/*
 * What the metrics process serves: /metrics in both formats, and nothing
 * else.
 */
#include "support.h"

#include "master/metrics_process.h"
#include "handlers.h"

static void
the_metrics_process_renders_the_metrics_as_asked(void **state)
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
the_metrics_process_serves_nothing_else(void **state)
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
	    TEST(the_metrics_process_renders_the_metrics_as_asked),
	    TEST(the_metrics_process_serves_nothing_else),
	};

	return SUPPORT_RUN(tests);
}
