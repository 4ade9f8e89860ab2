/*
 * How much load is asked for: every amount that there is, and every one that
 * there is not. Raising it is for the integration tests.
 */
#include "support.h"

#include <math.h>

#include "load/amount.h"

enum { MIB = 1 << 20 };

static const struct cgroup limited = {
    .cpu_limited = true,
    .cpu_limit_cores = 0.5,
    .memory_limited = true,
    .memory_limit_bytes = 128 * MIB,
};

static const struct cgroup unlimited = {
    .cpu_limit_cores = 4,
    .memory_limit_bytes = UINT64_C(8) << 30,
};

static char problem[200];

static struct load
cpu(const char *text, const struct cgroup *cgroup)
{
	struct load load = {0};

	if (load_amount_cpu(&load, text, cgroup, problem, sizeof(problem)) != 0)
		fail_msg("'%s' is refused: %s", text, problem);
	return load;
}

static struct load
memory(const char *text, const struct cgroup *cgroup)
{
	struct load load = {0};

	if (load_amount_memory(&load, text, cgroup, problem, sizeof(problem)) !=
	    0)
		fail_msg("'%s' is refused: %s", text, problem);
	return load;
}

static void
assert_near(double value, double expected)
{
	if (fabs(value - expected) > 1e-9)
		fail_msg("%g is not %g", value, expected);
}

/* A sentence for whoever asked. */
static void
assert_sentence(const char *part)
{
	assert_says(problem, part);
	assert_int_equal(problem[strlen(problem) - 1], '.');
}

static void
assert_cpu_refused(
    const char *text, const struct cgroup *cgroup, const char *because)
{
	struct load load = {0};

	problem[0] = '\0';
	if (load_amount_cpu(&load, text, cgroup, problem, sizeof(problem)) !=
	    -EINVAL)
		fail_msg("'%s' is taken", text);
	assert_sentence(because);
}

static void
assert_memory_refused(
    const char *text, const struct cgroup *cgroup, const char *because)
{
	struct load load = {0};

	problem[0] = '\0';
	if (load_amount_memory(&load, text, cgroup, problem, sizeof(problem)) !=
	    -EINVAL)
		fail_msg("'%s' is taken as %llu bytes", text,
		    (unsigned long long)load.memory_bytes);
	assert_sentence(because);
}

static void
a_fraction_is_of_the_limit(void **state)
{
	(void)state;
	assert_near(cpu("1.5", &limited).cpu_cores, 0.75);
	assert_near(cpu("0.5", &unlimited).cpu_cores, 2);
	assert_near(cpu("0", &limited).cpu_cores, 0);
	assert_near(cpu("10", &limited).cpu_cores, 5);
}

static void
percent_is_a_fraction_too(void **state)
{
	(void)state;
	assert_near(cpu("150%", &limited).cpu_cores, 0.75);
	assert_near(cpu("12.5%", &unlimited).cpu_cores, 0.5);
	assert_near(cpu("1000%", &limited).cpu_cores, 5);
}

static void
cores_are_cores_whatever_the_limit(void **state)
{
	(void)state;
	assert_near(cpu("0.5cores", &limited).cpu_cores, 0.5);
	assert_near(cpu("1core", &unlimited).cpu_cores, 1);
	assert_near(cpu("5cores", &limited).cpu_cores, 5);
}

static void
up_to_the_limit_all_of_it_is_sure(void **state)
{
	(void)state;
	assert_near(cpu("0.9", &limited).cpu_floor, 0.45);
	assert_near(cpu("1", &limited).cpu_floor, 0.5);
	assert_near(cpu("1.5", &limited).cpu_floor, 0.5);
	assert_near(cpu("5cores", &limited).cpu_floor, 0.5);
}

static void
a_bad_amount_of_cpu_is_refused(void **state)
{
	static const char *const bad[] = {"", "x", "%", "cores", "-1", "+1",
	    "1e3", "nan", "inf", ".5", "1.", "1.5.5", "1.5%%", "50 %",
	    "2 cores", "2Cores", "2coresx", "2cor", " 1", "1 ", "0x1", "1,5",
	    "123456789012345678901234567890123"};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_cpu_refused(bad[i], &limited, "such as 1.5");
}

