/*
 * GET /ready: whether to send this pool more requests (readiness probe).
 */
#include "metrics/shm.h"
#include "http/router.h"
#include "service.h"

void
endpoint_ready(const struct request *request, struct response *response)
{
	if (store_state(request->service->store, STORE_MASTER)->draining)
		response_problem(response, 503, "The pool is draining.");
	else
		response_text(response, 200, "{\"ready\": true}");
}
