#ifndef LOAD_H
#define LOAD_H

#include <stdint.h>

/* More CPU cores than any machine has. */
enum { LOAD_CORES_MAX = 65536 };

/*
 * A CPU and memory load. Plain numbers only, because it is sent through a pipe.
 */
struct load {
	double cpu_cores;       /* CPU time to ask for; 0: none */
	double cpu_floor;       /* the part of it that is within the limit */
	uint64_t memory_bytes;  /* memory to add; 0: none */
	uint64_t memory_target; /* memory that the cgroup shall use; 0: none */
	double seconds;
	unsigned threads; /* 0: as many as the CPU load needs */
};

#endif
