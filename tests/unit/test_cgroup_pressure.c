/*
 * The collector cgroup_pressure, on trees of files, and on this machine.
 */
#include "cgroup_tree.h"

#include "metrics/collector.h"
#include "metrics/collectors/cgroup_pressure.h"

#define LINE(kind, total)                                                      \
	kind " avg10=1.53 avg60=0.87 avg300=0.73 total=" total "\n"

/* The three files of a folder, each with other numbers. */
/* clang-format off */
#define PRESSURE(folder)                                                 \
	{folder "cpu.pressure", LINE("some", "1000") LINE("full", "2")}, \
	{folder "memory.pressure", LINE("some", "3") LINE("full", "4")}, \
	{folder "io.pressure", LINE("some", "5") LINE("full", "0")}
/* clang-format on */

static void
assert_resource(const struct cgroup_pressure_resource *resource,
    uint64_t waiting_ns, uint64_t stalled_ns)
{
	assert_int_equal(resource->waiting_ns, waiting_ns);
	assert_int_equal(resource->stalled_ns, stalled_ns);
}

static void
assert_absent(const struct cgroup_pressure *pressure)
{
	assert_resource(&pressure->cpu, COLLECTOR_ABSENT, COLLECTOR_ABSENT);
	assert_resource(&pressure->memory, COLLECTOR_ABSENT, COLLECTOR_ABSENT);
	assert_resource(&pressure->io, COLLECTOR_ABSENT, COLLECTOR_ABSENT);
}

/* As PRESSURE has it. */
static void
assert_pressure(const struct cgroup_pressure *pressure)
{
	assert_resource(&pressure->cpu, 1000000, 2000);
	assert_resource(&pressure->memory, 3000, 4000);
	assert_resource(&pressure->io, 5000, 0);
}

static void
read_pressure(
    const struct file *files, size_t count, struct cgroup_pressure *pressure)
{
	make_tree(files, count);
	assert_int_equal(cgroup_pressure_read(support_folder, pressure), 0);
}

static void
v2_pressure_is_read_in_nanoseconds(void **state)
{
	static const struct file files[] = {
	    V2_NAMESPACE, PRESSURE("sys/fs/cgroup/")};
	struct cgroup_pressure pressure;

	(void)state;
	read_pressure(files, COUNT(files), &pressure);
	assert_pressure(&pressure);
}

static void
v2_beside_the_controllers_of_v1_is_found(void **state)
{
	static const struct file files[] = {
	    {"proc/self/mountinfo",
		"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup "
		"rw,memory\n"},
	    {"proc/self/cgroup", "4:memory:/a\n1:cpu:/b\n0::/job\n"},
	    PRESSURE("sys/fs/cgroup/unified/job/"),
	    {"sys/fs/cgroup/unified/cpu.pressure", LINE("some", "77")},
	    {"sys/fs/cgroup/cpu/b/cpu.pressure", LINE("some", "78")}};
	struct cgroup_pressure pressure;

	(void)state;
	read_pressure(files, COUNT(files), &pressure);
	assert_pressure(&pressure);
}

static void
without_v2_all_is_absent_and_that_is_no_failure(void **state)
{
	static const struct file v1[] = {
	    {"proc/self/mountinfo", docker_v1_mounts},
	    {"proc/self/cgroup", docker_v1_cgroups},
	    PRESSURE("sys/fs/cgroup/memory/")};
	struct cgroup_pressure pressure;

	(void)state;
	read_pressure(v1, COUNT(v1), &pressure);
	assert_absent(&pressure);
}

static void
without_psi_all_is_absent_and_that_is_no_failure(void **state)
{
	static const struct file files[] = {
	    V2_NAMESPACE, V2_CPU("sys/fs/cgroup/")};
	struct cgroup_pressure pressure;

	(void)state;
	read_pressure(files, COUNT(files), &pressure);
	assert_absent(&pressure);
}

static void
a_resource_without_a_file_is_absent_alone(void **state)
{
	static const struct file files[] = {
	    V2_NAMESPACE, PRESSURE("sys/fs/cgroup/")};
	struct cgroup_pressure pressure;

	(void)state;
	make_tree(files, COUNT(files));
	assert_int_equal(
	    unlink(support_path("sys/fs/cgroup/memory.pressure")), 0);
	assert_int_equal(cgroup_pressure_read(support_folder, &pressure), 0);
	assert_resource(&pressure.cpu, 1000000, 2000);
	assert_resource(&pressure.memory, COLLECTOR_ABSENT, COLLECTOR_ABSENT);
	assert_resource(&pressure.io, 5000, 0);
}

