/*
 * Files that nginx sends.
 */
#include "support.h"

#include "http/cgi.h"
#include "http/response_file.h"
#include "http/router.h"

static struct response response;

static int
set_up(void **state)
{
	(void)state;
	response_init(&response);
	return 0;
}

static int
tear_down(void **state)
{
	response_release(&response);
	return support_release(state);
}

static void
a_file_is_an_address_for_nginx_and_no_body(void **state)
{
	static const char expected[] =
	    "X-Accel-Redirect: /.files/reports/2026.pdf\r\n";

	(void)state;
	response_file(&response, "application/pdf", "reports/2026.pdf");
	assert_int_equal(response.status, 200);
	assert_string_equal(response.content_type, "application/pdf");
	assert_int_equal(response.body_length, 0);
	assert_int_equal(response.headers_length, sizeof(expected) - 1);
	assert_memory_equal(
	    response.headers, expected, response.headers_length);
}

static void
bytes_with_a_meaning_in_an_address_are_encoded(void **state)
{
	static const char expected[] =
	    "X-Accel-Redirect: /.files/a%20%3F%25%23%C3%A9.txt\r\n";

	(void)state;
	response_file(&response, "text/plain", "a ?%#\xc3\xa9.txt");
	assert_int_equal(response.headers_length, sizeof(expected) - 1);
	assert_memory_equal(
	    response.headers, expected, response.headers_length);
}

static void
the_longest_name_fits_with_every_byte_encoded(void **state)
{
	char name[RESPONSE_FILE_NAME_MAX + 2];

	(void)state;
	memset(name, '?', sizeof(name));
	name[RESPONSE_FILE_NAME_MAX] = '\0';
	response_file(&response, "text/plain", name);
	assert_int_equal(response.status, 200);
	assert_int_equal(
	    response.headers_length, strlen("X-Accel-Redirect: /.files/\r\n") +
					 3 * RESPONSE_FILE_NAME_MAX);
	assert_string_equal(response.too_long, "");
	name[RESPONSE_FILE_NAME_MAX] = '?';
	name[RESPONSE_FILE_NAME_MAX + 1] = '\0';
	response_release(&response);
	response_file(&response, "text/plain", name);
	assert_int_equal(response.status, 404);
}

static void
a_name_that_leads_out_of_the_folder_is_a_404(void **state)
{
	static const char *const names[] = {
	    "", "/etc/passwd", "..", "a/../../b", "../b", "a\r\nX: y", "a\x7f"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		response_file(&response, "text/plain", names[i]);
		assert_int_equal(response.status, 404);
		assert_int_equal(response.headers_length, 0);
		assert_string_equal(
		    response.content_type, "application/problem+json");
	}
}

static void
only_an_address_of_a_file_is_a_file(void **state)
{
	(void)state;
	response_file(&response, "text/plain", "../x");
	response_header(&response, "X-Accel-Redirect", "");
	response_header(&response, "X-Accel-Redirect", "/elsewhere");
	response_header(&response, "X-Accel-Expires", "60");
	assert_false(response.is_file);
	response_file(&response, "text/plain", "x");
	assert_true(response.is_file);
	response_release(&response);
	response_init(&response);
	assert_false(response.is_file);
	response_header(&response, "x-accel-redirect", "/.files/x");
	assert_true(response.is_file);
}

static void
an_error_for_a_large_head_is_no_file(void **state)
{
	char head[CGI_HEAD_SIZE];
	char value[RESPONSE_HEAD_MAX];

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	response_file(&response, "text/plain", "x");
	response_header(&response, "Too-Much", value);
	cgi_format_head(&response, ENDPOINT_health, head);
	assert_int_equal(response.status, 500);
	assert_false(response.is_file);
	assert_null(strstr(head, "X-Accel-Redirect"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_file_is_an_address_for_nginx_and_no_body),
	    TEST(bytes_with_a_meaning_in_an_address_are_encoded),
	    TEST(the_longest_name_fits_with_every_byte_encoded),
	    TEST(a_name_that_leads_out_of_the_folder_is_a_404),
	    TEST(only_an_address_of_a_file_is_a_file),
	    TEST(an_error_for_a_large_head_is_no_file),
	};

	return SUPPORT_RUN(tests);
}
