/*
 * From a CGI environment to a request, and from a response to its head.
 */
#include "support.h"

#include "http/cgi.h"
#include "http/router.h"

static struct request
parse(const char *const *environment)
{
	struct request request;

	cgi_parse((char *const *)(uintptr_t)environment, &request);
	return request;
}

static void
a_request_is_read_out_of_the_environment(void **state)
{
	static const char *const environment[] = {"REQUEST_METHOD=POST",
	    "PATH_INFO=/riseload", "QUERY_STRING=seconds=60&load=1.5",
	    "HTTP_ACCEPT=text/html", "REQUEST_ID=0123abcd",
	    "REQUEST_TIME=1700000000.250", "NGINX_PID=4711", "CONTENT_LENGTH=0",
	    "CONTENT_TYPE=text/plain", "HTTP_COOKIE=a=b", "REMOTE_ADDR=::1",
	    "HTTPS=on", NULL};
	struct request request = parse(environment);

	(void)state;
	assert_int_equal(request.method, METHOD_POST);
	assert_string_equal(request.path, "/riseload");
	assert_string_equal(request.query, "seconds=60&load=1.5");
	assert_string_equal(request.accept, "text/html");
	assert_string_equal(request.id, "0123abcd");
	assert_int_equal(request.received_ns, INT64_C(1700000000250000000));
	assert_int_equal(request.nginx_pid, 4711);
	assert_string_equal(request.content_type, "text/plain");
	assert_string_equal(request.cookie, "a=b");
	assert_string_equal(request.client_address, "::1");
	assert_string_equal(request.scheme, "https");
}

static void
what_is_not_sent_is_empty_and_never_null(void **state)
{
	static const char *const environment[] = {NULL};
	struct request request = parse(environment);

	(void)state;
	assert_int_equal(request.method, METHOD_OTHER);
	assert_string_equal(request.path, "/");
	assert_string_equal(request.parameter, "");
	assert_string_equal(request.query, "");
	assert_string_equal(request.accept, "");
	assert_string_equal(request.id, "");
	assert_string_equal(request.content_type, "");
	assert_string_equal(request.cookie, "");
	assert_string_equal(request.client_address, "");
	assert_string_equal(request.scheme, "http");
	for (int i = 0; i < HEADER_COUNT; i++)
		assert_string_equal(
		    request_header(&request, (enum header)i), "");
	assert_string_equal(request.body, "");
	assert_int_equal(request.body_length, 0);
	assert_int_equal(request.received_ns, 0);
	assert_int_equal(request.nginx_pid, 0);
}

static void
names_are_compared_whole(void **state)
{
	static const char *const environment[] = {"XPATH_INFO=/x",
	    "PATH_INFOX=/x", "PATH_INFO", "PATH_INF=/x", "=", "",
	    "path_info=/x", NULL};
	struct request request = parse(environment);

	(void)state;
	assert_string_equal(request.path, "/");
}

static void
an_empty_path_is_the_root(void **state)
{
	static const char *const environment[] = {"PATH_INFO=", NULL};
	struct request request = parse(environment);

	(void)state;
	assert_string_equal(request.path, "/");
}

static void
a_receipt_time_that_is_none_is_unknown(void **state)
{
	static const char *const times[] = {"REQUEST_TIME=", "REQUEST_TIME=x",
	    "REQUEST_TIME=-1.000", "REQUEST_TIME=0", "REQUEST_TIME=1.x",
	    "REQUEST_TIME=1700000000.250x", "REQUEST_TIME=1.1000",
	    "REQUEST_TIME=99999999999.000", "REQUEST_TIME=1.-5",
	    "REQUEST_TIME=9999999999.999",
	    "REQUEST_TIME=1.9999999999999999999999",
	    "REQUEST_TIME=99999999999999999999999.1"};

	(void)state;
	for (size_t i = 0; i < COUNT(times); i++) {
		const char *const environment[] = {times[i], NULL};
		struct request request = parse(environment);

		if (request.received_ns != 0)
			fail_msg("%s is taken for a time", times[i]);
	}
}

