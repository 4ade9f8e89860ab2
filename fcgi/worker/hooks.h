#ifndef HOOKS_H
#define HOOKS_H

/*
 * The application's hooks (app/app.h) around the life of a process that
 * serves requests.
 */

#include <stdbool.h>

#include "worker/worker.h"

/*
 * Start the application. If that fails, log it and write the reason to
 * service->start_failure. Returns whether it has started.
 */
bool hooks_start(struct service *service);

/*
 * Answer a request while the application has not started: routes with the flag
 * ALWAYS as usual, all others with a 503. Returns the endpoint to count it
 * under.
 */
int hooks_dispatch_unready(struct request *request, struct response *response);

/*
 * Serve as a worker: start the application, call run, and stop the application.
 * If the application does not start, answer with 503 for config->retry_ns.
 * service is this process's own copy of config->service. Returns an enum
 * worker_exit for exit().
 */
int hooks_run_worker(struct worker_config *config, struct service *service,
    int (*run)(const struct worker_config *));

#endif
