/*
 * What a handler may say.
 */
#include "support.h"

#include <math.h>

#include <json-c/json.h>

#include "http/response.h"

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
a_handler_that_says_nothing_has_answered_500(void **state)
{
	(void)state;
	assert_int_equal(response.status, 500);
	assert_int_equal(response.body_length, 0);
	assert_int_equal(response.headers_length, 0);
	assert_int_equal(response.delay_ns, 0);
}

static void
text_is_json_as_it_stands(void **state)
{
	(void)state;
	response_text(&response, 200, "{\"health\": \"ok\"}");
	assert_int_equal(response.status, 200);
	assert_string_equal(response.content_type, "application/json");
	assert_string_equal(response.body, "{\"health\": \"ok\"}");
	assert_int_equal(response.body_length, 16);
}

static void
an_object_becomes_json_and_is_freed_with_the_response(void **state)
{
	struct json_object *object = json_object_new_object();

	(void)state;
	json_object_object_add(
	    object, "path", json_object_new_string("/a/\"b\""));
	response_json(&response, 202, object);
	assert_int_equal(response.status, 202);
	assert_string_equal(response.body, "{\"path\":\"/a/\\\"b\\\"\"}");
	assert_int_equal(response.body_length, strlen(response.body));
}

static void
bytes_are_handed_over_as_they_are(void **state)
{
	char *bytes = malloc(4);

	(void)state;
	assert_non_null(bytes);
	memcpy(bytes, "a\0b", 4);
	response_memory(&response, 200, "text/plain", bytes, 3);
	assert_int_equal(response.body_length, 3);
	assert_memory_equal(response.body, "a\0b", 3);
	assert_string_equal(response.content_type, "text/plain");
}

/* A field of the problem that the body is. */
static const char *
field(const char *name)
{
	static char text[1024];
	struct json_object *problem = json_tokener_parse(response.body);
	struct json_object *value = NULL;

	assert_non_null(problem);
	assert_true(json_object_object_get_ex(problem, name, &value));
	snprintf(text, sizeof(text), "%s", json_object_get_string(value));
	json_object_put(problem);
	return text;
}

static void
a_problem_is_as_rfc_9457_has_it(void **state)
{
	(void)state;
	response_problem(&response, 400, "%s must be %d.", "seconds", 5);
	assert_int_equal(response.status, 400);
	assert_string_equal(response.content_type, "application/problem+json");
	assert_string_equal(field("type"), "about:blank");
	assert_string_equal(field("title"), "Bad Request");
	assert_string_equal(field("status"), "400");
	assert_string_equal(field("detail"), "seconds must be 5.");
	assert_null(strstr(response.body, "request_id"));
	response.request_id = "0123abcd";
	response_problem(&response, 404, "There is nothing.");
	assert_string_equal(field("request_id"), "0123abcd");
}

static void
a_long_detail_is_cut_and_still_json(void **state)
{
	char detail[5000];

	(void)state;
	memset(detail, '"', sizeof(detail) - 1);
	detail[sizeof(detail) - 1] = '\0';
	response_problem(&response, 404, "%s", detail);
	assert_in_range(strlen(field("detail")), 100, 1000);
}

/* The length of the UTF-8 sequence here (RFC 3629), 0 where it is none. */
static size_t
sequence(const unsigned char *p)
{
	static const struct {
		unsigned char low, high, first_low, first_high, more;
	} forms[] = {{0x01, 0x7f, 0, 0, 0}, {0xc2, 0xdf, 0x80, 0xbf, 1},
	    {0xe0, 0xe0, 0xa0, 0xbf, 2}, {0xe1, 0xec, 0x80, 0xbf, 2},
	    {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2},
	    {0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3},
	    {0xf4, 0xf4, 0x80, 0x8f, 3}};

	for (size_t i = 0; i < COUNT(forms); i++) {
		if (p[0] < forms[i].low || p[0] > forms[i].high)
			continue;
		for (size_t k = 1; k <= forms[i].more; k++) {
			unsigned char low = k == 1 ? forms[i].first_low : 0x80;
			unsigned char high =
			    k == 1 ? forms[i].first_high : 0xbf;

			if (p[k] < low || p[k] > high)
				return 0;
		}
		return 1u + forms[i].more;
	}
	return 0;
}