static void
cpu_without_a_full_line_has_only_the_time_of_waiting(void **state)
{
	/* Before Linux 5.13. */
	static const struct file files[] = {V2_NAMESPACE,
	    PRESSURE("sys/fs/cgroup/"),
	    {"sys/fs/cgroup/cpu.pressure", LINE("some", "9")}};
	struct cgroup_pressure pressure;

	(void)state;
	read_pressure(files, COUNT(files), &pressure);
	assert_resource(&pressure.cpu, 9000, COLLECTOR_ABSENT);
	assert_resource(&pressure.memory, 3000, 4000);
}

static void
a_broken_file_is_a_failure(void **state)
{
	static const struct file files[] = {
	    V2_NAMESPACE, PRESSURE("sys/fs/cgroup/")};
	static const char *const names[] = {
	    "cpu.pressure", "memory.pressure", "io.pressure"};
	static const char *const broken[] = {
	    "",
	    "\n",
	    "some\n",
	    "some \n",
	    "something total=5\n",
	    "nonsense\n",
	    LINE("full", "1"),
	    LINE("some", ""),
	    LINE("some", "x"),
	    LINE("some", "-1"),
	    LINE("some", "5x"),
	    LINE("some", "0x5"),
	    LINE("some", "99999999999999999999999"),
	    /* more nanoseconds than a number can hold */
	    LINE("some", "18446744073709552"),
	    "some avg10=0.00\n" LINE("full", "1"),
	    "some avg10=0.00 Total=5\n",
	    LINE("some", "1") LINE("full", "x"),
	    LINE("some", "1") "full avg10=0.00\n",
	};
	struct cgroup_pressure pressure;

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		char path[64];

		make_tree(files, COUNT(files));
		snprintf(path, sizeof(path), "sys/fs/cgroup/%s", names[i]);
		for (size_t k = 0; k < COUNT(broken); k++) {
			support_write_text(support_path(path), broken[k]);
			if (cgroup_pressure_read(support_folder, &pressure) !=
			    -EBADMSG)
				fail_msg("%s as '%s'", names[i], broken[k]);
		}
	}
}

static void
lines_of_other_kinds_are_passed_over(void **state)
{
	static const struct file files[] = {V2_NAMESPACE,
	    PRESSURE("sys/fs/cgroup/"),
	    {"sys/fs/cgroup/io.pressure",
		"\nsomewhat total=1\n" LINE("idle", "2") LINE("full", "3")
		    LINE("some", "18446744073709551")}};
	struct cgroup_pressure pressure;

	(void)state;
	read_pressure(files, COUNT(files), &pressure);
	assert_resource(&pressure.io, UINT64_C(18446744073709551000), 3000);
}

static void
without_proc_it_fails(void **state)
{
	struct cgroup_pressure pressure;

	(void)state;
	assert_int_equal(
	    cgroup_pressure_read(support_folder, &pressure), -ENOENT);
}

static void
this_machine_can_be_read(void **state)
{
	struct cgroup_pressure before;
	struct cgroup_pressure after;

	(void)state;
	assert_int_equal(cgroup_pressure_read("", &before), 0);
	assert_int_equal(cgroup_pressure_read("", &after), 0);
	/* Both are absent, or the time has not gone back. */
	assert_true(after.cpu.waiting_ns >= before.cpu.waiting_ns);
	assert_true(after.memory.stalled_ns >= before.memory.stalled_ns);
	if (before.memory.waiting_ns != COLLECTOR_ABSENT)
		assert_true(after.memory.stalled_ns != COLLECTOR_ABSENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(v2_pressure_is_read_in_nanoseconds),
	    TEST(v2_beside_the_controllers_of_v1_is_found),
	    TEST(without_v2_all_is_absent_and_that_is_no_failure),
	    TEST(without_psi_all_is_absent_and_that_is_no_failure),
	    TEST(a_resource_without_a_file_is_absent_alone),
	    TEST(cpu_without_a_full_line_has_only_the_time_of_waiting),
	    TEST(a_broken_file_is_a_failure),
	    TEST(lines_of_other_kinds_are_passed_over),
	    TEST(without_proc_it_fails),
	    TEST(this_machine_can_be_read),
	};

	return SUPPORT_RUN(tests);
}
