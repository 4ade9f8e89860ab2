#ifndef LOAD_MANAGER_H
#define LOAD_MANAGER_H

/*
 * The load of /riseload: workers ask for it, the master runs it, one at a time.
 *
 * A ticket in the master's state tells whether there is one. A worker puts a
 * new ticket there, if there is none, and sends an order with it over a pipe.
 * The master takes the ticket away when that very load has ended. So a load
 * that ends just as another is asked for does not take away the other's ticket.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "load/load.h"
#include "metrics/counters.h"
#include "options.h"

/* What a worker writes into the pipe, in one write. */
struct load_order {
	int64_t ticket;   /* which load */
	struct load load; /* with seconds 0: end it */
};

struct load_manager {
	const struct options *options;
	const struct counters *counters;
	int orders;           /* the pipe's end to read, non-blocking */
	pid_t pid;            /* of the load that runs; 0: none */
	int64_t ticket;       /* its ticket */
	int64_t unordered;    /* a ticket that no order came for yet, */
	int64_t unordered_at; /* seen first then, CLOCK_MONOTONIC ns */
};

/* Read an order and carry it out. */
void load_manager_order(struct load_manager *manager);

/* Note that the load's process, manager->pid, has ended. */
void load_manager_ended(struct load_manager *manager, int status);

/* Take back a ticket whose worker died before it could send its order. */
void load_manager_check(struct load_manager *manager, int64_t now);

/* End the load, if there is one. */
void load_manager_stop(struct load_manager *manager);

/*
 * For workers. Claim the load and send an order for it. Returns 0, -EBUSY where
 * there is a load, or -EAGAIN where the master does not read.
 */
int load_manager_ask(
    const struct counters *counters, int orders, const struct load *load);

/* For workers. Ask for the load's end. Returns 0, -ENOENT for none, -EAGAIN. */
int load_manager_ask_end(const struct counters *counters, int orders);

#endif
