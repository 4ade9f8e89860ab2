/*
 * The metrics process serves GET /metrics on a socket of its own, so a scrape
 * is answered even if every worker is busy, stopped or dead.
 */
#include "master/metrics_process.h"

#include <stdlib.h>
#include <string.h>

#include "master/gateway_log.h"
#include "metrics/counters_guard.h"
#include "http/media_type.h"
#include "http/router.h"
#include "service.h"
#include "worker/nonblocking_worker.h"

enum exposition_format
metrics_process_negotiate(const char *accept)
{
	/* In the order of preference. */
	static const struct media_type types[] = {
	    {"application/vnd.google.protobuf",
		{"proto=io.prometheus.client.MetricFamily",
		    "encoding=delimited"}},
	    {"application/openmetrics-text", {"version=1.0.0"}},
	    {"text/plain", {"version=0.0.4"}},
	};
	static const enum exposition_format formats[] = {
	    EXPOSITION_PROTOBUF, EXPOSITION_OPENMETRICS, EXPOSITION_TEXT};
	int choice =
	    media_type_choose(accept, types, sizeof(types) / sizeof(types[0]));

	return choice < 0 ? EXPOSITION_TEXT : formats[choice];
}

static void
answer_metrics(const struct request *request, struct response *response)
{
	const struct exposition_source source = {
	    .counters = request->service->counters,
	    .alive = true,
	    .is_scrape = true,
	    .backlog_fd = request->service->backlog_fd,
	    .root = "",
	};
	enum exposition_format format =
	    metrics_process_negotiate(request->accept);
	uint64_t mark = counters_guard_mark();
	size_t size;
	char *text;

	if (request->service->gateway_log)
		gateway_log_count(request->service->gateway_log);
	text = exposition_render(&source, format, &size);
	if (text && (!mark || mark != counters_guard_mark())) {
		free(text);
		response_problem(response, 503,
		    "The counter file was truncated and its counts are being "
		    "put back; ask again.");
	} else if (text)
		response_memory(
		    response, 200, exposition_content_type(format), text, size);
	else
		response_problem(response, 500, "Out of memory.");
}

int
metrics_process_dispatch(struct request *request, struct response *response)
{
	if (strcmp(request->path, "/metrics") == 0 &&
	    (request->method == METHOD_GET || request->method == METHOD_HEAD))
		answer_metrics(request, response);
	else
		response_problem(response, 404, "Only GET /metrics is here.");
	return ENDPOINT_UNCOUNTED;
}

static void
count_gateway_log(void *log)
{
	gateway_log_count(log);
}

int
metrics_process_run(const struct service *service, int listen_fd)
{
	struct gateway_log log = *service->gateway_log;
	const struct worker_config config = {
	    .service = service,
	    .listen_fd = listen_fd,
	    .slot = SLOT_METRICS,
	    .dispatch = metrics_process_dispatch,
	    .each_second = count_gateway_log,
	    .context = &log,
	    .writable_fd = log.fd,
	};
	int status = nonblocking_worker_run(&config);

	gateway_log_count(&log);
	return status;
}