static void
assert_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		size_t length = sequence(p);

		if (length == 0)
			fail_msg("not UTF-8: %s", (const char *)p);
		p += length;
	}
}

static void
json_is_utf8_whatever_the_client_sent(void **state)
{
	static const char *const paths[] = {"/\377", "/\300\200",
	    "/\355\240\200", "/\364\220\200\200", "/\342\202", "/\200",
	    "/\303\050", "/\360\237\230", "/\341\200\377"};

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		response_problem(&response, 404, "Nothing at %s.", paths[i]);
		assert_utf8(response.body);
		assert_says(field("detail"), "Nothing at /");
		response_release(&response);
	}
	/* Every byte there is, in front of every kind of byte. */
	for (int first = 1; first < 256; first++) {
		const char text[] = {(char)first, (char)0x80, (char)0xbf, 'a',
		    (char)first, 'a', (char)first, (char)0xc3, '\0'};

		response_problem(&response, 404, "%s", text);
		assert_utf8(response.body);
		response_release(&response);
	}
}

static void
sound_utf8_stays_as_it_is(void **state)
{
	static const char *const texts[] = {"Gr\303\274\303\237e",
	    "\342\202\254", "\360\237\230\200", "\355\237\277", "\356\200\200",
	    "\364\217\277\277"};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		response_problem(&response, 404, "%s", texts[i]);
		assert_string_equal(field("detail"), texts[i]);
		response_release(&response);
	}
}

static void
headers_are_added_in_order(void **state)
{
	(void)state;
	response_header(&response, "Allow", "GET, HEAD");
	response_header(&response, "Vary", "Accept");
	assert_int_equal(response.headers_length, 32);
	assert_memory_equal(
	    response.headers, "Allow: GET, HEAD\r\nVary: Accept\r\n", 32);
}

