/*
 * Plain CGI: one process, one request. It counts in a slot of its own that all
 * CGI processes share, beside a running pool or without one. Where the file
 * cannot be used every request is a 503.
 */
#include "cgi_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cgi.h"
#include "clock.h"
#include "counters.h"
#include "log.h"
#include "metrics/catalog.h"
#include "options.h"
#include "router.h"
#include "service.h"

enum { BODY_MAX = 64 << 10, HEAD_SIZE = 1024 };

/* The body, up to BODY_MAX; the caller frees it. */
static char *
read_body(size_t *length)
{
	const char *announced = getenv("CONTENT_LENGTH");
	size_t size = announced ? strtoul(announced, NULL, 10) : 0;
	char *body;

	if (size > BODY_MAX)
		size = BODY_MAX;
	body = malloc(size + 1);
	if (!body)
		return NULL;
	*length = fread(body, 1, size, stdin);
	body[*length] = '\0';
	return body;
}

static void
wait_for(int64_t ns)
{
	struct timespec time = {ns / 1000000000, ns % 1000000000};

	nanosleep(&time, NULL);
}

static int
print_response(const struct response *response, bool is_head)
{
	char head[HEAD_SIZE];
	size_t head_length = cgi_format_head(response, head, sizeof(head));

	fwrite(head, 1, head_length, stdout);
	if (!is_head)
		fwrite(response->body, 1, response->body_length, stdout);
	return fflush(stdout) == 0 ? 0 : -1;
}

int
cgi_command(void)
{
	struct store_catalog *catalog = counters_catalog();
	struct store store;
	struct options options;
	struct service service = {.options = &options,
	    .store = &store,
	    .load_request_fd = -1,
	    .queue_fd = -1};
	struct counters_request count = {.queue_ns = -1};
	struct response response;
	struct request request;
	int64_t started = clock_now();
	bool can_count;
	char *body;

	if (!catalog || options_from_environment(&options, COMMAND_SERVE) < 0)
		return 1;
	can_count = store_attach(&store, options.metrics_file, catalog) == 0;
	router_open(options.exercise);
	response_init(&response);
	cgi_parse(environ, &request);
	request.service = &service;
	body = read_body(&request.body_length);
	request.body = body ? body : "";
	count.endpoint = ENDPOINT_OTHER;
	if (can_count)
		count.endpoint = router_dispatch(&request, &response);
	else
		response_problem(&response, 503,
		    "The counter file cannot be used; the log says why.");
	if (response.delay_ns > 0)
		wait_for(response.delay_ns);
	if (print_response(&response, request.method == METHOD_HEAD) == 0 &&
	    can_count) {
		count.method = request.method;
		count.status = response.status;
		count.duration_ns = clock_now() - started;
		count.body_bytes =
		    request.method == METHOD_HEAD ? 0 : response.body_length;
		counters_count_shared(&store, &count);
	}
	response_release(&response);
	free(body);
	if (can_count)
		store_close(&store);
	catalog_free(catalog);
	return 0;
}
