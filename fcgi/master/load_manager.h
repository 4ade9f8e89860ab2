#ifndef LOAD_MANAGER_H
#define LOAD_MANAGER_H

/*
 * Runs the load of /riseload in a child process of the master. Workers order it
 * (load/order.h).
 */

#include <stdint.h>
#include <sys/types.h>

#include "load/load.h"
#include "metrics/counters.h"
#include "options.h"

struct load_manager {
	const struct options *options;
	const struct counters *counters;
	int orders;     /* read end of the pipe, non-blocking */
	pid_t pid;      /* of the running load; 0: none */
	int64_t ticket; /* of the running load */
	int64_t
	    unordered; /* a ticket for which no order has arrived; 0: none */
	int64_t unordered_at; /* when it was first seen, CLOCK_MONOTONIC ns */
};

/* Read an order from the pipe and carry it out. */
void load_manager_order(struct load_manager *manager);

/* Record that the load's process, manager->pid, has exited. */
void load_manager_ended(struct load_manager *manager, int status);

/*
 * Remove a ticket for which no order arrives within a second: its worker died
 * before it could send the order. now is CLOCK_MONOTONIC ns.
 */
void load_manager_check(struct load_manager *manager, int64_t now);

/* Kill the load, if one is running, and reap it. */
void load_manager_stop(struct load_manager *manager);

#endif
