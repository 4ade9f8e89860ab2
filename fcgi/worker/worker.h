#ifndef WORKER_H
#define WORKER_H

#include "worker/channel.h"
#include "http/request.h"
#include "http/response.h"
#include "service.h"

/* How a worker's process ends where no signal ends it. */
enum worker_exit {
	WORKER_DRAINED = 0,
	WORKER_FAILED = 1,
	WORKER_RECYCLED = 3, /* had served --max-requests */
};

/* What a worker is told. */
struct worker_config {
	const struct service *service;
	int listen_fd;
	unsigned slot; /* in the counter file */
	/* All workers', by slot: who may be given connections. */
	const struct channel *channels;
	unsigned worker_count; /* 0: none are given */
	long max_requests;     /* 0: no end */
	/* Answers a request; returns the endpoint to count it under. */
	int (*dispatch)(struct request *, struct response *);
	/* Called about once a second, with context; NULL: nothing is. */
	void (*each_second)(void *context);
	void *context;
	int writable_fd; /* a file that the process may cut; -1: none */
};

/*
 * Serve until TERM or QUIT (drain), INT (leave at once) or max_requests. To be
 * called in a process of its own, with these signals blocked. Returns an
 * enum worker_exit for exit().
 */
int worker_run(const struct worker_config *config);

#endif
