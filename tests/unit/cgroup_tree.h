#ifndef CGROUP_TREE_H
#define CGROUP_TREE_H

/*
 * Trees of /proc and /sys for tests of the cgroup collectors.
 */

#include "support.h"

#include <math.h>
#include <sched.h>
#include <sys/resource.h>

#include "metrics/collectors/cgroup.h"

enum { KIB = 1024, MIB = 1024 * KIB };

/* A file of a tree, and what is in it. */
struct file {
	const char *path;
	const char *text;
};

/* Versions of clang-format differ on this. */
/* clang-format off */
#define MEMINFO                                                  \
	{                                                        \
		"proc/meminfo", "MemTotal:        8388608 kB\n" \
				"MemFree:         1048576 kB\n" \
				"MemAvailable:    6291456 kB\n" \
	},                                                       \
	{                                                        \
		"proc/stat", "cpu  100 20 3 999 9 40 5 7 0 0\n"  \
			     "cpu0 100 20 3 999 9 40 5 7 0 0\n"  \
	}
/* clang-format on */

static const uint64_t machine = UINT64_C(8) << 30;

static inline void
make_tree(const struct file *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		support_write_text(support_path(files[i].path), files[i].text);
}

static inline void
read_tree(const struct file *files, size_t count, struct cgroup *cgroup)
{
	make_tree(files, count);
	cgroup_read(support_folder, cgroup);
	assert_int_equal(cgroup->cpu_error, 0);
	assert_int_equal(cgroup->memory_error, 0);
}

#define READ(files, cgroup) read_tree((files), COUNT(files), (cgroup))

/* What a folder counts; a file that comes later stands in its place. */
/* clang-format off */
#define V2_CPU(folder)                                                \
	{                                                             \
		folder "cpu.stat", "usage_usec 1\nnr_periods 0\n"     \
				   "nr_throttled 0\nthrottled_usec 0\n" \
	}
#define V2_MEMORY(folder)                                             \
	{folder "memory.current", "4096\n"},                          \
	{folder "memory.stat", "anon 1\ninactive_file 0\n"},          \
	{folder "memory.events", "oom 0\noom_kill 0\n"}
#define V1_CPU(folder)                                                \
	{folder "cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n"}
#define V1_MEMORY(folder)                                             \
	{folder "memory.usage_in_bytes", "4096\n"},                   \
	{folder "memory.stat", "total_inactive_file 0\n"},            \
	{folder "memory.oom_control", "under_oom 0\noom_kill 0\n"}
/* clang-format on */

static inline double
all_cpus(void)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	return CPU_COUNT(&set);
}

static inline void
assert_cores(const struct cgroup *cgroup, double cores)
{
	if (fabs(cgroup->cpu_limit_cores - cores) > 1e-9)
		fail_msg("%g cores", cgroup->cpu_limit_cores);
}

static inline void
assert_not_limited(const struct cgroup *cgroup)
{
	assert_false(cgroup->cpu_limited);
	assert_cores(cgroup, all_cpus());
	assert_false(cgroup->memory_limited);
	assert_int_equal(cgroup->memory_limit_bytes, machine);
}

/* Docker on a machine with v2: a cgroup namespace of the container's own. */
#define V2_NAMESPACE                                                           \
	MEMINFO, {"proc/self/cgroup", "0::/\n"},                               \
	{                                                                      \
		"proc/self/mountinfo",                                         \
		    "1443 1442 0:31 / / rw,relatime - overlay overlay rw\n"    \
		    "1449 1446 0:29 / /sys/fs/cgroup ro,nosuid,nodev,noexec,"  \
		    "relatime - cgroup2 cgroup rw,nsdelegate,"                 \
		    "memory_recursiveprot\n"                                   \
	}

static const char docker_v1_mounts[] =
    "1208 1205 0:30 /docker/abc /sys/fs/cgroup/systemd ro - cgroup systemd "
    "rw,xattr,name=systemd\n"
    "1209 1205 0:33 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro,nosuid "
    "master:15 - cgroup cgroup rw,cpu,cpuacct\n"
    "1210 1205 0:34 /docker/abc /sys/fs/cgroup/cpuset ro - cgroup cgroup "
    "rw,cpuset\n"
    "1211 1205 0:35 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:17 - "
    "cgroup cgroup rw,memory\n";

static const char docker_v1_cgroups[] = "11:memory:/docker/abc\n"
					"9:cpuset:/docker/abc\n"
					"7:cpu,cpuacct:/docker/abc\n"
					"1:name=systemd:/docker/abc\n"
					"0::/system.slice/docker.service\n";

#define TEST(name) cmocka_unit_test_setup(name, support_clear)

#endif
