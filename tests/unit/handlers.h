#ifndef HANDLERS_H
#define HANDLERS_H

/*
 * Calls handlers without a web server or a pool. The application has started
 * (app_start()) with the defaults of its options. The counter file is in a
 * folder of the test, and so are the files that the application has beside it.
 * A path can have a query: get("/notes?limit=5").
 */

#include "support.h"

#include <json-c/json.h>

#include "app/app.h"
#include "http/request_metrics.h"
#include "http/router.h"
#include "metrics/registry.h"
#include "options.h"
#include "service.h"

static struct registry *registry;
static struct counters counters;
static struct options options;
static struct service service = {.options = &options,
    .counters = &counters,
    .load_request_fd = -1,
    .backlog_fd = -1};
static struct request request;
static struct response response;
/* What the next requests have. set_up() clears it. */
static const char *sent_headers[HEADER_COUNT + 1];
static const char *sent_type;
static const char *sent_body;
static int endpoint; /* that the latest answer is counted under */
static int asked[2]; /* what the master is asked for */

/* The environment may be that of a service, with its files. */
static inline void
clear_variables(void)
{
	char **entry = environ;

	while (*entry) {
		char *text = *entry;

		if (strncmp(text, PROGRAM_VARIABLES,
			strlen(PROGRAM_VARIABLES)) == 0) {
			char *name = strndup(text, strcspn(text, "="));

			unsetenv(name);
			free(name);
		}
		if (*entry == text)
			entry++;
	}
}

/*
 * Start the application with the options' defaults. One that needs another
 * value in a test is set here. Returns 0 or -1.
 */
static inline int
start_application(void)
{
	static char file[PATH_MAX];
	char reason[200] = "";

	snprintf(file, sizeof(file), "%s", support_path("counters"));
	clear_variables();
	if (options_from_environment(&options, COMMAND_SERVE) < 0)
		return -1;
	options.metrics_file = file;
	if (app_start(&service, reason, sizeof(reason)) < 0) {
		print_error("app_start(): %s\n", reason);
		return -1;
	}
	return 0;
}

/* A service of two slots with new counters. For cmocka's set-up of one test. */
static inline int
set_up(void **state)
{
	support_clear(state);
	router_open(true);
	registry = request_metrics_registry();
	if (!registry ||
	    counters_open(&counters, support_path("counters"), registry, 2) <
		0 ||
	    pipe2(asked, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	service.load_request_fd = asked[1];
	response_init(&response);
	memset(sent_headers, 0, sizeof(sent_headers));
	sent_type = "";
	sent_body = "";
	return start_application();
}

static inline int
tear_down(void **state)
{
	response_release(&response);
	app_stop(&service);
	counters_close(&counters);
	registry_free(registry);
	close(asked[0]);
	close(asked[1]);
	return support_release(state);
}

/* The path without its query, which it sets if there is one. */
static inline const char *
split_query(const char *path, const char **query)
{
	static char copy[PATH_MAX];
	const char *mark = strchr(path, '?');

	if (!mark)
		return path;
	assert_string_equal(*query, ""); /* there is one place for it */
	snprintf(copy, sizeof(copy), "%.*s", (int)(mark - path), path);
	*query = mark + 1;
	return copy;
}

/* The status of the response to a request; request.accept is sent as it is. */
static inline int
ask_with(int (*dispatch)(struct request *, struct response *),
    enum method method, const char *path, const char *query)
{
	response_release(&response);
	response_init(&response);
	path = split_query(path, &query);
	request = (struct request){.method = method,
	    .path = path,
	    .parameter = "",
	    .query = query,
	    .accept = request.accept ? request.accept : "",
	    .fetch_site = "",
	    .origin = "",
	    .host = "",
	    .content_type = sent_type,
	    .cookie = "",
	    .client_address = "192.0.2.1",
	    .scheme = "http",
	    .id = "0123abcd",
	    .body = sent_body,
	    .body_length = strlen(sent_body),
	    .service = &service};
	memcpy(request.headers, sent_headers, sizeof(request.headers));
	endpoint = dispatch(&request, &response);
	return response.status;
}

static inline int
ask(enum method method, const char *path, const char *query)
{
	request.accept = "";
	return ask_with(router_dispatch, method, path, query);
}

static inline int
get(const char *path)
{
	return ask(METHOD_GET, path, "");
}

/* The status of the response to a request with this JSON in its body. */
static inline int
send_json(enum method method, const char *path, const char *json)
{
	sent_type = "application/json";
	sent_body = json;
	return ask(method, path, "");
}

/* A number or a string in the body, "a.b" within an object of it. */
static inline const char *
field(const char *name)
{
	static char text[256];
	struct json_object *body = json_tokener_parse(response.body);
	struct json_object *value = body;
	char names[64];
	char *rest = names;
	char *part;

	assert_non_null(body);
	snprintf(names, sizeof(names), "%s", name);
	while ((part = strsep(&rest, ".")))
		if (!json_object_object_get_ex(value, part, &value))
			fail_msg("no %s in %s", name, response.body);
	snprintf(text, sizeof(text), "%s",
	    value ? json_object_get_string(value) : "null");
	json_object_put(body);
	return text;
}

#endif
