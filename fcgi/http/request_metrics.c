/*
 * Counts an answered request: in http_requests_total, in the bytes of
 * responses, and in two histograms, which may keep it as an exemplar.
 */
#include "http/request_metrics.h"

#include "metrics/native.h"
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

typedef void adder(_Atomic uint64_t *, size_t, uint64_t);

/*
 * Count a time in a histogram. The buckets without cells are for an older
 * version, which may take over the file again.
 */
static inline __attribute__((always_inline)) void
observe(struct counters *counters, unsigned slot,
    const struct native_place *place, int64_t ns,
    const struct request_sample *request, adder *add)
{
	_Atomic uint64_t *values = counters_values(counters, slot);
	size_t number = registry_bucket_of(ns);
	size_t bucket = place->first + 1 + number;

	add(values, native_find(counters, place, number, ns), 1);
	/* Whoever sees the second count sees the first (native_adopt()). */
	atomic_thread_fence(memory_order_release);
	add(values, bucket, 1);
	add(values, place->first, (uint64_t)ns);
	exemplars_record(&counters->exemplars, slot, bucket, request->trace_id,
	    (uint64_t)ns, request->ended_ns);
}

/* These are inlined, like observe(), so that add is no call by a pointer. */
static inline __attribute__((always_inline)) void
count_queue(struct counters *counters, unsigned slot,
    const struct request_sample *request, adder *add)
{
	const struct native_place queue = {
	    REGISTRY_CELLS_QUEUE, ENDPOINT_COUNT - 1, REGISTRY_QUEUE};

	if (request->queue_ns >= 0)
		observe(
		    counters, slot, &queue, request->queue_ns, request, add);
}

static inline __attribute__((always_inline)) void
count(struct counters *counters, unsigned slot,
    const struct request_sample *request, adder *add)
{
	_Atomic uint64_t *values = counters_values(counters, slot);
	unsigned endpoint = (unsigned)request->endpoint;
	const struct native_place duration = {REGISTRY_CELLS_DURATION, endpoint,
	    registry_endpoint_value(endpoint, REGISTRY_ENDPOINT_DURATION)};

	add(values,
	    counters_find_value(
		counters, endpoint, request->method, (unsigned)request->status),
	    1);
	add(values, registry_endpoint_value(endpoint, REGISTRY_ENDPOINT_SIZE),
	    request->body_bytes);
	observe(counters, slot, &duration, request->duration_ns, request, add);
	count_queue(counters, slot, request, add);
}

void
request_metrics_add(struct counters *counters, unsigned slot,
    const struct request_sample *request)
{
	if (request->endpoint >= 0)
		count(counters, slot, request, counters_add);
}

void
request_metrics_add_queue(struct counters *counters, unsigned slot,
    const struct request_sample *request)
{
	if (request->endpoint >= 0)
		count_queue(counters, slot, request, counters_add);
}

void
request_metrics_add_shared(
    struct counters *counters, const struct request_sample *request)
{
	if (request->endpoint >= 0)
		count(counters, SLOT_CGI, request, counters_add_shared);
}
