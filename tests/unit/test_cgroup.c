/*
 * The cgroup collector, on trees of /proc and /sys as Docker, Kubernetes,
 * systemd and bare machines show them.
 */
#include "support.h"

#include <math.h>
#include <sched.h>

#include "metrics/cgroup.h"

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
	}
/* clang-format on */

static const uint64_t machine = UINT64_C(8) << 30;

static void
make_tree(const struct file *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		support_write_text(support_path(files[i].path), files[i].text);
}

#define READ(files, cgroup)                                                    \
	(make_tree((files), COUNT(files)),                                     \
	    cgroup_read(support_folder, (cgroup)))

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
	    {"proc/self/cgroup", "0::/system.slice/fcgi-webapp.service\n"},
	    {"proc/self/mountinfo",
		"22 28 0:20 / /sys rw - sysfs sysfs rw\n"
		"30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 "
		"cgroup2 rw,nsdelegate,memory_recursiveprot\n"},
	    {"sys/fs/cgroup/system.slice/cpu.max", "max 100000\n"},
	    {"sys/fs/cgroup/system.slice/fcgi-webapp.service/cpu.max",
		"150000 100000\n"},
	    {"sys/fs/cgroup/system.slice/fcgi-webapp.service/cpu.stat",
		"usage_usec 42\nnr_periods 1\n"},
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
	    {"proc/self/cgroup",
		"0::/kubepods.slice/kubepods-burstable.slice/"
		"kubepods-pod1.slice/cri-containerd-abc.scope\n"},
	    {"proc/self/mountinfo",
		"900 800 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"},
	    {"sys/fs/cgroup/" CONTAINER "cpu.max", "20000 100000\n"},
	    {"sys/fs/cgroup/" CONTAINER "cpu.stat", "throttled_usec 9\n"},
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
	static const struct file files[] = {MEMINFO,
	    {"proc/self/cgroup", "0::/a/b\n"},
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
	static const struct file files[] = {
	    V2_NAMESPACE, {"sys/fs/cgroup/memory.max", "17179869184\n"}};
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
	    {"proc/self/mountinfo",
		"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		"33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup "
		"rw,cpuacct\n"},
	    {"proc/self/cgroup", "2:cpuacct:/job\n1:cpu:/job\n"},
	    {"sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "400000\n"},
	    {"sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "200000\n"},
	    {"sys/fs/cgroup/cpu/job/cpu.stat", "throttled_time 7\n"},
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
	static const struct file files[] = {MEMINFO,
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
	static const struct file files[] = {MEMINFO,
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
	assert_int_equal(cgroup.cpu_usage_ns, 0);
	assert_int_equal(cgroup.memory_usage_bytes, (uint64_t)2048 * MIB);
}

static void
without_proc_nothing_is_claimed(void **state)
{
	struct cgroup cgroup;

	(void)state;
	cgroup_read(support_folder, &cgroup);
	assert_false(cgroup.cpu_limited);
	assert_false(cgroup.memory_limited);
	assert_cores(&cgroup, all_cpus());
	assert_int_equal(cgroup.memory_limit_bytes, 0);
	assert_int_equal(cgroup.memory_usage_bytes, 0);
}

static void
files_of_nonsense_claim_nothing(void **state)
{
	static const struct file files[] = {MEMINFO,
	    {"proc/self/cgroup", "\n\n:\n::\n0:\nx\n0::/\n"},
	    {"proc/self/mountinfo",
		"\n-\n - \n1 2 3\n1 2 3 / /x rw - cgroup2\n"
		"30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"},
	    {"sys/fs/cgroup/cpu.max", "nonsense\n"},
	    {"sys/fs/cgroup/cpu.stat", "\n\nusage_usec\nusage_usecs 5\n"},
	    {"sys/fs/cgroup/memory.max", "\n"},
	    {"sys/fs/cgroup/memory.current", ""},
	    {"sys/fs/cgroup/memory.events", "oom_killer 5\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_not_limited(&cgroup);
	assert_int_equal(cgroup.cpu_usage_ns, 0);
	assert_int_equal(cgroup.memory_oom_kills, 0);
}

static void
a_quota_without_a_period_is_no_limit(void **state)
{
	static const struct file files[] = {
	    V2_NAMESPACE, {"sys/fs/cgroup/cpu.max", "50000 0\n"}};
	struct cgroup cgroup;

	(void)state;
	READ(files, &cgroup);
	assert_not_limited(&cgroup);
}

static void
this_machine_can_be_read(void **state)
{
	struct cgroup cgroup;

	(void)state;
	cgroup_read("", &cgroup);
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
	    TEST(without_proc_nothing_is_claimed),
	    TEST(files_of_nonsense_claim_nothing),
	    TEST(a_quota_without_a_period_is_no_limit),
	    TEST(this_machine_can_be_read),
	};

	return SUPPORT_RUN(tests);
}