static void
more_than_ten_times_the_limit_is_refused(void **state)
{
	static const char *const bad[] = {
	    "10.01", "1001%", "5.1cores", "99999999999999999999999999999999"};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_cpu_refused(bad[i], &limited, "at most 10 times");
}

static void
a_size_is_bytes_on_top(void **state)
{
	(void)state;
	assert_int_equal(memory("64K", &limited).memory_bytes, 65536);
	assert_int_equal(memory("64M", &limited).memory_bytes, 64 * MIB);
	assert_int_equal(memory("64Mi", &limited).memory_bytes, 64 * MIB);
	assert_int_equal(memory("64MiB", &limited).memory_bytes, 64 * MIB);
	assert_int_equal(memory("0.5M", &limited).memory_bytes, MIB / 2);
	assert_int_equal(
	    memory("2G", &unlimited).memory_bytes, UINT64_C(2) << 30);
	assert_int_equal(memory("64M", &limited).memory_target, 0);
}

static void
percent_is_what_the_cgroup_is_to_use(void **state)
{
	(void)state;
	assert_int_equal(memory("50%", &limited).memory_target, 64 * MIB);
	assert_int_equal(memory("150%", &limited).memory_target, 192 * MIB);
	assert_int_equal(memory("0%", &limited).memory_target, 0);
	assert_int_equal(memory("50%", &limited).memory_bytes, 0);
}

static void
a_bare_number_is_a_fraction_of_the_limit(void **state)
{
	(void)state;
	assert_int_equal(memory("0.5", &limited).memory_target, 64 * MIB);
	assert_int_equal(memory("1", &limited).memory_target, 128 * MIB);
	assert_int_equal(memory("1.5", &limited).memory_target, 192 * MIB);
	assert_int_equal(memory("0.9", &unlimited).memory_target,
	    memory("90%", &unlimited).memory_target);
	assert_int_equal(memory("0", &limited).memory_target, 0);
	assert_int_equal(memory("0", &limited).memory_bytes, 0);
	assert_int_equal(memory("0.5", &limited).memory_bytes, 0);
}

static void
a_bare_number_over_one_and_a_half_is_refused_with_what_to_write(void **state)
{
	static const char *const bad[] = {"1.51", "2", "64", "4096",
	    "18446744073709551616", "99999999999999999999999999999999"};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_memory_refused(bad[i], &limited,
		    "A memory value without a unit is a fraction of the limit");
		assert_memory_refused(bad[i], &unlimited, "64M");
	}
}

/* Where the kernel would kill the whole container at its limit. */
static void
a_container_that_dies_as_a_whole_is_kept_below_its_limit(void **state)
{
	struct cgroup group = limited;

	(void)state;
	group.memory_oom_group = true;
	assert_int_equal(memory("0.5", &group).memory_target, 64 * MIB);
	memory("97%", &group);
	memory("0.97", &group);
	assert_memory_refused("0.98", &group, "memory.oom.group");
	assert_memory_refused("98%", &group, "memory.oom.group");
	assert_memory_refused("1M", &group, "memory.oom.group");
	assert_memory_refused("64", &group, "without a unit");
}

/* What the master asks about an order, which a worker may have made up. */
static void
only_memory_that_could_be_asked_for_is_allowed(void **state)
{
	struct cgroup group = limited, unread = limited;
	const struct {
		const struct cgroup *cgroup;
		uint64_t bytes, target;
		bool is_allowed;
	} cases[] = {
	    {&limited, 192 * MIB, 0, true},
	    {&limited, 192 * MIB + 1, 0, false},
	    {&limited, UINT64_MAX, 0, false},
	    {&limited, 0, memory("150%", &limited).memory_target, true},
	    {&limited, 0, 192 * MIB + 1, false},
	    {&unlimited, 0, memory("90%", &unlimited).memory_target, true},
	    {&unlimited, 0, unlimited.memory_limit_bytes, false},
	    {&unlimited, unlimited.memory_limit_bytes, 0, false},
	    {&group, 0, memory("97%", &limited).memory_target, true},
	    {&group, 0, memory("98%", &limited).memory_target, false},
	    {&group, 1, 0, false},
	    {&unread, 1, 0, false},
	    {&unread, 0, 1, false},
	    {&unread, 0, 0, true},
	};

	(void)state;
	group.memory_oom_group = true;
	unread.memory_error = -EACCES;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct load load = {.memory_bytes = cases[i].bytes,
		    .memory_target = cases[i].target};

		if (load_amount_allows_memory(&load, cases[i].cgroup) !=
		    cases[i].is_allowed)
			fail_msg("case %zu", i);
	}
}

