#ifndef COLLECTORS_PROCESS_H
#define COLLECTORS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The process_* metrics of Prometheus's client libraries, for several
 * processes together. */
struct process {
	double cpu_seconds; /* of the processes and of their reaped children */
	uint64_t resident_bytes;
	uint64_t virtual_bytes;
	uint64_t open_fds;
	uint64_t max_fds;     /* the smallest of the limits */
	double start_seconds; /* of the first process, since the epoch */
};

/*
 * Add up the numbers of these processes in /proc. A process that has exited
 * adds nothing. root is put in front of every path, "" for the real ones.
 * Returns 0, or a negative errno if /proc or one of its files cannot be read;
 * -ESRCH if none of the processes exists.
 */
int process_read(
    const char *root, const pid_t *pids, size_t count, struct process *process);

#endif
