#ifndef CHILD_H
#define CHILD_H

/*
 * A process that must always run: the master, the metrics process, a worker.
 * Its parent starts it, reaps it, starts it again, and kills it when it is
 * over its deadline.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "metrics/counters.h"

enum child_state {
	CHILD_ABSENT, /* no process; start_at says when to start one */
	CHILD_RUNNING,
	CHILD_SUSPENDED, /* by SIGSTOP */
	CHILD_KILLED     /* for its deadline; not reaped yet */
};

struct child {
	const char *role; /* in log lines, and in the process's names */
	unsigned number;  /* of a worker, from 0 */
	unsigned slot;    /* where its state is in the counter file */
	enum child_state state;
	pid_t pid; /* CHILD_ABSENT: 0 */
	/* All times are CLOCK_MONOTONIC in ns. */
	int64_t started_at;
	int64_t start_at;     /* CHILD_ABSENT: when to start one; 0: never */
	int64_t suspended_at; /* CHILD_SUSPENDED */
	int failures;         /* exits in a row that child_schedule() saw */
	bool is_late;         /* child_check_start() has said so */
	/* The requests whose stacks were asked for, by their beginnings: */
	int64_t slow;     /* by child_check_slow() */
	int64_t overdue;  /* by child_check_deadline(), */
	int64_t asked_at; /* at this time */
};

/* Why a child ended. An exit status counts only after child_exit(). */
enum child_end {
	CHILD_DRAINED,     /* exit status 0 */
	CHILD_RECYCLED,    /* exit status WORKER_RECYCLED */
	CHILD_CRASHED,     /* all other ends */
	CHILD_DEADLINE,    /* killed by child_check_deadline() */
	CHILD_NOT_STARTED, /* exit status WORKER_NOT_STARTED */
};

/*
 * Fork. In the new process run(context, child) is called, which must end with
 * child_exit(); the process dies with its parent. Where fork() fails, start_at
 * is set to try again in a second. Returns whether there is a new process.
 */
bool child_start(struct child *child, const struct counters *counters,
    void (*run)(void *context, const struct child *child), void *context);

/*
 * In the new process: end with this status (enum worker_exit), and note that
 * this was on purpose. Without the note, the code of the application has called
 * exit(), and the end is a crash.
 */
_Noreturn void child_exit(
    const struct child *child, const struct counters *counters, int status);

/* Note what waitpid() with WUNTRACED | WCONTINUED told of a stop. */
void child_suspended(
    struct child *child, const struct counters *counters, bool is_suspended);

/*
 * Note and log that the process has ended with this wait status. Returns why.
 * *served tells whether it had begun a request or lived for 10 s.
 */
enum child_end child_exited(struct child *child,
    const struct counters *counters, int status, bool *served);

/*
 * End the process, if there is one: send it this signal, and kill it if it has
 * not gone after a second.
 */
void child_stop(struct child *child, int signal);

/* The pause after the next failure: 0.1 s, doubled for each failure in a row,
 * up to 5 s. */
int64_t child_backoff_ns(const struct child *child);

/* Set when the next process starts: at once, or after a failure's pause. */
void child_schedule(struct child *child, bool failed);

/* The same for a failure after which the process itself made the pause. */
void child_schedule_retry(struct child *child);

/* Whether a process is missing and it is time to start one. */
bool child_is_due(const struct child *child, int64_t now);

/* Log, once, that the application of a worker has not started for 10 s. */
void child_check_start(
    struct child *child, const struct counters *counters, int64_t now);

/*
 * When its request or its suspension lasts longer than limit_ns, ask the
 * process for its stack (worker/stack_log.h). 0.1 s later kill it, with a log
 * line, whether it has answered or not. One that takes just limit_ns is not
 * killed.
 */
void child_check_deadline(struct child *child, const struct counters *counters,
    int64_t limit_ns, int64_t now);

/*
 * When its request lasts longer than limit_ns, ask the process for its stack,
 * once for each request.
 */
void child_check_slow(struct child *child, const struct counters *counters,
    int64_t limit_ns, int64_t now);

/*
 * When the request that the child works on began; 0: it is idle. A time that
 * cannot be true counts as idle: any worker could have written it.
 */
int64_t child_request_started(
    const struct child *child, const struct counters *counters, int64_t now);

#endif
