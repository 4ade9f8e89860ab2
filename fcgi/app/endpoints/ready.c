/*
 * GET /ready: whether to send this pool more requests (readiness probe).
 */
#include "metrics/counters.h"
#include "http/router.h"
#include "service.h"

void
endpoint_ready(const struct request *request, struct response *response)
{
	if (scoreboard_entry(
		&request->service->counters->scoreboard, SLOT_MASTER)
		->draining)
		response_problem(response, 503, "The pool is draining.");
	else
		response_text(response, 200, "{\"ready\": true}");
}
