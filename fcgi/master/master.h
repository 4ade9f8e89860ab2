#ifndef MASTER_H
#define MASTER_H

#include "master/listener.h"
#include "options.h"
#include "service.h"

/* What the supervisor hands down to the master. */
struct master_config {
	struct service *service;
	unsigned worker_count;
	int listen_fd;
	int load_orders; /* load_manager.h */
	struct listener_file socket;
};

/* How many workers to run: --workers, or the CPUs allowed, at least 2. */
unsigned master_worker_count(const struct options *options);

/*
 * Run the master: fork the workers, and watch over them until TERM or QUIT
 * (drain), or INT (now). HUP replaces the workers one after another. To be
 * called in a process of its own, with these signals blocked. Returns the exit
 * status: 0 after an ordered end, 1 where it could not start or gave up,
 * logged.
 */
int master_run(const struct master_config *config);

#endif
