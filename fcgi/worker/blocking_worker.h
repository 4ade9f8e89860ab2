#ifndef BLOCKING_WORKER_H
#define BLOCKING_WORKER_H

#include "worker/worker.h"

/*
 * One request at a time, each on a connection of its own. The kernel gives the
 * next connection to a worker that is free, so a handler that blocks holds up
 * nobody while another worker is free.
 *
 * Serve until TERM or QUIT (after the request under way), INT (at once) or
 * max_requests. To be called in a process of its own, with these signals
 * blocked. Returns an enum worker_exit for exit().
 */
int blocking_worker_run(const struct worker_config *config);

/*
 * The same for a worker of either kind whose application has not started. It
 * accepts requests only while no other worker of its kind serves, and closes
 * the connections that others pass to it. Returns WORKER_NOT_STARTED after
 * config->retry_ns.
 */
int blocking_worker_run_unready(const struct worker_config *config);

#endif
