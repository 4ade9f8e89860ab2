/*
 * From a path to its handler, and what is answered without one. The table is
 * read from routes.def, so that a new route is in these tests, too.
 */
#include "support.h"

#include "http/router.h"

static struct request request;
static struct response response;

static int
set_up(void **state)
{
	(void)state;
	router_open(true);
	request = (struct request){.parameter = "",
	    .query = "",
	    .accept = "",
	    .fetch_site = "",
	    .origin = "",
	    .host = "",
	    .id = "",
	    .body = ""};
	response_init(&response);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	response_release(&response);
	return 0;
}

/* A path that matches the route's: "*" is in no literal segment. */
static const char *
path_of(const struct route *route)
{
	static char path[256];
	size_t used = 0;

	for (const char *p = route->path; *p; p++) {
		path[used++] = *p == '{' ? '*' : *p;
		if (*p == '{')
			p = strchr(p, '}');
	}
	path[used] = '\0';
	return path;
}

static int
find(const char *path)
{
	return router_find(METHOD_OPTIONS, path);
}

/* The first line of a route's path: OPTIONS is counted there. */
static int
first_line(int endpoint)
{
	return find(path_of(&router_routes[endpoint]));
}

static int
dispatch(enum method method, const char *path)
{
	response_release(&response);
	response_init(&response);
	request.method = method;
	request.path = path;
	return router_dispatch(&request, &response);
}

static void
every_route_is_found_by_its_path_and_methods(void **state)
{
	(void)state;
	for (int i = 0; i < ENDPOINT_OTHER; i++)
		for (int method = 0; method < METHOD_COUNT; method++)
			if (method != METHOD_OPTIONS &&
			    router_routes[i].methods & 1u << method)
				assert_int_equal(
				    router_find((enum method)method,
					path_of(&router_routes[i])),
				    i);
}

static void
every_route_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < ENDPOINT_COUNT; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(
			    router_endpoint_name(i), router_endpoint_name(k));
	assert_string_equal(router_endpoint_name(ENDPOINT_root), "root");
	assert_string_equal(router_endpoint_name(ENDPOINT_OTHER), "other");
	assert_string_equal(router_endpoint_name(ENDPOINT_STATIC), "static");
}

static void
paths_match_exactly(void **state)
{
	(void)state;
	for (int i = 0; i < ENDPOINT_OTHER; i++) {
		const char *path = path_of(&router_routes[i]);
		int endpoint = first_line(i);
		char other[300];

		snprintf(other, sizeof(other), "%s/", path);
		assert_int_not_equal(find(other), endpoint);
		snprintf(other, sizeof(other), "/%s", path);
		assert_int_not_equal(find(other), endpoint);
		snprintf(other, sizeof(other), "%s/x", path);
		assert_int_not_equal(find(other), endpoint);
		snprintf(other, sizeof(other), "%s ", path);
		if (path[strlen(path) - 1] != '*')
			assert_int_not_equal(find(other), endpoint);
	}
}

static void
what_is_no_path_is_not_found(void **state)
{
	static const char *const paths[] = {"", "health", "*", "status/42",
	    "//", "//health", "/status//", "/status//42", "/\377//"};

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++)
		if (find(paths[i]) != ENDPOINT_OTHER)
			fail_msg("'%s' is found", paths[i]);
	assert_int_not_equal(find("/Health"), ENDPOINT_health);
	assert_int_not_equal(find("/healt"), ENDPOINT_health);
	assert_int_not_equal(find("/%68ealth"), ENDPOINT_health);
}

static void
a_word_of_the_path_is_a_parameter(void **state)
{
	(void)state;
	dispatch(METHOD_GET, "/status/503");
	assert_int_equal(response.status, 503);
	assert_string_equal(request.parameter, "503");
	assert_string_equal(request_parameter(&request, "code"), "503");
	assert_string_equal(request_parameter(&request, "cod"), "");
	assert_string_equal(request_parameter(&request, "code}"), "");
	assert_string_equal(request_parameter(&request, ""), "");
}

static void
a_path_without_words_has_no_parameter(void **state)
{
	(void)state;
	dispatch(METHOD_GET, "/health");
	assert_string_equal(request.parameter, "");
	assert_string_equal(request_parameter(&request, "code"), "");
	dispatch(METHOD_GET, "/nothing//5");
	assert_string_equal(request.parameter, "");
}

static void
a_path_that_is_too_long_for_its_words_is_a_414(void **state)
{
	static char path[70000];

	(void)state;
	memset(path, '1', sizeof(path) - 1);
	memcpy(path, "/status/", 8);
	assert_int_equal(dispatch(METHOD_GET, path), ENDPOINT_status);
	assert_int_equal(response.status, 414);
	path[16384] = '\0';
	dispatch(METHOD_GET, path);
	assert_int_equal(response.status, 400);
}

