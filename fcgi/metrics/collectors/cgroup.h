#ifndef METRICS_CGROUP_H
#define METRICS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What the kernel says about the cgroup that binds this process: the nearest
 * one, going up, that has a limit; its own where none has.
 */
struct cgroup {
	int cpu_error; /* 0, or a negative errno: no field cpu_* is known */
	bool cpu_limited;
	double cpu_limit_cores; /* the CPUs there are where not limited */
	uint64_t cpu_usage_ns;
	uint64_t cpu_periods;
	uint64_t cpu_throttled_periods;
	uint64_t cpu_throttled_ns;
	int memory_error; /* 0, or a negative errno: no field memory_* is known
			   */
	bool memory_limited;
	uint64_t memory_limit_bytes; /* the memory there is where not limited */
	uint64_t memory_usage_bytes;
	uint64_t memory_working_set_bytes; /* usage less inactive page cache */
	uint64_t memory_oom_kills;
	bool memory_oom_group; /* at its limit the whole cgroup is killed */
};

/*
 * Read cgroup v2, v1, or a mix of both, whatever /proc/self says is there; the
 * machine where there is no cgroup. root is put in front of every path, "" for
 * the real ones.
 *
 * CPU and memory fail independently of each other, if any file cannot be read,
 * is not what it should be, or is missing. The error is in cpu_error and
 * memory_error: -ENOENT, -EBADMSG, -ENODATA. A limit that is not set is no
 * failure.
 */
void cgroup_read(const char *root, struct cgroup *cgroup);

/*
 * Read the fields cpu_* or memory_* alone, of a struct that is zeroed. Returns
 * the error instead of storing it.
 */
int cgroup_cpu_read(const char *root, struct cgroup *cgroup);
int cgroup_memory_read(const char *root, struct cgroup *cgroup);

#endif
