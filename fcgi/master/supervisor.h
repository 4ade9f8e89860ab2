#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "metrics/counters.h"
#include "options.h"

/*
 * Run the service: open the sockets and the counter file, and keep two
 * processes running, the master (pool.h) and the metrics process. Returns the
 * exit status: the master's, or 1 where nothing could be started, logged. argv
 * is that of main().
 *
 * TERM, QUIT, INT and HUP are passed on to the master. A master that is killed
 * is replaced at once: the sockets stay open meanwhile, so that requests wait
 * in the listen backlog and are not refused. If the program's file has changed
 * when HUP comes, this process executes it instead (upgrade.h).
 */
int supervisor_run(const struct options *options,
    const struct registry *registry, char *const argv[]);

#endif
