/*
 * Plain CGI: one process answers one request, with or without a running pool.
 * All CGI processes count in one shared slot of the counter file. Without a
 * usable counter file the answer is a 503.
 */
#include "worker/cgi_command.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/app.h"
#include "http/cgi.h"
#include "base/clock.h"
#include "http/request_metrics.h"
#include "base/log.h"
#include "metrics/registry.h"
#include "metrics/counters_guard.h"
#include "options.h"
#include "http/router.h"
#include "service.h"
#include "worker/hooks.h"

/* Read and discard a body. Some web servers fail if it is not read. */
static void
skip_body(uintmax_t size)
{
	char rest[4096];
	size_t length;

	while (size > 0 &&
	       (length = fread(rest, 1,
		    size < sizeof(rest) ? size : sizeof(rest), stdin)) > 0)
		size -= length;
}

/*
 * Parse CONTENT_LENGTH; without one the length is 0. A length that is too large
 * for the type is UINTMAX_MAX. Returns 0, or -1 if it is not a number.
 */
static int
parse_length(const char *text, uintmax_t *length)
{
	*length = 0;
	if (!text || !*text)
		return 0;
	if (text[strspn(text, "0123456789")] != '\0')
		return -1;
	*length = strtoumax(text, NULL, 10);
	return 0;
}

/*
 * Read the body into *body, which the caller frees. Returns 0, or -1 after it
 * has filled in an error response.
 */
static int
read_body(struct request *request, char **body, struct response *response)
{
	uintmax_t size;

	if (parse_length(getenv("CONTENT_LENGTH"), &size) < 0) {
		response_problem(
		    response, 400, "The Content-Length is not a number.");
		return -1;
	}
	if (size > router_body_max(request)) {
		skip_body(size);
		router_refuse_body(request, response);
		return -1;
	}
	*body = malloc(size + 1);
	if (!*body) {
		response_problem(response, 500, "Out of memory.");
		return -1;
	}
	request->body = *body;
	request->body_length = fread(*body, 1, size, stdin);
	(*body)[request->body_length] = '\0';
	if (request->body_length == size)
		return 0;
	response_problem(
	    response, 400, "The body is shorter than its Content-Length.");
	return -1;
}

/* Fill in the response. Returns the endpoint under which to count it. */
static int
answer(struct request *request, char **body, struct response *response,
    bool has_started)
{
	if (read_body(request, body, response) < 0)
		return router_find(request->method, request->path);
	return has_started ? router_dispatch(request, response)
			   : hooks_dispatch_unready(request, response);
}

static void
wait_for(int64_t ns)
{
	struct timespec time = {ns / 1000000000, ns % 1000000000};

	nanosleep(&time, NULL);
}

static int
print_response(struct response *response, int endpoint, bool is_head)
{
	char head[CGI_HEAD_SIZE];
	size_t head_length = cgi_format_head(response, endpoint, head);

	fwrite(head, 1, head_length, stdout);
	if (!is_head)
		fwrite(response->body, 1, response->body_length, stdout);
	return fflush(stdout) == 0 ? 0 : -1;
}

/*
 * Ignore signals while a response is sent and counted. lighttpd sends SIGTERM
 * as soon as it has the whole response, which must be counted nevertheless.
 */
static void
ignore_signals(void)
{
	static const int signals[] = {SIGTERM, SIGHUP, SIGINT, SIGPIPE};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_IGN);
}

int
cgi_command(void)
{
	struct registry *registry = request_metrics_registry();
	struct counters counters;
	struct options options;
	struct service service = {.options = &options,
	    .counters = &counters,
	    .load_request_fd = -1,
	    .backlog_fd = -1};
	struct request_sample count = {.queue_ns = -1};
	struct response response;
	struct request request;
	int64_t started = clock_now();
	char *body = NULL;
	bool has_started = false;
	bool can_count;
	int result;

	if (!registry || options_from_environment(&options, COMMAND_SERVE) < 0)
		return 1;
	counters_guard_exit_on_truncation();
	can_count =
	    counters_attach(&counters, options.metrics_file, registry) == 0;
	router_open(options.exercise);
	response_init(&response);
	cgi_parse(environ, &request);
	request.service = &service;
	response.request_id = request.id;
	log_request_id(request.id);
	count.endpoint = ENDPOINT_OTHER;
	if (can_count) {
		has_started = hooks_start(&service);
		count.endpoint =
		    answer(&request, &body, &response, has_started);
	} else
		response_problem(&response, 503,
		    "The counter file cannot be used; the log says why.");
	if (response.delay_ns > 0)
		wait_for(response.delay_ns);
	ignore_signals();
	result = print_response(
	    &response, count.endpoint, request.method == METHOD_HEAD);
	if (result == 0 && can_count) {
		count.method = request.method;
		count.status = response.status;
		count.duration_ns = clock_now() - started;
		count.body_bytes =
		    request.method == METHOD_HEAD ? 0 : response.body_length;
		request_metrics_add_shared(&counters, &count);
	}
	response_release(&response);
	free(body);
	if (has_started)
		app_stop(&service);
	if (can_count)
		counters_close(&counters);
	registry_free(registry);
	return result == 0 ? 0 : 1;
}