static void
exercise_routes_are_gone_when_turned_off(void **state)
{
	(void)state;
	router_open(false);
	for (int i = 0; i < ENDPOINT_OTHER; i++)
		if (router_routes[i].flags & ROUTE_FAULT_INJECTION)
			assert_int_not_equal(first_line(i), i);
	assert_int_equal(dispatch(METHOD_POST, "/crash"), ENDPOINT_OTHER);
	assert_int_equal(response.status, 404);
	assert_int_equal(find("/health"), ENDPOINT_health);
}

static void
the_exercise_routes_are_those_that_break_things(void **state)
{
	static const int exercise[] = {ENDPOINT_riseload, ENDPOINT_status,
	    ENDPOINT_delay, ENDPOINT_crash, ENDPOINT_hang};

	(void)state;
	for (size_t i = 0; i < COUNT(exercise); i++)
		assert_true(
		    router_routes[exercise[i]].flags & ROUTE_FAULT_INJECTION);
	assert_false(
	    router_routes[ENDPOINT_health].flags & ROUTE_FAULT_INJECTION);
	assert_false(
	    router_routes[ENDPOINT_ready].flags & ROUTE_FAULT_INJECTION);
}

static void
an_unknown_path_is_a_404_problem(void **state)
{
	(void)state;
	assert_int_equal(dispatch(METHOD_GET, "/nothing//"), ENDPOINT_OTHER);
	assert_int_equal(response.status, 404);
	assert_string_equal(response.content_type, "application/problem+json");
	assert_says(response.body, "/nothing");
}

/* The headers that were added, as text. */
static const char *
headers(void)
{
	static char text[RESPONSE_HEADERS_INLINE + 1];

	snprintf(text, sizeof(text), "%.*s", (int)response.headers_length,
	    response.headers);
	return text;
}

static void
another_method_is_a_405_that_says_which_there_are(void **state)
{
	(void)state;
	assert_int_equal(dispatch(METHOD_POST, "/health"), ENDPOINT_health);
	assert_int_equal(response.status, 405);
	assert_string_equal(response.content_type, "application/problem+json");
	assert_string_equal(headers(), "Allow: GET, HEAD, OPTIONS\r\n");
	dispatch(METHOD_GET, "/crash");
	assert_int_equal(response.status, 405);
	assert_string_equal(headers(), "Allow: POST, OPTIONS\r\n");
	dispatch(METHOD_PATCH, "/riseload");
	assert_int_equal(response.status, 405);
	assert_string_equal(
	    headers(), "Allow: GET, HEAD, POST, DELETE, OPTIONS\r\n");
	dispatch(METHOD_OTHER, "/");
	assert_int_equal(response.status, 405);
}

static void
every_route_refuses_every_method_that_it_does_not_take(void **state)
{
	(void)state;
	for (int i = 0; i < ENDPOINT_OTHER; i++)
		for (int method = 0; method < METHOD_COUNT; method++) {
			const char *path = path_of(&router_routes[i]);
			int line = router_find((enum method)method, path);

			if (router_routes[line].methods & 1u << method)
				continue;
			assert_int_equal(
			    dispatch((enum method)method, path), first_line(i));
			assert_int_equal(response.status, 405);
			assert_says(headers(), "Allow: ");
		}
}

static void
options_is_a_204_with_allow_on_every_route(void **state)
{
	(void)state;
	for (int i = 0; i < ENDPOINT_OTHER; i++) {
		assert_int_equal(
		    dispatch(METHOD_OPTIONS, path_of(&router_routes[i])),
		    first_line(i));
		assert_int_equal(response.status, 204);
		assert_int_equal(response.body_length, 0);
		assert_says(headers(), "OPTIONS");
	}
	dispatch(METHOD_OPTIONS, "/nothing//");
	assert_int_equal(response.status, 404);
}

static void
head_is_taken_wherever_get_is(void **state)
{
	(void)state;
	for (int i = 0; i < ENDPOINT_OTHER; i++)
		assert_int_equal(
		    (router_routes[i].methods & 1u << METHOD_GET) != 0,
		    (router_routes[i].methods & 1u << METHOD_HEAD) != 0);
	assert_int_equal(dispatch(METHOD_HEAD, "/health"), ENDPOINT_health);
	assert_int_equal(response.status, 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(every_route_is_found_by_its_path_and_methods),
	    TEST(every_route_has_a_name_of_its_own),
	    TEST(paths_match_exactly),
	    TEST(what_is_no_path_is_not_found),
	    TEST(a_word_of_the_path_is_a_parameter),
	    TEST(a_path_without_words_has_no_parameter),
	    TEST(a_path_that_is_too_long_for_its_words_is_a_414),
	    TEST(exercise_routes_are_gone_when_turned_off),
	    TEST(the_exercise_routes_are_those_that_break_things),
	    TEST(an_unknown_path_is_a_404_problem),
	    TEST(another_method_is_a_405_that_says_which_there_are),
	    TEST(every_route_refuses_every_method_that_it_does_not_take),
	    TEST(options_is_a_204_with_allow_on_every_route),
	    TEST(head_is_taken_wherever_get_is),
	};

	return SUPPORT_RUN(tests);
}
