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

/* It means nothing once the process is gone. */
struct scoreboard_entry {
	_Alignas(64) _Atomic int64_t pid; /* 0: nobody */
	_Atomic int64_t request_started;  /* CLOCK_MONOTONIC ns, 0: idle */
	_Atomic int64_t relieved; /* the same, once it gave all else away */
	_Atomic int32_t stopped;  /* the master saw it under SIGSTOP */
	_Atomic int64_t connections;
	_Atomic int64_t served;      /* requests since the process started */
	_Atomic int32_t draining;    /* leaving; the master's: the pool is */
	_Atomic int64_t load_pid;    /* the master's: of the load; 0: none */
	_Atomic int64_t load_ticket; /* the master's: of the load that was asked
					for, until it ends; 0: none */
	_Atomic int64_t supervisor_pid; /* the master's: of its parent */
	_Atomic int64_t leaver;         /* the master's: pid of the worker that
					   may stop accepting; 0: none */
	_Atomic uint32_t listen_inode;  /* the master's: of the public socket */
	_Atomic int64_t started;        /* the master's: CLOCK_BOOTTIME ns */
	_Atomic int64_t request_rate;   /* the master's: in 1/1000 a second, */
	_Atomic int64_t cpu_usage;      /* in ns a second; -1: not known, */
	_Atomic int64_t cpu_throttled;  /* in ns a second, over all CPUs, */
	_Atomic int64_t cpu_throttled_share; /* periods of 1,000, as above */
	char request_id[40];                 /* of the request that runs */
	char path[64];
};

struct scoreboard {
	char *entries;
	size_t stride; /* bytes from one entry to the next */
};

/* What the process in this slot is doing. */
static inline struct scoreboard_entry *
scoreboard_entry(const struct scoreboard *scoreboard, unsigned slot)
{
	return (struct scoreboard_entry *)(scoreboard->entries +
					   slot * scoreboard->stride);
}

/* Whether the slot's process takes on more than it has. */
static inline bool
scoreboard_is_serving(const struct scoreboard_entry *entry)
{
	return entry->pid && !entry->stopped && !entry->draining;
}

#endif
