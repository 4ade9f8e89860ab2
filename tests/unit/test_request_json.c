/*
 * JSON bodies, cookies and redirects: what is accepted, and what is refused
 * with which status.
 */
#include "support.h"

#include <sys/resource.h>

#include <json-c/json.h>

#include "http/request_json.h"
#include "http/response_cookie.h"

/* The status of a body, 0 if it is accepted. */
static int
status_of(const char *type, const char *body, size_t length, const char *says)
{
	const struct request request = {
	    .content_type = type, .body = body, .body_length = length};
	struct response response;
	struct json_object *object;
	int status = 0;

	response_init(&response);
	object = request_json(&request, &response);
	if (!object) {
		status = response.status;
		assert_string_equal(
		    response.content_type, "application/problem+json");
		assert_says(response.body, says);
	}
	json_object_put(object);
	response_release(&response);
	return status;
}

#define STATUS(body, says)                                                     \
	status_of("application/json", body, sizeof(body) - 1, says)

static void
an_object_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(STATUS("{}", ""), 0);
	assert_int_equal(STATUS(" {\"a\": [1, \"\303\251\"]}\r\n", ""), 0);
	assert_int_equal(STATUS("{\"a\": \"\\\\u0000\"}", ""), 0);
	assert_int_equal(STATUS("{\"a'\\\"'\": \"'\"}", ""), 0);
	assert_int_equal(
	    status_of("Application/JSON; charset=utf-8", "{}", 2, ""), 0);
	assert_int_equal(
	    status_of("application/merge-patch+json", "{}", 2, ""), 0);
}

static void
another_type_is_a_415(void **state)
{
	static const char *const types[] = {"", "text/plain", "application/jso",
	    "application/jsonx", "application/x-www-form-urlencoded", "json"};

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++)
		assert_int_equal(
		    status_of(types[i], "{}", 2, "Content-Type"), 415);
}

static void
what_is_no_json_object_is_a_400(void **state)
{
	(void)state;
	assert_int_equal(STATUS("", "is empty"), 400);
	assert_int_equal(STATUS("{", "not a JSON object"), 400);
	assert_int_equal(STATUS("{\"a\":}", "not a JSON object"), 400);
	assert_int_equal(STATUS("{'a': 1}", "not a JSON object"), 400);
	assert_int_equal(STATUS("{\"a\": NaN}", "not a JSON object"), 400);
	assert_int_equal(STATUS("{\"a\": [-1e999]}", "too large"), 400);
	assert_int_equal(STATUS("[]", "not an object"), 400);
	assert_int_equal(STATUS("null", "not an object"), 400);
	assert_int_equal(STATUS("1", "not an object"), 400);
	assert_int_equal(STATUS("{} {}", "not a JSON object"), 400);
	assert_int_equal(STATUS("{}x", "not a JSON object"), 400);
	assert_int_equal(STATUS("  ", "not a JSON object"), 400);
}

static long
peak_memory(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

/* A name in single quotes hides the objects behind it from a count of quotes.
 */
static void
single_quotes_are_refused_before_they_take_memory(void **state)
{
	static const char begin[] = "{'\"':[";
	static char body[1 << 20];
	long before;

	(void)state;
	memcpy(body, begin, sizeof(begin) - 1);
	for (size_t i = sizeof(begin) - 1; i + 3 < sizeof(body); i += 3)
		memcpy(body + i, "{},", 3);
	before = peak_memory();
	assert_int_equal(status_of("application/json", body, strlen(body),
			     "it has single quotes"),
	    400);
	assert_true(peak_memory() - before < 64 << 10); /* KiB */
}

static void
a_nul_and_invalid_utf_8_are_a_400(void **state)
{
	(void)state;
	assert_int_equal(STATUS("{}\0", "contains a NUL"), 400);
	assert_int_equal(STATUS("{\"a\": \"b\0c\"}", "contains a NUL"), 400);
	assert_int_equal(STATUS("{\"a\": \"\\u0000\"}", "contains a NUL"), 400);
	assert_int_equal(STATUS("{\"a\": \"\377\"}", "not UTF-8"), 400);
	assert_int_equal(STATUS("{\"a\": \"\303", "not UTF-8"), 400);
	assert_int_equal(STATUS("{\"a\": \"\355\240\200\"}", "not UTF-8"), 400);
}

static void
a_deep_body_is_a_400(void **state)
{
	static char body[10001];

	(void)state;
	memset(body, '[', sizeof(body) - 1);
	assert_int_equal(STATUS(body, "not a JSON object"), 400);
}

/* An object with an array that repeats a text up to this size. */
static char *
repeat(const char *text, size_t size)
{
	char *body = malloc(size + 1);
	size_t length = strlen(text);
	size_t at = (size_t)snprintf(body, size + 1, "{\"a\":[");

	for (; at + length + 3 < size; at += length)
		memcpy(body + at, text, length + 1);
	snprintf(body + at, size + 1 - at, "0]}");
	return body;
}

static int
status_of_repeated(const char *text, const char *says)
{
	char *body = repeat(text, 1 << 20);
	int status = status_of("application/json", body, strlen(body), says);

	free(body);
	return status;
}

static void
a_body_of_1_mib_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(
	    status_of_repeated("{\"id\": 123456, \"title\": \"A title of a "
			       "note, {[,,,]} \\\"\", \"tags\": [\"home\", "
			       "\"work\"], \"done\": false},\n",
		""),
	    0);
	assert_int_equal(
	    status_of_repeated("\"a string of thirty letters...\",", ""), 0);
}

