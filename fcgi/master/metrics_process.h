#ifndef METRICS_PROCESS_H
#define METRICS_PROCESS_H

#include "http/request.h"
#include "http/response.h"
#include "metrics/exposition.h"
#include "service.h"

/*
 * Answer scrapes on this socket until TERM or INT, and count what nginx has
 * answered by itself. To be called in a process of its own. Returns the exit
 * status.
 */
int metrics_process_run(const struct service *service, int listen_fd);

/*
 * Answer a request on the metrics socket: GET /metrics, with what nginx has
 * answered by itself counted first. Returns ENDPOINT_UNCOUNTED.
 */
int metrics_process_dispatch(
    struct request *request, struct response *response);

/*
 * The format to answer an Accept header with: the one of the highest quality,
 * OpenMetrics where both are equal, text where neither is named.
 */
enum exposition_format metrics_process_negotiate(const char *accept);

#endif
