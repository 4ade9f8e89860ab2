#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdint.h>

#include "metrics/shm.h"
#include "http/request.h"

/*
 * What HTTP and the counter file have to do with each other.
 */

/* One answered request. */
struct counters_request {
	int endpoint; /* ENDPOINT_UNCOUNTED: not counted at all */
	enum method method;
	int status;
	int64_t duration_ns;
	int64_t queue_ns; /* -1: not known */
	uint64_t body_bytes;
};

/* The catalog for the routes there are; NULL where memory is short. */
struct store_catalog *counters_catalog(void);

/*
 * Enter the combinations that any service will see, so that they exist as 0
 * and the first error is an increase.
 */
void counters_declare(struct store *store);

/* Count an answered request in a slot that only the caller writes. */
void counters_count(
    struct store *store, unsigned slot, const struct counters_request *request);

/* The same in STORE_CGI, which several processes write. */
void counters_count_shared(
    struct store *store, const struct counters_request *request);

#endif
