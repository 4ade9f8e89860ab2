#ifndef NONBLOCKING_WORKER_H
#define NONBLOCKING_WORKER_H

#include "worker/worker.h"

/*
 * An event loop over all connections that nginx keeps to this process. It
 * serves one request after another, so its handlers must not block.
 *
 * Serve until TERM or QUIT (drain), INT (end at once) or max_requests. To be
 * called in a process of its own, with these signals blocked. Returns an
 * enum worker_exit for exit().
 */
int nonblocking_worker_run(const struct worker_config *config);

#endif
