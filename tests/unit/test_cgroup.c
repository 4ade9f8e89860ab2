/*
 * The cgroup collectors, on trees of cgroup v2 as Docker, Kubernetes and
 * systemd make them.
 */
#include "cgroup_tree.h"

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
	    V2_MEMORY("sys/fs/cgroup/system.slice/app.service/"),
	    {"proc/self/cgroup", "0::/system.slice/app.service\n"},
	    {"proc/self/mountinfo",
		"22 28 0:20 / /sys rw - sysfs sysfs rw\n"
		"30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 "
		"cgroup2 rw,nsdelegate,memory_recursiveprot\n"},
	    {"sys/fs/cgroup/system.slice/cpu.max", "max 100000\n"},
	    {"sys/fs/cgroup/system.slice/app.service/cpu.max",
		"150000 100000\n"},
	    {"sys/fs/cgroup/system.slice/app.service/cpu.stat",
		"usage_usec 42\nnr_periods 1\nnr_throttled 0\n"
		"throttled_usec 0\n"},
	    {"sys/fs/cgroup/system.slice/app.service/memory.max",
		"268435456\n"},
	    {"sys/fs/cgroup/system.slice/app.service/memory.current",
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
	};

	return SUPPORT_RUN(tests);
}
