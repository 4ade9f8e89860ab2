#ifndef SCOREBOARD_H
#define SCOREBOARD_H

/*
 * What each process of the pool is doing: one entry a process, in memory that
 * all of them share. Only the process of an entry writes it, and its parent
 * while there is no such process.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The slots that are not a worker's; worker i has SLOT_WORKER + i. */
enum { SLOT_MASTER, SLOT_METRICS, SLOT_CGI, SLOT_WORKER };

/* The kinds of workers. */
enum scoreboard_kind { SCOREBOARD_NONBLOCKING, SCOREBOARD_BLOCKING };

enum { SCOREBOARD_KINDS = SCOREBOARD_BLOCKING + 1 };

/* The master's entry: whether the pool is leaving. */
enum scoreboard_drain {
	SCOREBOARD_STAYS,
	SCOREBOARD_DRAINS, /* the sockets have no names any more */
	SCOREBOARD_YIELDS  /* to a new program, which gets the sockets */
};

/* Whether the application has started in a worker. */
enum scoreboard_start {
	SCOREBOARD_STARTED,
	SCOREBOARD_STARTING,
	SCOREBOARD_NOT_STARTED /* app_start() has failed */
};

/* It means nothing once the process is gone. */
struct scoreboard_entry {
	_Alignas(64) _Atomic int64_t pid; /* 0: nobody */
	_Atomic int64_t request_started;  /* CLOCK_MONOTONIC ns; 0: idle */
	_Atomic uint64_t busy_key;        /* of that request: busy_time.h */
	_Atomic int32_t stopped;          /* by SIGSTOP, as its parent saw */
	_Atomic int32_t draining;     /* leaving; master: scoreboard_drain */
	_Atomic int32_t kind;         /* enum scoreboard_kind, of a worker */
	_Atomic int32_t unready;      /* enum scoreboard_start, of a worker */
	_Atomic int32_t refused_call; /* by the sandbox: sandbox_explain() */
	_Atomic int32_t exits_on_purpose; /* child_exit() */
	_Atomic int64_t connections;
	_Atomic int64_t served; /* requests since the process started */
	char request_id[40];    /* of the request under way, */
	char path[128];         /* and its path, both perhaps cut */
	int32_t method;         /* and its enum method */

	/* The rest is used in the master's entry only: what the pool is doing.
	 */
	_Atomic int64_t supervisor_pid;
	_Atomic int64_t started;       /* the pool, CLOCK_BOOTTIME ns */
	_Atomic uint32_t listen_inode; /* of the nonblocking workers' socket */
	_Atomic uint32_t blocking_inode; /* of the blocking workers' socket */
	_Atomic int64_t leaver; /* pid of the worker that may stop accepting */
	_Atomic int64_t load_pid;    /* of the load's process; 0: none */
	_Atomic int64_t load_ticket; /* of the load; 0: none (load_manager.h) */
	_Atomic int64_t request_rate;        /* in 1/1000 a second */
	_Atomic int64_t cpu_usage;           /* in ns a second; -1: unknown */
	_Atomic int64_t cpu_throttled;       /* as above, over all CPUs */
	_Atomic int64_t cpu_throttled_share; /* periods of 1,000; -1: unknown */
};

struct scoreboard {
	char *entries;
	size_t stride;       /* bytes from one entry to the next */
	unsigned slot_count; /* how many entries there are */
};

/* The workers of a kind at one moment; busy, idle and stopped add up to
 * workers. */
struct scoreboard_census {
	unsigned workers;
	unsigned busy;        /* on a request */
	unsigned idle;        /* waiting for one */
	unsigned stopped;     /* under SIGSTOP: neither busy nor idle */
	uint64_t connections; /* FastCGI connections that they hold */
};

/* "nonblocking" or "blocking". */
const char *scoreboard_kind_name(enum scoreboard_kind kind);

/* Count the workers of one kind that run, by what they are doing. */
struct scoreboard_census scoreboard_census(
    const struct scoreboard *scoreboard, enum scoreboard_kind kind);

/* Whether a worker of this kind takes new requests. */
bool scoreboard_kind_is_served(
    const struct scoreboard *scoreboard, enum scoreboard_kind kind);

/* Whether any worker has served since it was started. */
bool scoreboard_has_served(const struct scoreboard *scoreboard);

/* What the process in this slot is doing. */
static inline struct scoreboard_entry *
scoreboard_entry(const struct scoreboard *scoreboard, unsigned slot)
{
	return (struct scoreboard_entry *)(scoreboard->entries +
					   slot * scoreboard->stride);
}

/* Whether the process takes new requests. */
static inline bool
scoreboard_is_serving(const struct scoreboard_entry *entry)
{
	return entry->pid && !entry->stopped && !entry->draining &&
	       !entry->unready;
}

#endif
