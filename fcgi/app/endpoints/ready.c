/*
 * GET /ready: whether to send this pool more requests (readiness probe).
 */
#include "app/app.h"
#include "metrics/counters.h"
#include "http/router.h"
#include "service.h"

void
endpoint_ready(const struct request *request, struct response *response)
{
	const struct service *service = request->service;
	char reason[sizeof(service->start_failure)] = "";

	if (scoreboard_entry(&service->counters->scoreboard, SLOT_MASTER)
		->draining == SCOREBOARD_DRAINS)
		response_problem(response, 503, "The pool is draining.");
	else if (service->start_failure[0])
		response_problem(response, 503,
		    "The application cannot start: %s", service->start_failure);
	else if (!app_ready(service, reason, sizeof(reason)))
		response_problem(response, 503, "%s",
		    reason[0] ? reason : "The application is not ready.");
	else
		response_text(response, 200, "{\"ready\": true}");
}
