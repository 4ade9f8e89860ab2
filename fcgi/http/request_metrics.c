/*
 * From an answered request to its cells: one in http_requests_total, the
 * response's bytes, and a bucket and a sum for each of two histograms.
 */
#include "http/request_metrics.h"

#include "metrics/registry.h"
#include "http/router.h"

struct store_catalog *
counters_catalog(void)
{
	static const char *endpoints[ENDPOINT_COUNT];
	static const char *methods[METHOD_COUNT];

	for (int i = 0; i < ENDPOINT_COUNT; i++)
		endpoints[i] = router_endpoint_name(i);
	for (int i = 0; i < METHOD_COUNT; i++)
		methods[i] = request_method_name((enum method)i);
	return catalog_new(endpoints, ENDPOINT_COUNT, methods, METHOD_COUNT);
}

void
counters_declare(struct store *store)
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
					store_key_cell(
					    store, endpoint, method, codes[i]);
	store_key_cell(store, ENDPOINT_OTHER, METHOD_GET, 404);
}

static void
count(struct store *store, unsigned slot,
    const struct counters_request *request,
    void (*add)(_Atomic uint64_t *, size_t, uint64_t))
{
	_Atomic uint64_t *cells = store_cells(store, slot);
	unsigned endpoint = (unsigned)request->endpoint;
	size_t duration = catalog_duration_cell(endpoint);

	add(cells,
	    store_key_cell(
		store, endpoint, request->method, (unsigned)request->status),
	    1);
	add(cells, catalog_size_cell(endpoint), request->body_bytes);
	add(cells, catalog_bucket(duration, request->duration_ns), 1);
	add(cells, duration, (uint64_t)request->duration_ns);
	if (request->queue_ns >= 0) {
		add(cells, catalog_bucket(CATALOG_QUEUE, request->queue_ns), 1);
		add(cells, CATALOG_QUEUE, (uint64_t)request->queue_ns);
	}
}

void
counters_count(
    struct store *store, unsigned slot, const struct counters_request *request)
{
	if (request->endpoint >= 0)
		count(store, slot, request, store_add);
}

void
counters_count_shared(
    struct store *store, const struct counters_request *request)
{
	if (request->endpoint >= 0)
		count(store, STORE_CGI, request, store_add_shared);
}
