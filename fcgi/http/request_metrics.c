/*
 * Counts an answered request: in http_requests_total, in the bytes of
 * responses, and in two histograms.
 */
#include "http/request_metrics.h"

#include "metrics/registry.h"
#include "http/router.h"

struct registry *
request_metrics_registry(void)
{
	static const char *endpoints[ENDPOINT_COUNT];
	static const char *methods[METHOD_COUNT];

	for (int i = 0; i < ENDPOINT_COUNT; i++)
		endpoints[i] = router_endpoint_name(i);
	for (int i = 0; i < METHOD_COUNT; i++)
		methods[i] = request_method_name((enum method)i);
	return registry_new(endpoints, ENDPOINT_COUNT, methods, METHOD_COUNT);
}

void
request_metrics_declare(struct counters *counters)
{
	static const unsigned codes[] = {200, 500, 502, 503, 504};

	for (unsigned endpoint = 0; endpoint < ENDPOINT_OTHER; endpoint++)
		for (unsigned method = 0; method < METHOD_OTHER; method++)
			for (size_t i = 0; i < sizeof(codes) / sizeof(*codes);
			     i++)
				if (method != METHOD_HEAD &&
				    method != METHOD_OPTIONS &&
				    router_routes[endpoint].methods &
					1u << method)
					counters_find_value(counters, endpoint,
					    method, codes[i]);
	counters_find_value(counters, ENDPOINT_OTHER, METHOD_GET, 404);
}

static void
count(struct counters *counters, unsigned slot,
    const struct request_sample *request,
    void (*add)(_Atomic uint64_t *, size_t, uint64_t))
{
	_Atomic uint64_t *values = counters_values(counters, slot);
	unsigned endpoint = (unsigned)request->endpoint;
	size_t duration =
	    registry_endpoint_value(endpoint, REGISTRY_ENDPOINT_DURATION);

	add(values,
	    counters_find_value(
		counters, endpoint, request->method, (unsigned)request->status),
	    1);
	add(values, registry_endpoint_value(endpoint, REGISTRY_ENDPOINT_SIZE),
	    request->body_bytes);
	add(values, registry_bucket(duration, request->duration_ns), 1);
	add(values, duration, (uint64_t)request->duration_ns);
	if (request->queue_ns >= 0) {
		add(values, registry_bucket(REGISTRY_QUEUE, request->queue_ns),
		    1);
		add(values, REGISTRY_QUEUE, (uint64_t)request->queue_ns);
	}
}

void
request_metrics_add(struct counters *counters, unsigned slot,
    const struct request_sample *request)
{
	if (request->endpoint >= 0)
		count(counters, slot, request, counters_add);
}

void
request_metrics_add_shared(
    struct counters *counters, const struct request_sample *request)
{
	if (request->endpoint >= 0)
		count(counters, SLOT_CGI, request, counters_add_shared);
}
