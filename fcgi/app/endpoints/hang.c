/*
 * POST /hang: never answers, to show how the master kills a worker that exceeds
 * --request-timeout.
 */
#include <unistd.h>

#include "base/log.h"
#include "http/router.h"

void
endpoint_hang(const struct request *request, struct response *response)
{
	(void)response;
	LOG(LOG_WARNING, "hanging on request",
	    LOG_STRING("request_id", request->id));
	for (;;)
		pause();
}
