#ifndef REQUEST_METRICS_H
#define REQUEST_METRICS_H

#include <stdint.h>

#include "metrics/counters.h"
#include "http/request.h"

/* How requests are counted in the counter file. */

/* One answered request. */
struct request_sample {
	int endpoint; /* ENDPOINT_UNCOUNTED: not counted at all */
	enum method method;
	int status;
	int64_t duration_ns;
	int64_t queue_ns; /* from nginx's receipt to the start; -1: unknown */
	uint64_t body_bytes;
	int64_t ended_ns; /* CLOCK_REALTIME; 0: unknown, so no exemplar */
	char trace_id[EXEMPLARS_ID_SIZE]; /* any other text: no exemplar */
};

/* Make the registry for all routes; NULL where memory is short. */
struct registry *request_metrics_registry(void);

/*
 * Add the label sets that every service will need, with the count 0. So the
 * first error is an increase, which an alert can see.
 */
void request_metrics_declare(struct counters *counters);

/* Count an answered request in a slot that only the caller writes. */
void request_metrics_add(struct counters *counters, unsigned slot,
    const struct request_sample *request);

/* The same in SLOT_CGI, which several processes write. */
void request_metrics_add_shared(
    struct counters *counters, const struct request_sample *request);

/* Count only how long it waited. Its other numbers are counted elsewhere. */
void request_metrics_add_queue(struct counters *counters, unsigned slot,
    const struct request_sample *request);

#endif
