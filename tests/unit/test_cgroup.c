/*
 * The cgroup collector, on trees of /proc and /sys as Docker, Kubernetes,
 * systemd and bare machines show them.
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

static void
make_tree(const struct file *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		support_write_text(support_path(files[i].path), files[i].text);
}

static void
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

static double
all_cpus(void)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	return CPU_COUNT(&set);
}

static void
assert_cores(const struct cgroup *cgroup, double cores)
{
	if (fabs(cgroup->cpu_limit_cores - cores) > 1e-9)
		fail_msg("%g cores", cgroup->cpu_limit_cores);
}

static void
assert_not_limited(const struct cgroup *cgroup)
{
	assert_false(cgroup->cpu_limited);
	assert_cores(cgroup, all_cpus());
	assert_false(cgroup->memory_limited);
	assert_int_equal(cgroup->memory_limit_bytes, machine);
}

/* --- v2 ------------------------------------------------------------------- */

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

static void
v2_limits_and_usage_of_a_container_are_found(void **state)
{
	static const struct file files[] = {V2_NAMESPACE,
	    {"sys/fs/cgroup/cpu.max", "50000 100000\n"},
	    {"sys/fs/cgroup/cpu.stat",
		"usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\n"
		"core_sched.force_idle_usec 0\nnr_periods 200\n"
		"nr_throttled 50\nthrottled_usec 9876543\nnr_bursts 0\n"
		"burst_usec 0\n"},
	    {"sys/fs/cgroup/memory.max", "134217728\n"},
	    {"sys/fs/cgroup/memory.current", "67108864\n"},
	    {"sys/fs/cgroup/memory.stat",
		"anon 20000000\nfile 30000000\ninactive_anon 1\n"
		"active_anon 2\ninactive_file 16777216\nactive_file 3\n"},
	    {"sys/fs/cgroup/memory.events",
		"low 0\nhigh 1\nmax 22\noom 3\noom_kill 2\n"
		"oom_group_kill 7\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_true(cgroup.cpu_limited);
	assert_cores(&cgroup, 0.5);
	assert_int_equal(cgroup.cpu_usage_ns, 1234567000);
	assert_int_equal(cgroup.cpu_periods, 200);
	assert_int_equal(cgroup.cpu_throttled_periods, 50);
	assert_int_equal(cgroup.cpu_throttled_ns, 9876543000);
	assert_true(cgroup.memory_limited);
	assert_int_equal(cgroup.memory_limit_bytes, 128 * MIB);
	assert_int_equal(cgroup.memory_usage_bytes, 64 * MIB);
	assert_int_equal(cgroup.memory_working_set_bytes, 48 * MIB);
	assert_int_equal(cgroup.memory_oom_kills, 2);
}

static void
v2_without_limits_says_what_the_machine_has(void **state)
{
	static const struct file files[] = {V2_NAMESPACE,
	    V2_MEMORY("sys/fs/cgroup/"),
	    {"sys/fs/cgroup/cpu.max", "max 100000\n"},
	    {"sys/fs/cgroup/cpu.stat", "usage_usec 5\n"},
	    {"sys/fs/cgroup/memory.max", "max\n"},
	    {"sys/fs/cgroup/memory.current", "1048576\n"},
	    {"sys/fs/cgroup/memory.stat", "inactive_file 2097152\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_not_limited(&cgroup);
	assert_int_equal(cgroup.cpu_usage_ns, 5000);
	assert_int_equal(cgroup.cpu_throttled_ns, 0);
	assert_int_equal(cgroup.memory_usage_bytes, MIB);
	/* never below nothing */
	assert_int_equal(cgroup.memory_working_set_bytes, 0);
}

static void
the_v2_root_uses_what_the_machine_uses(void **state)
{
	static const struct file files[] = {MEMINFO,
	    {"proc/self/cgroup", "0::/\n"},
	    {"proc/self/mountinfo",
		"30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 "
		"rw,nsdelegate\n"},
	    /* the root has no cpu.max, memory.max or memory.current */
	    {"sys/fs/cgroup/cpu.stat", "usage_usec 777\n"},
	    {"sys/fs/cgroup/memory.stat", "inactive_file 0\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_not_limited(&cgroup);
	assert_int_equal(cgroup.cpu_usage_ns, 777000);
	assert_int_equal(cgroup.memory_usage_bytes, (uint64_t)2048 * MIB);
}

static void
a_service_of_systemd_is_found_below_the_mount(void **state)
{
	static const struct file files[] = {MEMINFO,
	    V2_MEMORY("sys/fs/cgroup/system.slice/fcgi-webapp.service/"),
	    {"proc/self/cgroup", "0::/system.slice/fcgi-webapp.service\n"},
	    {"proc/self/mountinfo",
		"22 28 0:20 / /sys rw - sysfs sysfs rw\n"
		"30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 "
		"cgroup2 rw,nsdelegate,memory_recursiveprot\n"},
	    {"sys/fs/cgroup/system.slice/cpu.max", "max 100000\n"},
	    {"sys/fs/cgroup/system.slice/fcgi-webapp.service/cpu.max",
		"150000 100000\n"},
	    {"sys/fs/cgroup/system.slice/fcgi-webapp.service/cpu.stat",
		"usage_usec 42\nnr_periods 1\nnr_throttled 0\n"
		"throttled_usec 0\n"},
	    {"sys/fs/cgroup/system.slice/fcgi-webapp.service/memory.max",
		"268435456\n"},
	    {"sys/fs/cgroup/system.slice/fcgi-webapp.service/memory.current",
		"1000\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_true(cgroup.cpu_limited);
	assert_cores(&cgroup, 1.5);
	assert_int_equal(cgroup.cpu_usage_ns, 42000);
	assert_int_equal(cgroup.memory_limit_bytes, 256 * MIB);
	assert_int_equal(cgroup.memory_usage_bytes, 1000);
}

/* A container in a pod that shares the host's cgroup namespace. */
#define POD       "kubepods.slice/kubepods-burstable.slice/kubepods-pod1.slice/"
#define CONTAINER POD "cri-containerd-abc.scope/"

static void
v2_without_a_namespace_is_found_by_its_whole_path(void **state)
{
	static const struct file files[] = {MEMINFO,
	    V2_MEMORY("sys/fs/cgroup/" CONTAINER),
	    {"proc/self/cgroup",
		"0::/kubepods.slice/kubepods-burstable.slice/"
		"kubepods-pod1.slice/cri-containerd-abc.scope\n"},
	    {"proc/self/mountinfo",
		"900 800 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"},
	    {"sys/fs/cgroup/" CONTAINER "cpu.max", "20000 100000\n"},
	    {"sys/fs/cgroup/" CONTAINER "cpu.stat",
		"usage_usec 1\nnr_periods 2\nnr_throttled 1\nthrottled_usec "
		"9\n"},
	    {"sys/fs/cgroup/" CONTAINER "memory.max", "67108864\n"},
	    {"sys/fs/cgroup/" CONTAINER "memory.current", "4096\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_cores(&cgroup, 0.2);
	assert_int_equal(cgroup.cpu_throttled_ns, 9000);
	assert_int_equal(cgroup.memory_limit_bytes, 64 * MIB);
}

static void
a_limit_of_an_ancestor_binds_and_its_numbers_count(void **state)
{
	static const struct file files[] = {MEMINFO,
	    V2_MEMORY("sys/fs/cgroup/" POD),
	    {"proc/self/cgroup",
		"0::/kubepods.slice/kubepods-burstable.slice/"
		"kubepods-pod1.slice/cri-containerd-abc.scope\n"},
	    {"proc/self/mountinfo",
		"900 800 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"},
	    {"sys/fs/cgroup/" CONTAINER "cpu.max", "max 100000\n"},
	    {"sys/fs/cgroup/" CONTAINER "cpu.stat", "usage_usec 1\n"},
	    {"sys/fs/cgroup/" CONTAINER "memory.max", "max\n"},
	    {"sys/fs/cgroup/" CONTAINER "memory.current", "1\n"},
	    {"sys/fs/cgroup/" POD "cpu.max", "200000 100000\n"},
	    {"sys/fs/cgroup/" POD "cpu.stat",
		"usage_usec 2\nnr_periods 3\nnr_throttled 4\n"
		"throttled_usec 5\n"},
	    {"sys/fs/cgroup/" POD "memory.max", "1073741824\n"},
	    {"sys/fs/cgroup/" POD "memory.current", "536870912\n"},
	    {"sys/fs/cgroup/" POD "memory.events", "oom_kill 6\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_true(cgroup.cpu_limited);
	assert_cores(&cgroup, 2);
	assert_int_equal(cgroup.cpu_usage_ns, 2000);
	assert_int_equal(cgroup.cpu_periods, 3);
	assert_int_equal(cgroup.cpu_throttled_periods, 4);
	assert_int_equal(cgroup.cpu_throttled_ns, 5000);
	assert_true(cgroup.memory_limited);
	assert_int_equal(cgroup.memory_limit_bytes, UINT64_C(1) << 30);
	assert_int_equal(cgroup.memory_usage_bytes, 512 * MIB);
	assert_int_equal(cgroup.memory_oom_kills, 6);
}

static void
the_nearest_limit_binds(void **state)
{
	static const struct file files[] = {MEMINFO,
	    V2_CPU("sys/fs/cgroup/a/b/"), V2_MEMORY("sys/fs/cgroup/a/b/"),
	    {"proc/self/cgroup", "0::/a/b/c\n"},
	    {"proc/self/mountinfo",
		"900 800 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"},
	    {"sys/fs/cgroup/a/cpu.max", "100000 100000\n"},
	    {"sys/fs/cgroup/a/memory.max", "1048576\n"},
	    {"sys/fs/cgroup/a/b/cpu.max", "300000 100000\n"},
	    {"sys/fs/cgroup/a/b/memory.max", "3145728\n"},
	    {"sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n"},
	    {"sys/fs/cgroup/a/b/c/memory.max", "max\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_cores(&cgroup, 3);
	assert_int_equal(cgroup.memory_limit_bytes, 3 * MIB);
}

static void
cpu_and_memory_may_be_limited_in_different_places(void **state)
{
	static const struct file files[] = {MEMINFO, V2_CPU("sys/fs/cgroup/a/"),
	    V2_MEMORY("sys/fs/cgroup/a/b/"), {"proc/self/cgroup", "0::/a/b\n"},
	    {"proc/self/mountinfo",
		"900 800 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"},
	    {"sys/fs/cgroup/a/cpu.max", "100000 100000\n"},
	    {"sys/fs/cgroup/a/memory.max", "max\n"},
	    {"sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
	    {"sys/fs/cgroup/a/b/memory.max", "3145728\n"},
	    {"sys/fs/cgroup/a/b/memory.current", "1048576\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_cores(&cgroup, 1);
	assert_int_equal(cgroup.memory_limit_bytes, 3 * MIB);
	assert_int_equal(cgroup.memory_usage_bytes, MIB);
}

static void
a_limit_that_is_more_than_the_machine_has_is_none(void **state)
{
	static const struct file files[] = {V2_NAMESPACE,
	    V2_CPU("sys/fs/cgroup/"), V2_MEMORY("sys/fs/cgroup/"),
	    {"sys/fs/cgroup/memory.max", "17179869184\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_not_limited(&cgroup);
}

/* --- v1 ---------------------------------------------------------------------
 */

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

static void
v1_limits_and_usage_of_a_container_are_found(void **state)
{
	static const struct file files[] = {MEMINFO,
	    {"proc/self/mountinfo", docker_v1_mounts},
	    {"proc/self/cgroup", docker_v1_cgroups},
	    {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "25000\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "123456789\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/cpu.stat",
		"nr_periods 10\nnr_throttled 4\nthrottled_time 55555\n"},
	    {"sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n"},
	    {"sys/fs/cgroup/memory/memory.usage_in_bytes", "67108864\n"},
	    {"sys/fs/cgroup/memory/memory.stat",
		"cache 1\ninactive_file 5\ntotal_cache 2\n"
		"total_inactive_file 16777216\ntotal_active_file 3\n"},
	    {"sys/fs/cgroup/memory/memory.oom_control",
		"oom_kill_disable 1\nunder_oom 0\noom_kill 3\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_true(cgroup.cpu_limited);
	assert_cores(&cgroup, 0.25);
	assert_int_equal(cgroup.cpu_usage_ns, 123456789);
	assert_int_equal(cgroup.cpu_periods, 10);
	assert_int_equal(cgroup.cpu_throttled_periods, 4);
	assert_int_equal(cgroup.cpu_throttled_ns, 55555);
	assert_true(cgroup.memory_limited);
	assert_int_equal(cgroup.memory_limit_bytes, 128 * MIB);
	assert_int_equal(cgroup.memory_usage_bytes, 64 * MIB);
	assert_int_equal(cgroup.memory_working_set_bytes, 48 * MIB);
	assert_int_equal(cgroup.memory_oom_kills, 3);
}

static void
v1_without_limits_says_what_the_machine_has(void **state)
{
	static const struct file files[] = {MEMINFO,
	    V1_MEMORY("sys/fs/cgroup/memory/"),
	    {"sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "7\n"},
	    {"proc/self/mountinfo", docker_v1_mounts},
	    {"proc/self/cgroup", docker_v1_cgroups},
	    {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
	    {"sys/fs/cgroup/memory/memory.limit_in_bytes",
		"9223372036854771712\n"},
	    {"sys/fs/cgroup/memory/memory.usage_in_bytes", "4096\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_not_limited(&cgroup);
	assert_int_equal(cgroup.memory_usage_bytes, 4096);
}

static void
v1_with_cpu_and_cpuacct_apart_is_read_from_both(void **state)
{
	static const struct file files[] = {MEMINFO,
	    V1_CPU("sys/fs/cgroup/cpu/job/"),
	    {"proc/self/mountinfo",
		"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		"33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup "
		"rw,cpuacct\n"},
	    {"proc/self/cgroup", "2:cpuacct:/job\n1:cpu:/job\n"},
	    {"sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "400000\n"},
	    {"sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "200000\n"},
	    {"sys/fs/cgroup/cpu/job/cpu.stat",
		"nr_periods 9\nnr_throttled 8\nthrottled_time 7\n"},
	    {"sys/fs/cgroup/cpuacct/cpuacct.usage", "1\n"},
	    {"sys/fs/cgroup/cpuacct/job/cpuacct.usage", "99\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_cores(&cgroup, 2);
	assert_int_equal(cgroup.cpu_throttled_ns, 7);
	assert_int_equal(cgroup.cpu_usage_ns, 99);
}

static void
v1_usage_is_that_of_the_folder_with_the_limit(void **state)
{
	static const struct file files[] = {MEMINFO,
	    V1_CPU("sys/fs/cgroup/cpu,cpuacct/pod/"),
	    {"proc/self/mountinfo",
		"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup "
		"rw,cpu,cpuacct\n"},
	    {"proc/self/cgroup", "2:cpu,cpuacct:/pod/container\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_quota_us", "100000\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_period_us", "100000\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/pod/cpuacct.usage", "1000\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/pod/container/cpu.cfs_quota_us",
		"-1\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/pod/container/cpu.cfs_period_us",
		"100000\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/pod/container/cpuacct.usage", "10\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_cores(&cgroup, 1);
	assert_int_equal(cgroup.cpu_usage_ns, 1000);
}

static void
v1_with_a_host_path_that_cannot_be_seen_is_read_at_the_mount(void **state)
{
	/* No cgroup namespace, and the mount does not say what it shows. */
	static const struct file files[] = {MEMINFO,
	    V1_CPU("sys/fs/cgroup/cpu,cpuacct/"),
	    V1_MEMORY("sys/fs/cgroup/memory/"),
	    {"sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "7\n"},
	    {"proc/self/mountinfo",
		"40 31 0:33 / /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup "
		"rw,cpu,cpuacct\n"
		"41 31 0:35 / /sys/fs/cgroup/memory ro - cgroup cgroup "
		"rw,memory\n"},
	    {"proc/self/cgroup", "11:memory:/kubepods/pod1/abc\n"
				 "7:cpu,cpuacct:/kubepods/pod1/abc\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"},
	    {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
	    {"sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576\n"},
	    {"sys/fs/cgroup/memory/memory.usage_in_bytes", "4096\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_cores(&cgroup, 0.5);
	assert_int_equal(cgroup.memory_limit_bytes, MIB);
}

static void
a_process_outside_its_namespaces_root_is_read_at_the_mount(void **state)
{
	static const struct file files[] = {MEMINFO, V2_CPU("sys/fs/cgroup/"),
	    {"proc/self/mountinfo",
		"30 22 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"},
	    {"proc/self/cgroup", "0::/../other.scope\n"},
	    {"sys/fs/cgroup/cpu.max", "30000 100000\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_cores(&cgroup, 0.3);
}

static void
a_path_that_only_begins_like_the_mounts_root_is_not_cut(void **state)
{
	static const struct file files[] = {MEMINFO, V2_CPU("sys/fs/cgroup/"),
	    V2_CPU("sys/fs/cgroup/def/"),
	    {"proc/self/mountinfo",
		"30 22 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 "
		"rw\n"},
	    {"proc/self/cgroup", "0::/docker/abc/def\n"},
	    {"sys/fs/cgroup/cpu.max", "30000 100000\n"},
	    {"sys/fs/cgroup/def/cpu.max", "10000 100000\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_cores(&cgroup, 0.1);
	support_write_text(
	    support_path("proc/self/cgroup"), "0::/docker/abcdef\n");
	cgroup_read(support_folder, &cgroup);
	assert_cores(&cgroup, 0.3);
}

/* --- a mix
 * --------------------------------------------------------------------- */

/* As recorded on a machine with v1 controllers and v2 beside them. */
static const char hybrid_mounts[] =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup "
    "rw,cpuacct\n"
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup "
    "rw,cpuset\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup "
    "rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup "
    "rw,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

static void
a_hybrid_machine_is_read_where_its_controllers_are(void **state)
{
	static const struct file files[] = {MEMINFO,
	    V1_MEMORY("sys/fs/cgroup/memory/process_api/"),
	    {"proc/self/mountinfo", hybrid_mounts},
	    {"proc/self/cgroup",
		"9:name=systemd:/\n4:memory:/process_api/job\n3:cpuset:/\n"
		"2:cpuacct:/\n1:cpu:/\n0::/\n"},
	    {"sys/fs/cgroup/cpu/cpu.stat", "nr_periods 0\n"},
	    {"sys/fs/cgroup/cpuacct/cpuacct.usage", "31415926535\n"},
	    {"sys/fs/cgroup/unified/cpu.stat", "usage_usec 1\n"},
	    {"sys/fs/cgroup/memory/process_api/job/memory.limit_in_bytes",
		"9223372036854771712\n"},
	    {"sys/fs/cgroup/memory/process_api/memory.limit_in_bytes",
		"4294967296\n"},
	    {"sys/fs/cgroup/memory/process_api/memory.usage_in_bytes",
		"1048576\n"},
	    {"sys/fs/cgroup/memory/memory.limit_in_bytes",
		"9223372036854771712\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_false(cgroup.cpu_limited);
	assert_int_equal(cgroup.cpu_usage_ns, 31415926535);
	assert_true(cgroup.memory_limited);
	assert_int_equal(cgroup.memory_limit_bytes, UINT64_C(4) << 30);
	assert_int_equal(cgroup.memory_usage_bytes, MIB);
}

static void
one_controller_may_be_on_v1_and_another_on_v2(void **state)
{
	static const struct file files[] = {MEMINFO,
	    V1_CPU("sys/fs/cgroup/cpu/job/"),
	    V2_MEMORY("sys/fs/cgroup/unified/job/"),
	    {"proc/self/mountinfo",
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup "
		"rw,cpu,cpuacct\n"},
	    {"proc/self/cgroup", "1:cpu,cpuacct:/job\n0::/job\n"},
	    {"sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "50000\n"},
	    {"sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n"},
	    {"sys/fs/cgroup/cpu/job/cpuacct.usage", "11\n"},
	    {"sys/fs/cgroup/unified/job/cpu.max", "100000 100000\n"},
	    {"sys/fs/cgroup/unified/job/memory.max", "2097152\n"},
	    {"sys/fs/cgroup/unified/job/memory.current", "1048576\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_cores(&cgroup, 0.5);
	assert_int_equal(cgroup.cpu_usage_ns, 11);
	assert_int_equal(cgroup.memory_limit_bytes, 2 * MIB);
	assert_int_equal(cgroup.memory_usage_bytes, MIB);
}

/* --- nothing, and nonsense
 * ------------------------------------------------------ */

static void
without_cgroups_it_is_the_machine_that_is_told_of(void **state)
{
	static const struct file files[] = {MEMINFO,
	    {"proc/self/mountinfo", "22 28 0:20 / /sys rw - sysfs sysfs rw\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_not_limited(&cgroup);
	/* user, nice, system, irq, softirq */
	assert_int_equal(cgroup.cpu_usage_ns,
	    (100 + 20 + 3 + 40 + 5) * (1000000000 / sysconf(_SC_CLK_TCK)));
	assert_int_equal(cgroup.memory_usage_bytes, (uint64_t)2048 * MIB);
}

/* --- what cannot be read -------------------------------------------------- */

static void
without_proc_both_fail(void **state)
{
	struct cgroup cgroup;

	(void)state;
	cgroup_read(support_folder, &cgroup);
	assert_int_equal(cgroup.cpu_error, -ENOENT);
	assert_int_equal(cgroup.memory_error, -ENOENT);
}

/* Who fails by a file. */
enum blame { NOBODY = 0, CPU = 1, MEMORY = 2, BOTH = 3 };

/* A tree's file, and who fails where it is missing, and where it is garbled. */
struct source {
	const char *path;
	enum blame missing;
	enum blame garbled;
};

static void
assert_blame(const char *path, const char *text, enum blame blame)
{
	struct cgroup cgroup;

	cgroup_read(support_folder, &cgroup);
	if ((cgroup.cpu_error != 0) != ((blame & CPU) != 0) ||
	    (cgroup.memory_error != 0) != ((blame & MEMORY) != 0))
		fail_msg("%s as '%s': CPU %d, memory %d", path, text,
		    cgroup.cpu_error, cgroup.memory_error);
}

/* Take one file of the tree away, or its contents, and put it back. */
static void
check_sources(const struct file *files, size_t file_count,
    const struct source *sources, size_t count)
{
	static const char *const garbage[] = {"", "\n", "nonsense\n", "x 1\n",
	    "-\n", "99999999999999999999999\n"};

	make_tree(files, file_count);
	assert_blame("all", "they are", NOBODY);
	for (size_t i = 0; i < count; i++) {
		const char *path = sources[i].path;

		for (size_t j = 0; j < COUNT(garbage); j++) {
			support_write_text(support_path(path), garbage[j]);
			assert_blame(path, garbage[j], sources[i].garbled);
		}
		assert_int_equal(unlink(support_path(path)), 0);
		assert_blame(path, "missing", sources[i].missing);
		make_tree(files, file_count);
	}
}

static const struct file v2_tree[] = {V2_NAMESPACE,
    {"sys/fs/cgroup/cpu.max", "50000 100000\n"},
    {"sys/fs/cgroup/memory.max", "134217728\n"},
    {"sys/fs/cgroup/memory.oom.group", "1\n"}, V2_CPU("sys/fs/cgroup/"),
    V2_MEMORY("sys/fs/cgroup/")};

static void
each_file_of_v2_that_cannot_be_read_is_a_failure(void **state)
{
	static const struct source sources[] = {
	    {"proc/self/mountinfo", BOTH, BOTH},
	    {"proc/self/cgroup", BOTH, BOTH},
	    {"proc/meminfo", MEMORY, MEMORY},
	    {"sys/fs/cgroup/cpu.stat", CPU, CPU},
	    {"sys/fs/cgroup/memory.current", MEMORY, MEMORY},
	    {"sys/fs/cgroup/memory.stat", MEMORY, MEMORY},
	    {"sys/fs/cgroup/memory.events", MEMORY, MEMORY},
	    /* not there: not limited, as the root is not */
	    {"sys/fs/cgroup/cpu.max", NOBODY, CPU},
	    /* not there: before Linux 4.19 */
	    {"sys/fs/cgroup/memory.oom.group", NOBODY, MEMORY},
	};

	(void)state;
	check_sources(v2_tree, COUNT(v2_tree), sources, COUNT(sources));
}

static void
each_field_of_v2_that_is_missing_is_a_failure(void **state)
{
	static const struct file changes[] = {
	    {"cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"},
	    {"cpu.stat", "usage_usec 1\nnr_throttled 0\nthrottled_usec 0\n"},
	    {"cpu.stat", "usage_usec 1\nnr_periods 0\nthrottled_usec 0\n"},
	    {"cpu.stat", "usage_usec 1\nnr_periods 0\nnr_throttled 0\n"},
	    {"cpu.stat", "usage_usec\nnr_periods 0\nnr_throttled 0\n"},
	    {"cpu.max", "50000 0\n"},
	    {"cpu.max", "50000\n"},
	    {"memory.stat", "anon 1\n"},
	    {"memory.events", "oom_killer 5\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(changes); i++) {
		char path[64];

		make_tree(v2_tree, COUNT(v2_tree));
		snprintf(
		    path, sizeof(path), "sys/fs/cgroup/%s", changes[i].path);
		support_write_text(support_path(path), changes[i].text);
		assert_blame(path, changes[i].text,
		    *changes[i].path == 'c' ? CPU : MEMORY);
	}
}

static const struct file v1_tree[] = {MEMINFO,
    {"proc/self/mountinfo", docker_v1_mounts},
    {"proc/self/cgroup", docker_v1_cgroups},
    {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "25000\n"},
    {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"},
    {"sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "123456789\n"},
    {"sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n"},
    V1_CPU("sys/fs/cgroup/cpu,cpuacct/"), V1_MEMORY("sys/fs/cgroup/memory/")};

static void
each_file_of_v1_that_cannot_be_read_is_a_failure(void **state)
{
	static const struct source sources[] = {
	    {"proc/self/mountinfo", BOTH, BOTH},
	    {"proc/self/cgroup", BOTH, BOTH},
	    {"proc/meminfo", MEMORY, MEMORY},
	    {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", CPU, CPU},
	    {"sys/fs/cgroup/cpu,cpuacct/cpu.stat", CPU, CPU},
	    {"sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", CPU, CPU},
	    {"sys/fs/cgroup/memory/memory.usage_in_bytes", MEMORY, MEMORY},
	    {"sys/fs/cgroup/memory/memory.stat", MEMORY, MEMORY},
	    {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", NOBODY, CPU},
	};

	(void)state;
	check_sources(v1_tree, COUNT(v1_tree), sources, COUNT(sources));
	/* Before Linux 4.13 it does not count kills, but it is there. */
	assert_int_equal(unlink(support_path("sys/fs/cgroup/memory/"
					     "memory.oom_control")),
	    0);
	assert_blame("memory.oom_control", "missing", MEMORY);
}

static void
without_cgroups_the_machines_files_are_needed(void **state)
{
	static const struct file files[] = {MEMINFO,
	    {"proc/self/mountinfo", "22 28 0:20 / /sys rw - sysfs sysfs rw\n"}};
	static const struct source sources[] = {
	    {"proc/stat", CPU, CPU},
	    {"proc/meminfo", MEMORY, MEMORY},
	};

	(void)state;
	check_sources(files, COUNT(files), sources, COUNT(sources));
}

static void
a_folder_without_the_controllers_is_not_limited(void **state)
{
	/* As systemd makes them: the CPU is counted, memory is not. */
	static const struct file files[] = {MEMINFO,
	    {"proc/self/cgroup", "0::/system.slice/a.service\n"},
	    {"proc/self/mountinfo",
		"30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"},
	    {"sys/fs/cgroup/system.slice/a.service/cpu.stat",
		"usage_usec 5\nuser_usec 5\nsystem_usec 0\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_not_limited(&cgroup);
	assert_int_equal(cgroup.cpu_usage_ns, 5000);
	assert_int_equal(cgroup.memory_usage_bytes, (uint64_t)2048 * MIB);
}

static int
read_without_descriptors(void *unused)
{
	struct rlimit limit;
	struct cgroup cgroup;

	(void)unused;
	/* The soft limit alone: valgrind lets nobody change the hard one. */
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	limit.rlim_cur = 0;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	cgroup_read("", &cgroup);
	if (cgroup.cpu_error != -EMFILE || cgroup.memory_error != -EMFILE)
		return 2;
	return 0;
}

static void
without_a_descriptor_left_both_fail(void **state)
{
	(void)state;
	assert_int_equal(support_in_child(read_without_descriptors, NULL), 0);
}

static void
lines_of_nonsense_are_passed_over(void **state)
{
	static const struct file files[] = {V2_NAMESPACE,
	    {"proc/self/cgroup", "\n\n:\n::\n0:\nx\n0::/\n"},
	    {"proc/self/mountinfo",
		"\n-\n - \n1 2 3\n1 2 3 / /x rw - cgroup2\n"
		"30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"},
	    V2_CPU("sys/fs/cgroup/"), V2_MEMORY("sys/fs/cgroup/"),
	    {"sys/fs/cgroup/cpu.stat",
		"\n\nusage_usec\nusage_usecs 5\nusage_usec 3\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_not_limited(&cgroup);
	assert_int_equal(cgroup.cpu_usage_ns, 3000);
}

static void
this_machine_can_be_read(void **state)
{
	struct cgroup cgroup;

	(void)state;
	cgroup_read("", &cgroup);
	assert_int_equal(cgroup.cpu_error, 0);
	assert_int_equal(cgroup.memory_error, 0);
	assert_true(cgroup.cpu_limit_cores > 0);
	assert_true(cgroup.memory_limit_bytes > 0);
	assert_true(cgroup.memory_usage_bytes > 0);
	assert_true(
	    cgroup.memory_working_set_bytes <= cgroup.memory_usage_bytes);
}

#define TEST(name) cmocka_unit_test_setup(name, support_clear)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(v2_limits_and_usage_of_a_container_are_found),
	    TEST(v2_without_limits_says_what_the_machine_has),
	    TEST(the_v2_root_uses_what_the_machine_uses),
	    TEST(a_service_of_systemd_is_found_below_the_mount),
	    TEST(v2_without_a_namespace_is_found_by_its_whole_path),
	    TEST(a_limit_of_an_ancestor_binds_and_its_numbers_count),
	    TEST(the_nearest_limit_binds),
	    TEST(cpu_and_memory_may_be_limited_in_different_places),
	    TEST(a_limit_that_is_more_than_the_machine_has_is_none),
	    TEST(v1_limits_and_usage_of_a_container_are_found),
	    TEST(v1_without_limits_says_what_the_machine_has),
	    TEST(v1_with_cpu_and_cpuacct_apart_is_read_from_both),
	    TEST(v1_usage_is_that_of_the_folder_with_the_limit),
	    TEST(v1_with_a_host_path_that_cannot_be_seen_is_read_at_the_mount),
	    TEST(a_process_outside_its_namespaces_root_is_read_at_the_mount),
	    TEST(a_path_that_only_begins_like_the_mounts_root_is_not_cut),
	    TEST(a_hybrid_machine_is_read_where_its_controllers_are),
	    TEST(one_controller_may_be_on_v1_and_another_on_v2),
	    TEST(without_cgroups_it_is_the_machine_that_is_told_of),
	    TEST(without_proc_both_fail),
	    TEST(each_file_of_v2_that_cannot_be_read_is_a_failure),
	    TEST(each_field_of_v2_that_is_missing_is_a_failure),
	    TEST(each_file_of_v1_that_cannot_be_read_is_a_failure),
	    TEST(without_cgroups_the_machines_files_are_needed),
	    TEST(a_folder_without_the_controllers_is_not_limited),
	    TEST(without_a_descriptor_left_both_fail),
	    TEST(lines_of_nonsense_are_passed_over),
	    TEST(this_machine_can_be_read),
	};

	return SUPPORT_RUN(tests);
}
