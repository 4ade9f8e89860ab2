#ifndef COLLECTORS_CGROUP_H
#define COLLECTORS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What the kernel tells about the cgroup that limits this process: the nearest
 * one, going up, that has a limit; its own cgroup if none has.
 */
struct cgroup {
	int cpu_error; /* 0, or a negative errno: no field cpu_* is known */
	bool cpu_limited;
	double cpu_limit_cores; /* if there is no limit, the number of CPUs */
	uint64_t cpu_usage_ns;
	uint64_t cpu_periods;
	uint64_t cpu_throttled_periods;
	uint64_t cpu_throttled_ns;
	int memory_error; /* the same for the fields memory_* */
	bool memory_limited;
	uint64_t memory_limit_bytes; /* if there is no limit, all memory */
	uint64_t memory_usage_bytes;
	uint64_t memory_working_set_bytes; /* usage less inactive page cache */
	uint64_t memory_oom_kills;
	bool memory_oom_group; /* the OOM killer ends the whole cgroup */
};

/*
 * Read cgroup v2, v1, or a mix of both, as /proc/self tells; without cgroups,
 * read the numbers of the machine. root is put in front of every path, "" for
 * the real ones.
 *
 * CPU and memory fail independently of each other: if a file is missing, cannot
 * be read, or is malformed. The error is in cpu_error and memory_error:
 * -ENOENT, -EBADMSG, -ENODATA. A limit that is not set is no failure.
 */
void cgroup_read(const char *root, struct cgroup *cgroup);

/*
 * Read the fields cpu_* or memory_* alone, of a struct that is zeroed. Returns
 * the error instead of storing it.
 */
int cgroup_cpu_read(const char *root, struct cgroup *cgroup);
int cgroup_memory_read(const char *root, struct cgroup *cgroup);

#endif
