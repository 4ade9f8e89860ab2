#ifndef APP_H
#define APP_H

/*
 * Hooks: what the application does besides answering requests. Workers of both
 * kinds call them, and plain CGI. Unit tests can call them, too. A hook must
 * return: a worker whose code calls exit() has crashed.
 */

#include <stdbool.h>
#include <stddef.h>

struct service;

/*
 * The application's own state, such as a connection to a database. The
 * application defines this struct, and app_start() sets service->app to it.
 * Handlers get it as request->service->app.
 */
struct app;

/*
 * Start. Called once in each worker process, before its sandbox and before its
 * first request. It may block, but requests wait meanwhile.
 *
 * Returns 0, or a negative errno with a sentence for the operator in reason
 * ("": the text of the errno). A positive errno counts as its negative. After a
 * failure the process answers with 503, ends after a while, and another process
 * tries again, for ever.
 */
int app_start(struct service *service, char *reason, size_t size);

/*
 * Whether this process can serve requests. Called for each GET /ready, in the
 * process that answers it, after app_start(). If not, write a sentence for the
 * operator to reason: it becomes the detail of the 503.
 */
bool app_ready(const struct service *service, char *reason, size_t size);

/*
 * Stop. Called when a worker leaves: after its last request, and only if
 * app_start() returned 0. A worker that is killed does not call it.
 */
void app_stop(struct service *service);

#endif
