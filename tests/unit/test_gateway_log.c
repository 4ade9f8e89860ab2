/*
 * The lines of what nginx answered by itself, and the file that they are in.
 */
#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/gateway_log.h"
#include "metrics/registry.h"
#include "http/router.h"

static struct counters counters;
static struct registry *registry;
static struct gateway_log gateway;
static int out = -1;

static int
set_up(void **state)
{
	support_clear(state);
	router_open(true);
	registry = request_metrics_registry();
	assert_int_equal(
	    counters_open(&counters, support_path("counters"), registry, 1), 0);
	assert_int_equal(
	    gateway_log_open(&gateway, support_path("metrics"), &counters), 0);
	out = open(support_path("metrics.log"), O_WRONLY | O_APPEND);
	assert_true(out >= 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	close(out);
	close(gateway.fd);
	counters_close(&counters);
	registry_free(registry);
	return 0;
}

static void
say(const char *text)
{
	size_t length = strlen(text);

	assert_int_equal(write(out, text, length), (int)length);
}

static uint64_t
counted(enum endpoint endpoint, enum method method, unsigned code)
{
	return counters_sum(
	    &counters, counters_find_value(&counters, endpoint, method, code));
}

static void
a_line_is_read(void **state)
{
	struct request_sample request;

	(void)state;
	assert_true(gateway_log_parse(
	    "502 2.083 81 POST /hang?x=1 HTTP/1.1", &request));
	assert_int_equal(request.status, 502);
	assert_int_equal(request.duration_ns, 2083000000);
	assert_int_equal(request.body_bytes, 81);
	assert_int_equal(request.method, METHOD_POST);
	assert_int_equal(request.endpoint, ENDPOINT_hang);
	assert_int_equal(request.queue_ns, -1);
}

/* Its headers were too large, or its client left. */
static void
a_request_that_nginx_did_not_read_to_its_end_is_a_400(void **state)
{
	struct request_sample request;

	(void)state;
	assert_true(gateway_log_parse(
	    "000 0.012 0 - 4bf92f3577b34da6a3ce929d0e0e4736", &request));
	assert_int_equal(request.status, 400);
	assert_int_equal(request.duration_ns, 12000000);
	assert_int_equal(request.endpoint, ENDPOINT_OTHER);
	assert_int_equal(request.method, METHOD_OTHER);
}

static void
a_request_that_nginx_cut_off_is_a_503(void **state)
{
	struct request_sample request;

	(void)state;
	assert_true(gateway_log_parse("000 1.012 0 GET /delay/60 HTTP/1.1 "
				      "4bf92f3577b34da6a3ce929d0e0e4736",
	    &request));
	assert_int_equal(request.status, 503);
	assert_int_equal(request.endpoint, ENDPOINT_delay);
	assert_int_equal(request.method, METHOD_GET);
}

static void
targets_lead_to_their_routes(void **state)
{
	static const struct {
		const char *rest;
		int endpoint;
		enum method method;
	} lines[] = {
	    {"GET / HTTP/1.1", ENDPOINT_root, METHOD_GET},
	    {"GET /%62ye HTTP/1.1", ENDPOINT_bye, METHOD_GET},
	    {"GET http://host:80/bye HTTP/1.1", ENDPOINT_bye, METHOD_GET},
	    {"GET http://host HTTP/1.1", ENDPOINT_root, METHOD_GET},
	    {"GET /bye?u=http://x/health", ENDPOINT_bye, METHOD_GET},
	    {"TRACE /status/200", ENDPOINT_status, METHOD_OTHER},
	    {"GET /\\xFF\\x//", ENDPOINT_OTHER, METHOD_GET},
	    {"GET //%", ENDPOINT_OTHER, METHOD_GET},
	    {"GET //%2", ENDPOINT_OTHER, METHOD_GET},
	    {"GET /static/app.js?v=1 HTTP/1.1", ENDPOINT_STATIC, METHOD_GET},
	    {"HEAD /static/ HTTP/1.1", ENDPOINT_STATIC, METHOD_HEAD},
	    {"GET /static HTTP/1.1", ENDPOINT_OTHER, METHOD_GET},
	    {"GET /x/static/ HTTP/1.1", ENDPOINT_OTHER, METHOD_GET},
	    {"GARBAGE", ENDPOINT_OTHER, METHOD_OTHER},
	    {"-", ENDPOINT_OTHER, METHOD_OTHER},
	    {"", ENDPOINT_OTHER, METHOD_OTHER},
	    {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA /bye",
		ENDPOINT_OTHER, METHOD_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		struct request_sample request;
		char line[128];

		snprintf(line, sizeof(line), "400 0.000 0 %s", lines[i].rest);
		assert_true(gateway_log_parse(line, &request));
		assert_int_equal(request.endpoint, lines[i].endpoint);
		assert_int_equal(request.method, lines[i].method);
	}
}

static void
the_last_word_is_the_trace_id_if_it_looks_like_one(void **state)
{
	static const char id[] = "4bf92f3577b34da6a3ce929d0e0e4736";
	static const char *const rests[] = {
	    "GET /bye HTTP/1.1 ", "GET /bye ", "GARBAGE ", " ", ""};
	struct request_sample request;
	char line[128];

	(void)state;
	for (size_t i = 0; i < COUNT(rests); i++) {
		snprintf(line, sizeof(line), "400 0.000 0 %s%s", rests[i], id);
		assert_true(gateway_log_parse(line, &request));
		assert_string_equal(request.trace_id, id);
		assert_int_equal(request.endpoint,
		    strstr(rests[i], "/bye") ? ENDPOINT_bye : ENDPOINT_OTHER);
	}
	assert_true(
	    gateway_log_parse("400 0.000 0 GET /bye HTTP/1.1", &request));
	assert_string_equal(request.trace_id, "");
}

static void
a_counted_line_is_the_exemplar_of_its_bucket(void **state)
{
	size_t duration =
	    registry_endpoint_value(ENDPOINT_hang, REGISTRY_ENDPOINT_DURATION);
	struct exemplar found;

	(void)state;
	say("502 2.083 81 POST /hang HTTP/1.1 "
	    "4bf92f3577b34da6a3ce929d0e0e4736\n");
	gateway_log_count(&gateway);
	assert_true(exemplars_find(&counters.exemplars,
	    registry_bucket(duration, 2083000000), &found));
	assert_string_equal(found.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
	assert_int_equal(found.value, 2083000000);
}

static void
what_is_no_line_of_nginx_is_left_out(void **state)
{
	static const char *const lines[] = {"", "x", "502", "502 1", "502 1.",
	    "009 0.000 0 GET /", "99 0.000 0 GET /", "-1 0.000 0 GET /",
	    "502 0.000 x GET /"};
	struct request_sample request;

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++)
		assert_false(gateway_log_parse(lines[i], &request));
}

static void
each_line_is_counted_once_and_half_a_line_when_it_is_whole(void **state)
{
	(void)state;
	say("502 0.001 9 GET /bye HTTP/1.1\n502 0.001 9 GET /b");
	gateway_log_count(&gateway);
	gateway_log_count(&gateway);
	assert_int_equal(counted(ENDPOINT_bye, METHOD_GET, 502), 1);
	say("ye HTTP/1.1\n");
	gateway_log_count(&gateway);
	assert_int_equal(counted(ENDPOINT_bye, METHOD_GET, 502), 2);
}

static void
what_was_counted_takes_no_space(void **state)
{
	struct stat status;

	(void)state;
	for (int i = 0; i < 10000; i++)
		say("429 0.000 9 GET /crash HTTP/1.1\n");
	gateway_log_count(&gateway);
	assert_int_equal(counted(ENDPOINT_crash, METHOD_GET, 429), 10000);
	assert_int_equal(fstat(gateway.fd, &status), 0);
	assert_true(status.st_blocks * 512 <= 4096);
}

static void
another_counter_file_goes_on_behind_what_was_counted(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		say("429 0.000 9 GET /crash HTTP/1.1\n");
	gateway_log_count(&gateway);
	counters_close(&counters);
	unlink(support_path("counters"));
	assert_int_equal(
	    counters_open(&counters, support_path("counters"), registry, 1), 0);
	say("429 0.000 9 GET /crash HTTP/1.1\n");
	gateway_log_count(&gateway);
	assert_int_equal(counted(ENDPOINT_crash, METHOD_GET, 429), 1);
}

static void
a_new_file_is_read_from_its_beginning(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		say("429 0.000 9 GET /crash HTTP/1.1\n");
	gateway_log_count(&gateway);
	assert_int_equal(ftruncate(out, 0), 0);
	say("429 0.000 9 GET /crash HTTP/1.1\n");
	gateway_log_count(&gateway);
	assert_int_equal(counted(ENDPOINT_crash, METHOD_GET, 429), 11);
}

/* Its folder was removed with it, but the counter file was kept. */
static void
a_new_file_that_is_longer_is_read_from_its_beginning(void **state)
{
	int old = gateway.fd;

	(void)state;
	for (int i = 0; i < 2; i++)
		say("429 0.000 9 GET /crash HTTP/1.1\n");
	gateway_log_count(&gateway);
	unlink(support_path("metrics.log"));
	close(out);
	assert_int_equal(
	    gateway_log_open(&gateway, support_path("metrics"), &counters), 0);
	close(old); /* after the open, so that the inodes differ */
	out = open(support_path("metrics.log"), O_WRONLY | O_APPEND);
	for (int i = 0; i < 4; i++)
		say("429 0.000 9 GET /crash HTTP/1.1\n");
	gateway_log_count(&gateway);
	gateway_log_count(&gateway);
	assert_int_equal(counted(ENDPOINT_crash, METHOD_GET, 429), 6);
}

/* The program before this one stored the position alone. */
static void
the_position_counts_if_its_file_is_unknown(void **state)
{
	static const char line[] = "429 0.000 9 GET /crash HTTP/1.1\n";

	(void)state;
	counters_add(counters_values(&counters, SLOT_METRICS),
	    REGISTRY_GATEWAY_LOG, strlen(line));
	say(line);
	say(line);
	gateway_log_count(&gateway);
	assert_int_equal(counted(ENDPOINT_crash, METHOD_GET, 429), 1);
}

/* nginx writes 4 bytes for a byte that it escapes. */
static void
the_longest_line_of_nginx_is_counted(void **state)
{
	(void)state;
	say("414 0.000 9 GET //");
	for (int i = 0; i < (16 << 10) - 6; i++)
		say("\\x22");
	say(" 4bf92f3577b34da6a3ce929d0e0e4736\n");
	gateway_log_count(&gateway);
	assert_int_equal(counted(ENDPOINT_OTHER, METHOD_GET, 414), 1);
}

static void
a_line_longer_than_any_of_nginx_does_not_stop_it(void **state)
{
	char text[1001];

	(void)state;
	memset(text, 'x', 1000);
	text[1000] = '\0';
	for (int i = 0; i < 300; i++)
		say(text);
	say("\n429 0.000 9 GET /crash HTTP/1.1\n");
	gateway_log_count(&gateway);
	assert_int_equal(counted(ENDPOINT_crash, METHOD_GET, 429), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_line_is_read),
	    TEST(a_request_that_nginx_did_not_read_to_its_end_is_a_400),
	    TEST(a_request_that_nginx_cut_off_is_a_503),
	    TEST(targets_lead_to_their_routes),
	    TEST(the_last_word_is_the_trace_id_if_it_looks_like_one),
	    TEST(a_counted_line_is_the_exemplar_of_its_bucket),
	    TEST(what_is_no_line_of_nginx_is_left_out),
	    TEST(each_line_is_counted_once_and_half_a_line_when_it_is_whole),
	    TEST(what_was_counted_takes_no_space),
	    TEST(another_counter_file_goes_on_behind_what_was_counted),
	    TEST(a_new_file_is_read_from_its_beginning),
	    TEST(a_new_file_that_is_longer_is_read_from_its_beginning),
	    TEST(the_position_counts_if_its_file_is_unknown),
	    TEST(the_longest_line_of_nginx_is_counted),
	    TEST(a_line_longer_than_any_of_nginx_does_not_stop_it),
	};

	return SUPPORT_RUN(tests);
}
