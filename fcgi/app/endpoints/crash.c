/*
 * POST /crash: aborts the worker that serves it, to show how the pool recovers.
 * nginx answers 502.
 */
#include <stdlib.h>

#include "base/log.h"
#include "http/router.h"

void
endpoint_crash(const struct request *request, struct response *response)
{
	(void)response;
	LOG(LOG_WARNING, "crashing on request",
	    LOG_STRING("request_id", request->id));
	abort();
}