static void
a_head_has_type_length_and_an_empty_line(void **state)
{
	struct response response;
	char head[CGI_HEAD_SIZE];
	size_t length;

	(void)state;
	response_init(&response);
	response_text(&response, 200, "{}");
	response_header(&response, "Vary", "Accept");
	length = cgi_format_head(&response, ENDPOINT_health, head);
	assert_int_equal(length, strlen(head));
	assert_string_equal(head, "Content-Type: application/json\r\n"
				  "Content-Length: 2\r\n"
				  "Vary: Accept\r\n\r\n");
}

static void
a_204_and_a_304_have_neither_type_nor_length(void **state)
{
	struct response response;
	char head[CGI_HEAD_SIZE];

	(void)state;
	response_init(&response);
	response_text(&response, 204, "");
	response_header(&response, "Allow", "GET");
	cgi_format_head(&response, ENDPOINT_health, head);
	assert_string_equal(
	    head, "Status: 204 No Content\r\nAllow: GET\r\n\r\n");
	response_init(&response);
	response_text(&response, 304, "");
	cgi_format_head(&response, ENDPOINT_health, head);
	assert_string_equal(head, "Status: 304 Not Modified\r\n\r\n");
}

/* A response whose head is of this size. */
static void
fill(struct response *response, size_t size)
{
	static const char rest[] = "Content-Type: application/json\r\n"
				   "Content-Length: 2\r\nX: \r\n\r\n";
	static char value[RESPONSE_HEAD_MAX + 1];

	memset(value, 'v', sizeof(value));
	value[size - strlen(rest)] = '\0';
	response_init(response);
	response_text(response, 200, "{}");
	response_header(response, "X", value);
}

static void
a_head_of_just_the_limit_is_written_whole(void **state)
{
	struct response response;
	char head[CGI_HEAD_SIZE];

	(void)state;
	fill(&response, RESPONSE_HEAD_MAX);
	assert_int_equal(cgi_format_head(&response, ENDPOINT_health, head),
	    RESPONSE_HEAD_MAX);
	assert_int_equal(strlen(head), RESPONSE_HEAD_MAX);
	assert_string_equal(head + RESPONSE_HEAD_MAX - 5, "v\r\n\r\n");
	assert_int_equal(response.status, 200);
	response_release(&response);
}

static void
assert_replaced(struct response *response, int endpoint, const char *header)
{
	char head[CGI_HEAD_SIZE];
	size_t length;

	support_capture();
	length = cgi_format_head(response, endpoint, head);
	assert_says(support_said(), header);
	assert_int_equal(length, strlen(head));
	assert_true(strncmp(head, "Status: 500 ", 12) == 0);
	assert_says(head, "application/problem+json");
	assert_null(strstr(head, "vvvv"));
	assert_int_equal(response->status, 500);
	assert_says(response->body, "more than 16320 bytes");
	response_release(response);
}

static void
a_larger_head_makes_the_response_a_500_that_says_so(void **state)
{
	struct response response;

	(void)state;
	fill(&response, RESPONSE_HEAD_MAX + 1);
	assert_replaced(&response, ENDPOINT_health, "\"endpoint\":\"health\"");
	fill(&response, RESPONSE_HEAD_MAX);
	response_header(&response, "Too-Much",
	    "More than what is left for the rest of the head, by far.");
	response_header(&response, "More", "1");
	response_delay(&response, 1);
	assert_replaced(&response, ENDPOINT_UNCOUNTED, "Too-Much");
	assert_int_equal(response.delay_ns, 1000000000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_is_read_out_of_the_environment),
	    cmocka_unit_test(what_is_not_sent_is_empty_and_never_null),
	    cmocka_unit_test(names_are_compared_whole),
	    cmocka_unit_test(an_empty_path_is_the_root),
	    cmocka_unit_test(a_receipt_time_that_is_none_is_unknown),
	    cmocka_unit_test(a_head_has_type_length_and_an_empty_line),
	    cmocka_unit_test(a_204_and_a_304_have_neither_type_nor_length),
	    cmocka_unit_test(a_head_of_just_the_limit_is_written_whole),
	    cmocka_unit_test(
		a_larger_head_makes_the_response_a_500_that_says_so),
	};

	return SUPPORT_RUN(tests);
}
