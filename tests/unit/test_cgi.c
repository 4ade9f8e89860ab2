/*
 * From a CGI environment to a request, and from a response to its head.
 */
#include "support.h"

#include "cgi.h"

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
	    NULL};
	struct request request = parse(environment);

	(void)state;
	assert_int_equal(request.method, METHOD_POST);
	assert_string_equal(request.path, "/riseload");
	assert_string_equal(request.query, "seconds=60&load=1.5");
	assert_string_equal(request.accept, "text/html");
	assert_string_equal(request.id, "0123abcd");
	assert_int_equal(request.received_ns, INT64_C(1700000000250000000));
	assert_int_equal(request.nginx_pid, 4711);
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
	char head[512];
	size_t length;

	(void)state;
	response_init(&response);
	response_text(&response, 200, "{}");
	response_header(&response, "Vary", "Accept");
	length = cgi_format_head(&response, head, sizeof(head));
	assert_int_equal(length, strlen(head));
	assert_string_equal(head, "Content-Type: application/json\r\n"
				  "Content-Length: 2\r\n"
				  "Vary: Accept\r\n\r\n");
}

static void
a_204_and_a_304_have_neither_type_nor_length(void **state)
{
	struct response response;
	char head[512];

	(void)state;
	response_init(&response);
	response_text(&response, 204, "");
	response_header(&response, "Allow", "GET");
	cgi_format_head(&response, head, sizeof(head));
	assert_string_equal(
	    head, "Status: 204 No Content\r\nAllow: GET\r\n\r\n");
	response_init(&response);
	response_text(&response, 304, "");
	cgi_format_head(&response, head, sizeof(head));
	assert_string_equal(head, "Status: 304 Not Modified\r\n\r\n");
}

static void
a_head_that_does_not_fit_is_none(void **state)
{
	struct response response;
	char head[512];
	size_t length;

	(void)state;
	response_init(&response);
	response_text(&response, 200, "{}");
	length = cgi_format_head(&response, head, sizeof(head));
	assert_int_equal(cgi_format_head(&response, head, length + 1), length);
	assert_int_equal(cgi_format_head(&response, head, length), 0);
	assert_int_equal(cgi_format_head(&response, head, 1), 0);
}

static void
every_header_a_response_can_hold_fits_a_workers_head(void **state)
{
	enum { HEAD_SIZE = 1024 }; /* worker.c, cgi_command.c */
	struct response response;
	char value[RESPONSE_HEADERS_SIZE - 5];
	char head[HEAD_SIZE];

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	response_init(&response);
	response_problem(&response, 431, "Long.");
	response_header(&response, "A", value);
	assert_int_equal(response.headers_length, RESPONSE_HEADERS_SIZE - 1);
	assert_true(cgi_format_head(&response, head, sizeof(head)) > 0);
	response_release(&response);
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
	    cmocka_unit_test(a_head_that_does_not_fit_is_none),
	    cmocka_unit_test(
		every_header_a_response_can_hold_fits_a_workers_head),
	};

	return SUPPORT_RUN(tests);
}
