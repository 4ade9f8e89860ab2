#ifndef POOL_H
#define POOL_H

/*
 * The workers of both kinds: started, replaced when they end, killed over
 * their deadline.
 */

#include <stdbool.h>
#include <stdint.h>

#include "master/child.h"
#include "options.h"
#include "scoreboard.h"

enum { POOL_NONBLOCKING_MAX = 256, POOL_BLOCKING_MAX = 512 };

enum { POOL_MAX = POOL_NONBLOCKING_MAX + POOL_BLOCKING_MAX };

enum pool_state {
	POOL_STEADY,
	POOL_REPLACING, /* HUP: workers are replaced one after another */
	POOL_DRAINING,  /* workers leave and are not replaced */
	POOL_FAILED     /* too many died before they served a request */
};

/* The owner fills in the first part; the rest begins with all zeros. */
struct pool {
	struct counters *counters;
	unsigned nonblocking_count;
	unsigned blocking_count;
	int64_t request_timeout_ns;
	int64_t slow_ns; /* log the stack of a longer request; 0: never */
	/* Serves as a worker, in a process of its own; does not return. */
	void (*run)(void *context, const struct child *child);
	void *context;

	enum pool_state state;
	struct child workers[POOL_MAX]; /* the blocking ones come last */
	unsigned replace_next;          /* POOL_REPLACING: this one, */
	pid_t replaced_pid;             /* when this process has gone */
	int64_t failing_since;          /* workers died that had not served: */
	unsigned failures;              /* so many of them */
};

/*
 * How many workers of each kind these options ask for. By default one
 * nonblocking worker for each CPU that the cgroup allows, at least 2, and four
 * blocking workers for each, at least 8: they mostly wait.
 */
unsigned pool_nonblocking_count(const struct options *options);
unsigned pool_blocking_count(const struct options *options);

/* Start all workers. */
void pool_start(struct pool *pool);

/* Whether the slot is a blocking worker's. */
bool pool_is_blocking(const struct pool *pool, unsigned slot);

/*
 * Note what waitpid() with WUNTRACED | WCONTINUED told of a worker. A process
 * that is no worker is passed over. May lead to POOL_FAILED, logged.
 */
void pool_reap(struct pool *pool, pid_t pid, int status);

/* To be called often: start what is due, kill what is over its deadline. */
void pool_tick(struct pool *pool, int64_t now);

/*
 * Replace the workers one after another, from the first. Does nothing while
 * the pool drains or has failed.
 */
void pool_replace(struct pool *pool);

/* Tell all workers to leave. The pool must not have failed. */
void pool_drain(struct pool *pool);

/* Whether any worker is left. */
bool pool_has_workers(const struct pool *pool);

/* Send a signal to all workers. */
void pool_kill(const struct pool *pool, int signal);

/* End all workers: ask, kill what is left after a second, and reap. */
void pool_end(struct pool *pool);

#endif
