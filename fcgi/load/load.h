#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "metrics/collectors/cgroup.h"

enum {
	LOAD_FRACTION_MAX = 10,
	LOAD_CORES_MAX = 65536, /* no machine has so many */
	LOAD_MEMORY_PERCENT_MAX = 150,
	LOAD_MEMORY_GROUP_PERCENT = 97, /* where all die at the limit */
};

/* A load to raise: plain numbers, so that it can be sent through a pipe. */
struct load {
	double cpu_cores;       /* to ask for; 0: none */
	double cpu_floor;       /* of those, what the limit allows */
	uint64_t memory_bytes;  /* that much more; 0: none */
	uint64_t memory_target; /* or until the cgroup uses this; 0: none */
	double seconds;
	unsigned threads; /* 0: as many as it takes */
};

/*
 * Read an amount of CPU: a fraction of the limit ("1.5", "150%"), or cores
 * ("0.5cores"). Returns 0, or a negative errno with why as a sentence in
 * problem: -EINVAL for a bad amount, another where the limit could not be read.
 */
int load_parse_cpu(struct load *load, const char *text,
    const struct cgroup *cgroup, char *problem, size_t size);

/*
 * Read an amount of memory: what the whole cgroup is to use, as a fraction of
 * its limit ("0.95", "95%"), or a size on top of what is used ("64M", "1GiB").
 * A number without a unit is a fraction, at most 1.5. Returns as above.
 */
int load_parse_memory(struct load *load, const char *text,
    const struct cgroup *cgroup, char *problem, size_t size);

/*
 * Raise the load in this process until its time is over or TERM or INT comes;
 * ends with its parent, and at once where the parent has died already. The
 * kernel picks this process first when memory runs out. Does not return: exits
 * 0, or 1 where memory could not be had.
 */
_Noreturn void load_burn(const struct load *load, pid_t parent);

/*
 * The command: run load_burn() in a child and show what it does, in place on a
 * terminal, as lines otherwise. Returns the exit status: 0, 1 where the kernel
 * killed the load, 128 + n where signal n ended it.
 */
int load_command(const struct load *load, bool quiet);

#endif
