#ifndef GATEWAY_LOG_H
#define GATEWAY_LOG_H

/*
 * Counts requests that nginx answered without a worker: static files, 400, 413,
 * 429, 499, 502 and others, and those that it answered with a file
 * (http/response_file.h). nginx appends a line for each of them to a file
 * (log_format gateway in nginx/nginx.conf.template), and the metrics process
 * counts the lines.
 *
 * A file does not lose lines. A datagram socket would lose them in a burst,
 * because it holds 10 messages (net.unix.max_dgram_qlen), and while no metrics
 * process runs. Counted lines are replaced by a hole in the file, which takes
 * no disk space and reads as zeros.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "http/request_metrics.h"
#include "metrics/counters.h"

struct gateway_log {
	int fd;            /* -1: there is no file */
	uint64_t identity; /* of the file; 0: unknown */
	struct counters *counters;
};

/*
 * Open or create the file. Its path is that of the metrics socket with ".log"
 * appended, as in scripts/nginx-conf. Returns 0 or a negative errno, which is
 * logged.
 */
int gateway_log_open(struct gateway_log *log, const char *metrics_socket,
    struct counters *counters);

/*
 * Count the lines that nginx has written since the last call, in SLOT_METRICS.
 * The time of their exemplars is now, since the lines do not have a time.
 * If the process is killed during the call, at most one line is counted twice.
 * Invalid lines are skipped.
 */
void gateway_log_count(const struct gateway_log *log);

/*
 * Parse a line such as "502 2.083 81 POST /hang?x=1 HTTP/1.1 4bf9...": the
 * status, the seconds (of a file: until the worker's answer), the bytes of the
 * body, the request line, which can be empty, and the trace id, which older
 * configurations of nginx do not write.
 * nginx has the status 000 if it closed the connection without an answer. This
 * becomes 400 without a request line, and otherwise 503. Returns whether the
 * line is valid.
 */
bool gateway_log_parse(const char *line, struct request_sample *request);

#endif
