#ifndef GATEWAY_LOG_H
#define GATEWAY_LOG_H

/*
 * Requests that nginx answered by itself: 400, 413, 429, 499, 502 and others.
 * No worker sees them. nginx appends a line for each to a file (the log_format
 * "gateway" in nginx.conf), and the metrics process counts the lines.
 *
 * A file, because no line gets lost in it: not in a burst (a datagram socket
 * holds 10, net.unix.max_dgram_qlen), and not while the pool is dead (it is
 * read when the pool is back). What was counted is cut out of the file, so it
 * takes no space, and reads as zeros.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "http/request_metrics.h"
#include "metrics/counters.h"

struct gateway_log {
	int fd; /* -1: none */
	struct counters *counters;
};

/*
 * Open the file, or make it, beside the metrics socket: its path and ".log",
 * as scripts/nginx-conf has it. Returns 0 or a negative errno, logged.
 */
int gateway_log_open(struct gateway_log *log, const char *metrics_socket,
    struct counters *counters);

/*
 * Count what nginx has written since the last call, in SLOT_METRICS. A
 * process that is killed in the middle counts one line twice at most. Lines
 * that are no such line are left out.
 */
void gateway_log_count(const struct gateway_log *log);

/*
 * Read a line such as "502 2.083 81 POST /hang?x=1 HTTP/1.1": status, seconds,
 * bytes of the body, the request line, of which there may be nothing. Returns
 * whether it is one.
 */
bool gateway_log_parse(const char *line, struct request_sample *request);

#endif