static void
a_bad_amount_of_memory_is_refused(void **state)
{
	static const char *const bad[] = {"", "x", "M", "-1M", "64MB", "64m",
	    "64 M", "64P", "64KK", "64iB", "64Mib", "1e6", ".5M", "1.M", "50%%",
	    "50 %", "nanM", "infM", "0x10"};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_memory_refused(bad[i], &limited, "such as 0.95 or 95%");
}

static void
more_memory_than_is_sensible_is_refused(void **state)
{
	(void)state;
	assert_memory_refused("151%", &limited, "at most 150%");
	assert_memory_refused("193M", &limited, "at most 150%");
	assert_memory_refused("91%", &unlimited, "at most 90%");
	assert_memory_refused("0.91", &unlimited, "at most 90%");
	assert_memory_refused("8G", &unlimited, "90% of the machine");
}

static void
a_size_beyond_all_numbers_is_refused_and_not_taken_for_nothing(void **state)
{
	static const char *const bad[] = {
	    "16777216T", "99999999999T", "99999999999999999999999999999999T"};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_memory_refused(bad[i], &limited, "at most 150%");
		assert_memory_refused(bad[i], &unlimited, "at most 150%");
	}
}

static void
a_share_of_a_limit_that_cannot_be_read_is_refused_with_the_reason(void **state)
{
	static const struct cgroup unread = {
	    .cpu_error = -EMFILE, .memory_error = -EACCES};
	struct load load = {0};

	(void)state;
	assert_int_equal(
	    load_amount_cpu(&load, "1.5", &unread, problem, sizeof(problem)),
	    -EMFILE);
	assert_sentence("CPU limit cannot be read: Too many open files.");
	assert_int_equal(
	    load_amount_memory(&load, "64M", &unread, problem, sizeof(problem)),
	    -EACCES);
	assert_sentence("memory limit cannot be read: Permission denied.");
	/* None is none, whatever the limit. */
	cpu("0", &unread);
	memory("0", &unread);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_fraction_is_of_the_limit),
	    cmocka_unit_test(percent_is_a_fraction_too),
	    cmocka_unit_test(cores_are_cores_whatever_the_limit),
	    cmocka_unit_test(up_to_the_limit_all_of_it_is_sure),
	    cmocka_unit_test(a_bad_amount_of_cpu_is_refused),
	    cmocka_unit_test(more_than_ten_times_the_limit_is_refused),
	    cmocka_unit_test(a_size_is_bytes_on_top),
	    cmocka_unit_test(percent_is_what_the_cgroup_is_to_use),
	    cmocka_unit_test(a_bare_number_is_a_fraction_of_the_limit),
	    cmocka_unit_test(
		a_bare_number_over_one_and_a_half_is_refused_with_what_to_write),
	    cmocka_unit_test(
		a_container_that_dies_as_a_whole_is_kept_below_its_limit),
	    cmocka_unit_test(only_memory_that_could_be_asked_for_is_allowed),
	    cmocka_unit_test(a_bad_amount_of_memory_is_refused),
	    cmocka_unit_test(more_memory_than_is_sensible_is_refused),
	    cmocka_unit_test(
		a_size_beyond_all_numbers_is_refused_and_not_taken_for_nothing),
	    cmocka_unit_test(
		a_share_of_a_limit_that_cannot_be_read_is_refused_with_the_reason),
	};

	return SUPPORT_RUN(tests);
}
