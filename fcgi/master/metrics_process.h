#ifndef OBSERVER_H
#define OBSERVER_H

#include "http/request.h"
#include "http/response.h"

/*
 * Answer a request on the metrics socket: GET /metrics, with what nginx has
 * answered by itself counted first. Returns ENDPOINT_UNCOUNTED.
 */
int observer_dispatch(struct request *request, struct response *response);

#endif
