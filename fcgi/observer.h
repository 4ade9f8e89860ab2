#ifndef OBSERVER_H
#define OBSERVER_H

#include "request.h"
#include "response.h"

/*
 * Answer a request on the metrics socket: /metrics, or the error page for a
 * request that nginx could not get answered (request->gateway_status), which
 * is counted under its own endpoint. Returns the endpoint to count it under.
 */
int observer_dispatch(struct request *request, struct response *response);

#endif
