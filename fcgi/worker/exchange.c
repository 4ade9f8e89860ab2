#include "worker/exchange.h"

#include <string.h>

#include "base/clock.h"
#include "http/cgi.h"
#include "http/router.h"
#include "metrics/busy_time.h"

/*
 * Show in the scoreboard that a request is under way, so that the master can
 * say which one it was when it has to kill this process.
 */
static void
show(const struct worker *worker, const struct request *request, int64_t now)
{
	struct scoreboard_entry *entry = worker->entry;
	size_t length = strnlen(request->id, sizeof(entry->request_id) - 1);

	memcpy(entry->request_id, request->id, length);
	entry->request_id[length] = '\0';
	length = strnlen(request->path, sizeof(entry->path) - 1);
	memcpy(entry->path, request->path, length);
	entry->path[length] = '\0';
	entry->method = (int32_t)request->method;
	busy_time_begin(entry, worker->busy_time, now);
}

const char *
exchange_endpoint_name(struct scoreboard_entry *entry)
{
	int method = entry->method;

	if (!entry->request_started)
		return "";
	if (method < 0 || method >= METHOD_COUNT)
		method = METHOD_OTHER;
	entry->path[sizeof(entry->path) - 1] = '\0';
	return router_endpoint_name(
	    router_find((enum method)method, entry->path));
}

static void
show_idle(const struct worker *worker, int64_t now)
{
	busy_time_end(worker->entry, worker->busy_time, now);
	worker->entry->request_id[0] = '\0'; /* the logger's, too */
}

static void
parse(const struct worker *worker, const struct connection *connection,
    struct request *request)
{
	cgi_parse(connection->fcgi.envp, request);
	request->service = worker->config->service;
	if (connection->body.bytes) {
		request->body = connection->body.bytes;
		request->body_length = connection->body.length;
	}
}

/* How long nginx has had the request, in ns; -1: nginx did not say. */
static int64_t
time_in_queue(const struct request *request, int64_t now_wall)
{
	int64_t waited = now_wall - request->received_ns;

	if (!request->received_ns)
		return -1;
	return waited > 0 ? waited : 0;
}

/*
 * Whether the request has waited for more than max_ns. The time before this
 * pool does not count: no worker was busy, but the program was replaced.
 */
static bool
has_waited(const struct worker *worker, int64_t queue_ns, int64_t max_ns)
{
	const struct counters *counters = worker->config->service->counters;
	const struct scoreboard_entry *pool =
	    scoreboard_entry(&counters->scoreboard, SLOT_MASTER);

	return queue_ns > max_ns && clock_boot() - pool->started > max_ns;
}

static int
refuse(const struct request *request, struct response *response,
    const char *reason)
{
	response_problem(response, 503, "%s", reason);
	response_header(response, "Retry-After", "1");
	return router_find(request->method, request->path);
}

/* Answer the request. Returns the endpoint under which to count it. */
static int
answer(const struct worker *worker, enum body_refusal refusal, bool is_overdue,
    struct request *request, struct response *response)
{
	if (is_overdue)
		return refuse(request, response,
		    "All workers are busy. The request waited for too long.");
	if (refusal == BODY_TOO_LARGE)
		return router_refuse_body(request, response);
	if (refusal == BODY_NO_MEMORY)
		return refuse(request, response,
		    "There is no memory for the body beside others.");
	return worker->config->dispatch(request, response);
}

void
exchange_begin(const struct worker *worker, const struct connection *connection,
    struct exchange *exchange, int64_t queue_max_ns)
{
	struct request_sample *sample = &exchange->sample;
	struct response *response = &exchange->response;
	struct request request;

	exchange->started = clock_now();
	parse(worker, connection, &request);
	exchange->is_head = request.method == METHOD_HEAD;
	exchange->nginx = request.nginx_pid;
	sample->method = request.method;
	exchange->started_wall = request.received_ns ? clock_wall() : 0;
	sample->queue_ns = time_in_queue(&request, exchange->started_wall);
	show(worker, &request, exchange->started);
	/* The request is gone when it is counted. */
	memcpy(sample->trace_id, worker->entry->request_id,
	    sizeof(sample->trace_id));
	response_init(response);
	response->request_id = request.id;
	sample->endpoint = answer(worker, connection->body.refusal,
	    has_waited(worker, sample->queue_ns, queue_max_ns), &request,
	    response);
}

void
exchange_suspend(const struct worker *worker)
{
	show_idle(worker, clock_now());
}

void
exchange_resume(
    const struct worker *worker, const struct connection *connection)
{
	struct request request;

	parse(worker, connection, &request);
	show(worker, &request, clock_now());
}

/*
 * Count the request. nginx logs a file that it sends, so that this is counted
 * (nginx/nginx.conf.template). Other servers have no such log.
 */
static void
count(
    const struct worker *worker, const struct exchange *exchange, bool is_file)
{
	const struct worker_config *config = worker->config;
	struct counters *counters = config->service->counters;

	if (is_file && exchange->nginx > 0)
		request_metrics_add_queue(
		    counters, config->slot, &exchange->sample);
	else
		request_metrics_add(counters, config->slot, &exchange->sample);
}

bool
exchange_end(struct worker *worker, struct connection *connection,
    struct exchange *exchange)
{
	struct response *response = &exchange->response;
	struct request_sample *sample = &exchange->sample;
	char head[CGI_HEAD_SIZE];
	size_t head_length = cgi_format_head(response, sample->endpoint, head);
	bool is_file;
	int64_t now;
	int result;

	sample->body_bytes = exchange->is_head ? 0 : response->body_length;
	result = connection_respond(
	    connection, head, head_length, response->body, sample->body_bytes);
	sample->status = response->status;
	now = clock_now();
	sample->duration_ns = now - exchange->started;
	sample->ended_ns = exchange->started_wall
			       ? exchange->started_wall + sample->duration_ns
			       : 0;
	is_file = response->is_file;
	response_release(response);
	show_idle(worker, now);
	if (result >= 0) {
		count(worker, exchange, is_file);
		worker->served++;
		atomic_store_explicit(&worker->entry->served, worker->served,
		    memory_order_relaxed);
	}
	return result == 0;
}
