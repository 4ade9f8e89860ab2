#ifndef METRICS_PROCESS_H
#define METRICS_PROCESS_H

#include "http/request.h"
#include "http/response.h"

/*
 * Answer a request on the metrics socket: GET /metrics, with what nginx has
 * answered by itself counted first. Returns ENDPOINT_UNCOUNTED.
 */
int metrics_process_dispatch(
    struct request *request, struct response *response);

#endif
