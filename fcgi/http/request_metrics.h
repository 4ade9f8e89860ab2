#ifndef REQUEST_METRICS_H
#define REQUEST_METRICS_H

#include <stdint.h>

#include "metrics/counters.h"
#include "http/request.h"

/*
 * What HTTP and the counter file have to do with each other.
 */

/* One answered request. */
struct request_sample {
	int endpoint; /* ENDPOINT_UNCOUNTED: not counted at all */
	enum method method;
	int status;
	int64_t duration_ns;
	int64_t queue_ns; /* -1: not known */
	uint64_t body_bytes;
};

/* The registry for the routes there are; NULL where memory is short. */
struct registry *request_metrics_registry(void);

/*
 * Enter the combinations that any service will see, so that they exist as 0
 * and the first error is an increase.
 */
void request_metrics_declare(struct counters *counters);

/* Count an answered request in a slot that only the caller writes. */
void request_metrics_add(struct counters *counters, unsigned slot,
    const struct request_sample *request);

/* The same in SLOT_CGI, which several processes write. */
void request_metrics_add_shared(
    struct counters *counters, const struct request_sample *request);

#endif
