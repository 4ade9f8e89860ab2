#ifndef EXCHANGE_H
#define EXCHANGE_H

/*
 * One request and its response, from the connection to the counters.
 */

#include <stdbool.h>
#include <stdint.h>

#include "fastcgi/connection.h"
#include "http/request_metrics.h"
#include "worker/worker.h"

struct exchange {
	struct response response;
	struct request_sample sample; /* to be counted */
	int64_t started;              /* CLOCK_MONOTONIC ns */
	int64_t started_wall;         /* CLOCK_REALTIME ns; 0: unknown */
	bool is_head;
	pid_t nginx; /* the process that sent the request; 0: unknown */
};

/*
 * Dispatch the request that connection_read() has found. The handler fills in
 * exchange->response. A request that has waited for longer than queue_max_ns
 * (INT64_MAX: no limit) reaches no handler: it gets a 503. Neither does one
 * whose body was refused: it gets a 413, or a 503 if there was no memory.
 */
void exchange_begin(const struct worker *worker,
    const struct connection *connection, struct exchange *exchange,
    int64_t queue_max_ns);

/*
 * The response is to be sent later (response_delay()). Until exchange_resume()
 * this process works on other requests.
 */
void exchange_suspend(const struct worker *worker);
void exchange_resume(
    const struct worker *worker, const struct connection *connection);

/*
 * Send the response, and only then count the request. Returns whether the
 * connection can be used for another request; otherwise it is to be closed.
 */
bool exchange_end(struct worker *worker, struct connection *connection,
    struct exchange *exchange);

/*
 * The endpoint of the request that an entry of the scoreboard shows, or "" if
 * it shows none. The process of the entry may have written anything. A handler
 * of a signal may call this.
 */
const char *exchange_endpoint_name(struct scoreboard_entry *entry);

#endif
