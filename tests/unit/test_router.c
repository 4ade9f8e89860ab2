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

/* The route's path with "42" for its {word}. */
static const char *
path_of(const struct route *route)
{
	static char path[128];
	size_t length = strcspn(route->path, "{");

	snprintf(path, sizeof(path), "%.*s%s", (int)length, route->path,
	    route->path[length] ? "42" : "");
	return path;
}

static int
find(const char *path)
{
	const char *parameter;

	return router_find(path, &parameter);
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
every_route_is_found_by_its_path(void **state)
{
	(void)state;
	for (int i = 0; i < ENDPOINT_OTHER; i++)
		assert_int_equal(find(path_of(&router_routes[i])), i);
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
}

static void
paths_match_exactly(void **state)
{
	(void)state;
	for (int i = 0; i < ENDPOINT_OTHER; i++) {
		const char *path = path_of(&router_routes[i]);
		char other[160];

		snprintf(other, sizeof(other), "%s/", path);
		assert_int_equal(find(other), ENDPOINT_OTHER);
		snprintf(other, sizeof(other), "/%s", path);
		assert_int_equal(find(other), ENDPOINT_OTHER);
		snprintf(other, sizeof(other), "%s/x", path);
		assert_int_equal(find(other), ENDPOINT_OTHER);
		snprintf(other, sizeof(other), "%s ", path);
		if (!strchr(router_routes[i].path, '{'))
			assert_int_equal(find(other), ENDPOINT_OTHER);
	}
}

static void
what_is_no_path_is_not_found(void **state)
{
	static const char *const paths[] = {"", "health", "//", "/Health",
	    "/healt", "/healthy", "*", "/..", "/%68ealth", "/status",
	    "/status/", "/status//", "/status/4/2", "/delay", "status/42",
	    "/other", "/\377"};

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++)
		if (find(paths[i]) != ENDPOINT_OTHER)
			fail_msg("'%s' is found", paths[i]);
}

static void
a_word_of_the_path_is_the_parameter(void **state)
{
	const char *path = "/status/503";
	const char *parameter;

	(void)state;
	assert_int_equal(router_find(path, &parameter), ENDPOINT_status);
	assert_ptr_equal(parameter, path + 8);
	assert_int_equal(router_find("/delay/0.5", &parameter), ENDPOINT_delay);
	assert_string_equal(parameter, "0.5");
	assert_int_equal(router_find("/health", &parameter), ENDPOINT_health);
	assert_string_equal(parameter, "");
	assert_int_equal(router_find("/nothing/5", &parameter), ENDPOINT_OTHER);
	assert_string_equal(parameter, "");
}

static void
exercise_routes_are_gone_when_turned_off(void **state)
{
	(void)state;
	router_open(false);
	for (int i = 0; i < ENDPOINT_OTHER; i++)
		assert_int_equal(find(path_of(&router_routes[i])),
		    router_routes[i].flags & ROUTE_FAULT_INJECTION
			? ENDPOINT_OTHER
			: i);
	assert_int_equal(dispatch(METHOD_POST, "/crash"), ENDPOINT_OTHER);
	assert_int_equal(response.status, 404);
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
	assert_int_equal(dispatch(METHOD_GET, "/nothing"), ENDPOINT_OTHER);
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
			if (router_routes[i].methods & 1u << method)
				continue;
			assert_int_equal(dispatch((enum method)method,
					     path_of(&router_routes[i])),
			    i);
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
		    dispatch(METHOD_OPTIONS, path_of(&router_routes[i])), i);
		assert_int_equal(response.status, 204);
		assert_int_equal(response.body_length, 0);
		assert_says(headers(), "OPTIONS");
	}
	dispatch(METHOD_OPTIONS, "/nothing");
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
	    TEST(every_route_is_found_by_its_path),
	    TEST(every_route_has_a_name_of_its_own),
	    TEST(paths_match_exactly),
	    TEST(what_is_no_path_is_not_found),
	    TEST(a_word_of_the_path_is_the_parameter),
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
