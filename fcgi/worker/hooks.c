#include "worker/hooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "base/log.h"
#include "http/router.h"
#include "metrics/counters.h"
#include "worker/blocking_worker.h"
#include "worker/stack_log.h"

bool
hooks_start(struct service *service)
{
	char *reason = service->start_failure;
	size_t size = sizeof(service->start_failure);
	int error;

	reason[0] = '\0';
	error = app_start(service, reason, size);
	if (error == 0) {
		reason[0] = '\0';
		return true;
	}
	if (!reason[0])
		snprintf(reason, size, "%s", strerror(abs(error)));
	LOG(LOG_ERROR, "the application cannot start",
	    LOG_STRING("reason", reason));
	return false;
}

int
hooks_dispatch_unready(struct request *request, struct response *response)
{
	int endpoint = router_find(request->method, request->path);

	if (endpoint == ENDPOINT_OTHER ||
	    (router_routes[endpoint].flags & ROUTE_ALWAYS))
		return router_dispatch(request, response);
	response_problem(response, 503,
	    "The application has not started. Try again in a second.");
	response_header(response, "Retry-After", "1");
	return endpoint;
}

int
hooks_run_worker(struct worker_config *config, struct service *service,
    int (*run)(const struct worker_config *))
{
	struct scoreboard_entry *entry =
	    scoreboard_entry(&service->counters->scoreboard, config->slot);
	int status;

	stack_log_open(entry);
	config->service = service;
	if (!hooks_start(service)) {
		entry->unready = SCOREBOARD_NOT_STARTED;
		config->dispatch = hooks_dispatch_unready;
		return blocking_worker_run_unready(config);
	}
	entry->unready = SCOREBOARD_STARTED;
	status = run(config);
	app_stop(service);
	return status;
}