static void
a_header_has_a_name_that_is_a_token(void **state)
{
	static const char *const names[] = {
	    "", "X B", "X:", "X\n", "X\177", "\303\274", "(X)", "X/Y"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		response_header(&response, names[i], "c");
	assert_int_equal(response.headers_length, 0);
	response_header(&response, "aZ09-_!#$%&'*+.^`|~", "c");
	assert_int_equal(response.headers_length, 24);
}

static void
a_response_that_a_handler_left_as_it_was_becomes_a_problem(void **state)
{
	(void)state;
	response_validate(&response, "notes");
	assert_string_equal(field("detail"), "The handler did not answer.");
	response_text(&response, 500, "");
	response_validate(&response, "notes");
	assert_int_equal(response.body_length, 0);
	response_release(&response);
	response_init(&response);
	response.status = 204;
	response_validate(&response, "notes");
	assert_int_equal(response.status, 204);
}

static void
add_header_of(size_t size)
{
	char value[RESPONSE_HEAD_MAX + 1];

	memset(value, 'x', size);
	value[size - strlen("A: \r\n")] = '\0';
	response_header(&response, "A", value);
}

static void
headers_up_to_the_inline_room_need_no_memory(void **state)
{
	(void)state;
	add_header_of(RESPONSE_HEADERS_INLINE);
	assert_int_equal(response.headers_length, RESPONSE_HEADERS_INLINE);
	assert_ptr_equal(response.headers, response.headers_inline);
}

static void
headers_beyond_the_inline_room_are_kept_whole_and_in_order(void **state)
{
	(void)state;
	add_header_of(RESPONSE_HEADERS_INLINE);
	response_header(&response, "B", "1");
	add_header_of(8000);
	response_header(&response, "C", "2");
	assert_int_equal(
	    response.headers_length, RESPONSE_HEADERS_INLINE + 6 + 8000 + 6);
	assert_memory_equal(response.headers, "A: xx", 5);
	assert_memory_equal(response.headers + RESPONSE_HEADERS_INLINE - 3,
	    "x\r\nB: 1\r\nA: xx", 14);
	assert_memory_equal(
	    response.headers + response.headers_length - 9, "x\r\nC: 2\r\n", 9);
	assert_string_equal(response.too_long, "");
	response_problem(&response, 404, "They stay when the body changes.");
	assert_memory_equal(response.headers, "A: xx", 5);
}

static void
the_first_header_over_the_limit_is_remembered_and_none_added_after_it(
    void **state)
{
	(void)state;
	add_header_of(RESPONSE_HEAD_MAX);
	assert_int_equal(response.headers_length, RESPONSE_HEAD_MAX);
	assert_string_equal(response.too_long, "");
	response_header(&response, "Too-Much", "");
	response_header(&response, "More", "");
	assert_string_equal(response.too_long, "Too-Much");
	assert_int_equal(response.headers_length, RESPONSE_HEAD_MAX);
	response_release(&response);
	response_init(&response);
	assert_string_equal(response.too_long, "");
	response_header(&response, "A", "1");
	assert_int_equal(response.headers_length, 6);
}

static void
a_delay_is_kept_in_nanoseconds(void **state)
{
	(void)state;
	response_delay(&response, 0.25);
	assert_int_equal(response.delay_ns, 250000000);
	response_delay(&response, 60);
	assert_int_equal(response.delay_ns, INT64_C(60000000000));
}

static void
a_delay_that_is_no_number_of_seconds_is_defined(void **state)
{
	static const struct {
		double seconds;
		int64_t ns;
	} cases[] = {{NAN, 0}, {-NAN, 0}, {-1, 0}, {-INFINITY, 0}, {-1e300, 0},
	    {-0.0, 0}, {86400, INT64_C(86400000000000)},
	    {86400.1, INT64_C(86400000000000)}, {1e10, INT64_C(86400000000000)},
	    {1e300, INT64_C(86400000000000)},
	    {INFINITY, INT64_C(86400000000000)}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		response_delay(&response, cases[i].seconds);
		if (response.delay_ns != cases[i].ns)
			fail_msg("%g s are %lld ns", cases[i].seconds,
			    (long long)response.delay_ns);
	}
}

static void
statuses_have_their_reason_phrases(void **state)
{
	(void)state;
	assert_string_equal(response_reason(200), "OK");
	assert_string_equal(response_reason(202), "Accepted");
	assert_string_equal(response_reason(404), "Not Found");
	assert_string_equal(response_reason(405), "Method Not Allowed");
	assert_string_equal(response_reason(504), "Gateway Timeout");
	assert_string_equal(response_reason(299), "");
}

static void
releasing_twice_is_harmless(void **state)
{
	(void)state;
	response_problem(&response, 404, "Nothing.");
	response_release(&response);
	response_release(&response);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_handler_that_says_nothing_has_answered_500),
	    TEST(text_is_json_as_it_stands),
	    TEST(an_object_becomes_json_and_is_freed_with_the_response),
	    TEST(bytes_are_handed_over_as_they_are),
	    TEST(a_problem_is_as_rfc_9457_has_it),
	    TEST(a_long_detail_is_cut_and_still_json),
	    TEST(json_is_utf8_whatever_the_client_sent),
	    TEST(sound_utf8_stays_as_it_is),
	    TEST(headers_are_added_in_order),
	    TEST(a_header_has_a_name_that_is_a_token),
	    TEST(a_response_that_a_handler_left_as_it_was_becomes_a_problem),
	    TEST(headers_up_to_the_inline_room_need_no_memory),
	    TEST(headers_beyond_the_inline_room_are_kept_whole_and_in_order),
	    TEST(
		the_first_header_over_the_limit_is_remembered_and_none_added_after_it),
	    TEST(a_delay_is_kept_in_nanoseconds),
	    TEST(a_delay_that_is_no_number_of_seconds_is_defined),
	    TEST(statuses_have_their_reason_phrases),
	    TEST(releasing_twice_is_harmless),
	};

	return SUPPORT_RUN(tests);
}
