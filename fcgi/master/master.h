#ifndef MASTER_H
#define MASTER_H

#include "master/sockets.h"
#include "service.h"

/* What the supervisor hands down to the master. */
struct master_config {
	struct service *service;
	unsigned nonblocking_count; /* workers */
	unsigned blocking_count;
	const struct sockets *sockets;
	int load_orders; /* load_manager.h */
};

/*
 * Run the master: start the workers, and replace what dies, until TERM or QUIT
 * (drain), or INT (end at once). HUP replaces the workers one after another.
 * USR2 from the supervisor drains and leaves the sockets to a new program. To
 * be called in a process of its own, with these signals blocked. Returns the
 * exit status: 0 after an ordered end, 1 where it could not start or gave up,
 * logged.
 */
int master_run(const struct master_config *config);

#endif
