/*
 * The cgroup collectors, on trees of cgroup v1, and of both versions.
 */
#include "cgroup_tree.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(v1_limits_and_usage_of_a_container_are_found),
	    TEST(v1_without_limits_says_what_the_machine_has),
	    TEST(v1_with_cpu_and_cpuacct_apart_is_read_from_both),
	    TEST(v1_usage_is_that_of_the_folder_with_the_limit),
	    TEST(v1_with_a_host_path_that_cannot_be_seen_is_read_at_the_mount),
	    TEST(a_process_outside_its_namespaces_root_is_read_at_the_mount),
	    TEST(a_path_that_only_begins_like_the_mounts_root_is_not_cut),
	    TEST(a_hybrid_machine_is_read_where_its_controllers_are),
	    TEST(one_controller_may_be_on_v1_and_another_on_v2),
	};

	return SUPPORT_RUN(tests);
}
