/*
 * The cgroup collectors, where something is missing or cannot be read.
 */
#include "cgroup_tree.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
