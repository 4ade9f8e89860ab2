/*
 * What a handler may ask of a request.
 */
#include "support.h"

#include "http/request.h"

static struct request
with_query(const char *query)
{
	return (struct request){.query = query, .accept = "", .path = "/"};
}

/* The value of a parameter, or why there is none. */
static void
assert_query(const char *query, const char *name, int result, const char *text)
{
	const struct request request = with_query(query);
	char value[16];

	assert_int_equal(
	    request_query(&request, name, value, sizeof(value)), result);
	if (result >= 0)
		assert_string_equal(value, text);
}

static void
a_parameter_is_found_wherever_it_stands(void **state)
{
	(void)state;
	assert_query("seconds=60", "seconds", 1, "60");
	assert_query("seconds=60&load=1.5", "load", 1, "1.5");
	assert_query("a=1&seconds=60&load=1.5", "seconds", 1, "60");
	assert_query("&&seconds=60&", "seconds", 1, "60");
}

static void
the_first_of_several_counts(void **state)
{
	(void)state;
	assert_query("load=1&load=2", "load", 1, "1");
}

static void
a_name_is_compared_whole(void **state)
{
	(void)state;
	assert_query("loads=1", "load", 0, "");
	assert_query("oad=1", "load", 0, "");
	assert_query("xload=1", "load", 0, "");
	assert_query("Load=1", "load", 0, "");
	assert_query("", "load", 0, "");
	assert_query("=1", "load", 0, "");
}

static void
a_parameter_without_a_value_is_there_and_empty(void **state)
{
	(void)state;
	assert_query("load", "load", 1, "");
	assert_query("load=", "load", 1, "");
	assert_query("load&seconds=1", "load", 1, "");
}

static void
percent_encoding_and_plus_are_decoded(void **state)
{
	(void)state;
	assert_query("load=150%25", "load", 1, "150%");
	assert_query("load=a+b", "load", 1, "a b");
	assert_query("load=a%2Bb", "load", 1, "a+b");
	assert_query("load=%41%7a%7A", "load", 1, "Azz");
	assert_query("load=a=b", "load", 1, "a=b");
	assert_query("load=%26%3d", "load", 1, "&=");
}

static void
broken_percent_encoding_is_refused(void **state)
{
	static const char *const broken[] = {"load=%", "load=%4", "load=%4&x=1",
	    "load=%g1", "load=%1g", "load=%%41", "load=1%", "load=150%"};

	(void)state;
	for (size_t i = 0; i < COUNT(broken); i++)
		assert_query(broken[i], "load", -EINVAL, NULL);
}

static void
a_nul_is_refused(void **state)
{
	(void)state;
	assert_query("load=1%002", "load", -EINVAL, NULL);
}

static void
a_value_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	assert_query("load=123456789012345", "load", 1, "123456789012345");
	assert_query("load=1234567890123456", "load", -EINVAL, NULL);
	/* it is the decoded value that has to fit */
	assert_query("load=%31%32%33%34%35%36%37%38", "load", 1, "12345678");
}

static void
an_unknown_parameter_is_named(void **state)
{
	static const char *const known[] = {"seconds", "load", NULL};
	struct request request = with_query("seconds=1&lod=2&x=3");
	char name[5];

	(void)state;
	assert_int_equal(
	    request_query_unknown(&request, known, name, sizeof(name)), 1);
	assert_string_equal(name, "lod");
	request = with_query("loads=1");
	assert_int_equal(
	    request_query_unknown(&request, known, name, sizeof(name)), 1);
	assert_string_equal(name, "load"); /* cut */
	request = with_query("seconds=1&&load&");
	assert_int_equal(
	    request_query_unknown(&request, known, name, sizeof(name)), 0);
	request = with_query("");
	assert_int_equal(
	    request_query_unknown(&request, known, name, sizeof(name)), 0);
}

/* The value of a cookie, or why there is none. */
static void
assert_cookie(
    const char *header, const char *name, int result, const char *text)
{
	const struct request request = {.cookie = header};
	char value[16];

	assert_int_equal(
	    request_cookie(&request, name, value, sizeof(value)), result);
	assert_string_equal(value, text);
}

static void
a_cookie_is_found_wherever_it_stands(void **state)
{
	(void)state;
	assert_cookie("a=1", "a", 1, "1");
	assert_cookie("a=1; b=2", "b", 1, "2");
	assert_cookie("a=1;b=2", "b", 1, "2");
	assert_cookie("; ;a=1 ; b=\"2\"", "b", 1, "2");
	assert_cookie("a=1 ; b=2", "a", 1, "1");
	assert_cookie("a=1; a=2", "a", 1, "1");
	assert_cookie("a=; b=2", "a", 1, "");
	assert_cookie("a==1=", "a", 1, "=1=");
	assert_cookie("a=\"", "a", 1, "\"");
	assert_cookie("a=\377", "a", 1, "\377");
}

static void
a_cookie_s_name_is_compared_whole(void **state)
{
	(void)state;
	assert_cookie("", "a", 0, "");
	assert_cookie(NULL, "a", 0, "");
	assert_cookie("ab=1; xa=2; A=3; b=a=4", "a", 0, "");
	assert_cookie("a", "a", 0, "");
	assert_cookie("a; b=1", "a", 0, "");
	assert_cookie(";;;=", "a", 0, "");
}

