#ifndef WORKER_H
#define WORKER_H

/*
 * What both kinds of worker have in common: nonblocking_worker.h and
 * blocking_worker.h.
 */

#include <stdbool.h>

#include "http/request.h"
#include "http/response.h"
#include "scoreboard.h"
#include "service.h"
#include "worker/channel.h"
#include "worker/life.h"

/* How a worker's process ends where no signal ends it. */
enum worker_exit {
	WORKER_DRAINED = 0,
	WORKER_FAILED = 1,
	WORKER_RECYCLED = 3,    /* had served --max-requests */
	WORKER_NOT_STARTED = 4, /* app_start() had failed */
};

/* What a worker is told. */
struct worker_config {
	const struct service *service;
	int listen_fd;
	unsigned slot; /* in the scoreboard and the counter file */
	/* All nonblocking workers', by slot: they pass connections. */
	const struct channel *channels;
	unsigned worker_count; /* 0: no connection is passed */
	long max_requests;     /* 0: no end */
	/* How long to wait after a failed app_start() before the next. */
	int64_t retry_ns;
	/* Answers a request; returns the endpoint to count it under. */
	int (*dispatch)(struct request *, struct response *);
	/* Called about once a second, with context; NULL: nothing is. */
	void (*each_second)(void *context);
	void *context;
	int writable_fd; /* a file that the process may cut; -1: none */
};

struct worker {
	const struct worker_config *config;
	struct scoreboard_entry *entry;
	_Atomic uint64_t *busy_time; /* busy_time_place() */
	struct life life;
	int signal_fd;  /* TERM, QUIT and INT, which are blocked */
	int64_t served; /* requests */
};

/*
 * Prepare the process: signals, libfcgi, for so many connections at once.
 * Returns 0 or a negative errno.
 */
int worker_open(struct worker *worker, const struct worker_config *config,
    unsigned connections_max);

/* The last step before the first request: enter the sandbox. */
void worker_enter_sandbox(const struct worker *worker);

/* Read one signal and do what it asks: leave, or end at once. */
void worker_read_signal(struct worker *worker);

/* Leave where --max-requests have been served. */
void worker_check_max_requests(struct worker *worker);

/* Whether the whole pool is leaving, and not only this worker. */
bool worker_pool_is_leaving(const struct worker *worker);

/*
 * Whether it is leaving for good: then this worker serves what waits in the
 * listen backlog. Otherwise a new program will.
 */
bool worker_pool_is_draining(const struct worker *worker);

#endif