static void
a_body_that_would_take_much_memory_is_a_413(void **state)
{
	(void)state;
	assert_int_equal(status_of_repeated("{},", "more than 16 MiB"), 413);
	assert_int_equal(status_of_repeated("[],", "more than 16 MiB"), 413);
	assert_int_equal(status_of_repeated("1,", "more than 16 MiB"), 413);
}

/* The headers that this cookie makes. */
static const char *
set_cookie(const char *scheme, int result, struct cookie cookie)
{
	static char text[512];
	const struct request request = {.scheme = scheme};
	struct response response;

	response_init(&response);
	assert_int_equal(response_cookie(&request, &response, &cookie), result);
	snprintf(text, sizeof(text), "%.*s", (int)response.headers_length,
	    response.headers);
	response_release(&response);
	return text;
}

static void
a_cookie_is_safe_unless_told_otherwise(void **state)
{
	(void)state;
	assert_string_equal(
	    set_cookie("http", 0, (struct cookie){.name = "a", .value = "1"}),
	    "Set-Cookie: a=1; Path=/; HttpOnly; SameSite=Lax\r\n");
	assert_string_equal(
	    set_cookie("https", 0, (struct cookie){.name = "a", .value = "1"}),
	    "Set-Cookie: a=1; Path=/; Secure; HttpOnly; SameSite=Lax\r\n");
	assert_string_equal(set_cookie("http", 0,
				(struct cookie){.name = "a",
				    .value = "",
				    .path = "/x",
				    .max_age = -1,
				    .same_site = COOKIE_NONE,
				    .is_public = true}),
	    "Set-Cookie: a=; Path=/x; Max-Age=0; Secure; SameSite=None\r\n");
	assert_says(set_cookie("http", 0,
			(struct cookie){.name = "__Host-a", .value = "1"}),
	    "; Secure");
	assert_says(set_cookie("http", 0,
			(struct cookie){.name = "a",
			    .value = "1",
			    .max_age = 60,
			    .same_site = COOKIE_STRICT}),
	    "Max-Age=60; HttpOnly; SameSite=Strict");
}

static void
a_cookie_with_a_byte_that_is_not_allowed_is_omitted_and_logged(void **state)
{
	static const struct cookie cookies[] = {
	    {.name = "a", .value = "1; Domain=evil.example"},
	    {.name = "a", .value = "1\r\nX: y"}, {.name = "a", .value = "1 2"},
	    {.name = "a", .value = "\377"}, {.name = "a", .value = "1,2"},
	    {.name = "", .value = "1"}, {.name = "a=b", .value = "1"},
	    {.name = "a;", .value = "1"}, {.name = "a\n", .value = "1"},
	    {.name = "a", .value = "1", .path = "x"},
	    {.name = "a", .value = "1", .path = "/;x"}};

	(void)state;
	for (size_t i = 0; i < COUNT(cookies); i++) {
		support_capture();
		assert_string_equal(
		    set_cookie("http", -EINVAL, cookies[i]), "");
		assert_says(support_said(), "cookie omitted");
	}
}

static void
a_redirect_has_a_location_that_cannot_add_a_header(void **state)
{
	struct response response;

	(void)state;
	response_init(&response);
	response_redirect(&response, 303, "/notes/1");
	assert_int_equal(response.status, 303);
	assert_int_equal(response.body_length, 0);
	assert_int_equal(
	    strncmp(response.headers, "Location: /notes/1\r\n", 20), 0);
	response_release(&response);
	response_init(&response);
	support_capture();
	response_redirect(&response, 303, "/x\r\nSet-Cookie: a=b");
	assert_says(support_said(), "control character");
	assert_int_equal(response.status, 500);
	assert_int_equal(response.headers_length, 0);
	response_release(&response);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_object_is_accepted),
	    cmocka_unit_test(another_type_is_a_415),
	    cmocka_unit_test(what_is_no_json_object_is_a_400),
	    cmocka_unit_test(single_quotes_are_refused_before_they_take_memory),
	    cmocka_unit_test(a_nul_and_invalid_utf_8_are_a_400),
	    cmocka_unit_test(a_deep_body_is_a_400),
	    cmocka_unit_test(a_body_of_1_mib_is_accepted),
	    cmocka_unit_test(a_body_that_would_take_much_memory_is_a_413),
	    cmocka_unit_test(a_cookie_is_safe_unless_told_otherwise),
	    cmocka_unit_test(
		a_cookie_with_a_byte_that_is_not_allowed_is_omitted_and_logged),
	    cmocka_unit_test(
		a_redirect_has_a_location_that_cannot_add_a_header),
	};

	return SUPPORT_RUN(tests);
}