static void
a_cookie_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	assert_cookie("a=123456789012345; b=2", "a", 1, "123456789012345");
	assert_cookie("a=1234567890123456; b=2", "a", -ENOSPC, "");
}

static void
the_last_of_a_hundred_cookies_is_found_and_may_be_a_jwt(void **state)
{
	static char header[16384];
	static char value[4097];
	static char token[4097];
	size_t used = 0;

	(void)state;
	for (int i = 0; i < 99; i++)
		used +=
		    (size_t)sprintf(header + used, "name%d=value%d; ", i, i);
	memset(token, 't', sizeof(token) - 1);
	sprintf(header + used, "session=%s", token);
	const struct request request = {.cookie = header};

	assert_int_equal(
	    request_cookie(&request, "session", value, sizeof(value)), 1);
	assert_string_equal(value, token);
	assert_int_equal(
	    request_cookie(&request, "name98", value, sizeof(value)), 1);
	assert_string_equal(value, "value98");
}

static bool
accepts(const char *accept, const char *type)
{
	const struct request request = {.accept = accept};

	return request_accepts(&request, type);
}

static void
a_media_type_in_the_accept_header_is_accepted(void **state)
{
	(void)state;
	assert_true(accepts("text/html", "text/html"));
	assert_true(accepts("TEXT/HTML", "text/html"));
	assert_true(accepts("text/html;q=0.1", "text/html"));
	assert_true(accepts("application/json, text/html", "text/html"));
	assert_true(accepts("application/json,text/html ; q=0.5", "text/html"));
	/* a browser's */
	assert_true(accepts("text/html,application/xhtml+xml,application/xml;"
			    "q=0.9,image/avif,image/webp,*/*;q=0.8",
	    "text/html"));
}

static void
a_media_type_that_is_not_named_or_refused_is_not_accepted(void **state)
{
	(void)state;
	assert_false(accepts("", "text/html"));
	assert_false(accepts("*/*", "text/html")); /* curl */
	assert_false(accepts("text/*", "text/html"));
	assert_false(accepts("text/htmlx", "text/html"));
	assert_false(accepts("xtext/html", "text/html"));
	assert_false(accepts("text/htm", "text/html"));
	assert_false(accepts("text/html;q=0", "text/html"));
	assert_false(accepts("text/html; q=0.000, */*", "text/html"));
	assert_false(accepts("text/html;level=1;q=0", "text/html"));
	assert_false(accepts(",;,;q=", "text/html"));
}

static void
methods_have_the_names_that_http_gives_them(void **state)
{
	static const char *const names[] = {
	    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		assert_string_equal(
		    request_method_name(request_method_parse(names[i])),
		    names[i]);
	assert_int_equal(COUNT(names), METHOD_OTHER);
}

static void
any_other_method_is_other(void **state)
{
	static const char *const names[] = {
	    "", "get", "GETX", "GE", "TRACE", "CONNECT", "other", "PROPFIND"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		assert_int_equal(request_method_parse(names[i]), METHOD_OTHER);
	assert_string_equal(request_method_name(METHOD_OTHER), "other");
}

static void
a_browser_marks_what_another_website_asks_for(void **state)
{
	static const struct {
		const char *site, *origin, *host;
		bool is_cross_site;
	} requests[] = {
	    {"", "", "", false},     /* curl */
	    {"none", "", "", false}, /* a typed address */
	    {"same-origin", "http://a:1", "a:1", false},
	    {"same-site", "http://b:1", "a:1", true},
	    {"cross-site", "", "", true},
	    {"", "http://a:1", "a:1", false},
	    {"", "https://A:1", "a:1", false},
	    {"", "http://b", "a", true},
	    {"", "http://a:2", "a:1", true},
	    {"", "null", "null", true},
	    {"", "://", "", false},
	    {"", "x", "x", true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(requests); i++) {
		const struct request request = {.fetch_site = requests[i].site,
		    .origin = requests[i].origin,
		    .host = requests[i].host};

		assert_int_equal(
		    request_is_cross_site(&request), requests[i].is_cross_site);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_browser_marks_what_another_website_asks_for),
	    cmocka_unit_test(a_parameter_is_found_wherever_it_stands),
	    cmocka_unit_test(the_first_of_several_counts),
	    cmocka_unit_test(a_name_is_compared_whole),
	    cmocka_unit_test(a_parameter_without_a_value_is_there_and_empty),
	    cmocka_unit_test(percent_encoding_and_plus_are_decoded),
	    cmocka_unit_test(broken_percent_encoding_is_refused),
	    cmocka_unit_test(a_nul_is_refused),
	    cmocka_unit_test(a_value_that_does_not_fit_is_refused),
	    cmocka_unit_test(an_unknown_parameter_is_named),
	    cmocka_unit_test(a_cookie_is_found_wherever_it_stands),
	    cmocka_unit_test(a_cookie_s_name_is_compared_whole),
	    cmocka_unit_test(a_cookie_that_does_not_fit_is_refused),
	    cmocka_unit_test(
		the_last_of_a_hundred_cookies_is_found_and_may_be_a_jwt),
	    cmocka_unit_test(a_media_type_in_the_accept_header_is_accepted),
	    cmocka_unit_test(
		a_media_type_that_is_not_named_or_refused_is_not_accepted),
	    cmocka_unit_test(methods_have_the_names_that_http_gives_them),
	    cmocka_unit_test(any_other_method_is_other),
	};

	return SUPPORT_RUN(tests);
}
