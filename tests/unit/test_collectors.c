/*
 * What the collectors add to a scrape, and what is left out if they fail.
 */
#include "scrape.h"

static double
success(const char *collector)
{
	char series[128];

	snprintf(series, sizeof(series),
	    "fcgi_collector_success{collector=\"%s\"}", collector);
	return value_of(EXPOSITION_TEXT, true, series);
}

/* Neither HELP, nor TYPE, nor a sample; or all of them. */
static void
assert_families(const char *const *names, bool expected)
{
	char *text = render(EXPOSITION_TEXT, true);
	char *openmetrics = render(EXPOSITION_OPENMETRICS, true);

	for (; *names; names++) {
		if ((strstr(text, *names) != NULL) != expected)
			fail_msg("%s is %s", *names,
			    expected ? "not there" : "there");
		assert_int_equal(strstr(openmetrics, *names) != NULL, expected);
	}
	free(text);
	free(openmetrics);
	check_text(EXPOSITION_TEXT, true);
	check_text(EXPOSITION_OPENMETRICS, true);
}

static const char *const cpu_families[] = {"cgroup_limited{resource=\"cpu\"}",
    "cgroup_cpu_limit_cores", "cgroup_cpu_usage_seconds", "cgroup_cpu_periods",
    "cgroup_cpu_throttled_periods", "cgroup_cpu_throttled_seconds", NULL};
static const char *const memory_families[] = {
    "cgroup_limited{resource=\"memory\"}", "cgroup_memory_limit_bytes",
    "cgroup_memory_usage_bytes", "cgroup_memory_working_set_bytes",
    "cgroup_oom_kills", NULL};
static const char *const process_families[] = {"process_cpu_seconds",
    "process_resident_memory_bytes", "process_virtual_memory_bytes",
    "process_open_fds", "process_max_fds", "process_start_time_seconds", NULL};
static const char *const queue_families[] = {
    "fcgi_listen_queue_length", "fcgi_listen_queue_limit", NULL};

static void
a_collector_that_fails_leaves_its_families_out_and_says_so(void **state)
{
	static const struct {
		const char *collector;
		const char *file;
		const char *const *families;
	} failures[] = {
	    {"cgroup_memory", "proc/meminfo", memory_families},
	    {"process", "proc/11/limits", process_families},
	};

	(void)state;
	support_capture();
	for (size_t i = 0; i < COUNT(failures); i++) {
		assert_families(failures[i].families, true);
		assert_true(success(failures[i].collector) > 0);
		support_write_text(
		    support_path(failures[i].file), "nonsense\n");
		assert_families(failures[i].families, false);
		assert_true(fabs(success(failures[i].collector)) < 1e-9);
		make_proc();
		assert_families(failures[i].families, true);
		assert_true(success(failures[i].collector) > 0);
	}
	support_said();
}

static void
without_proc_all_that_comes_from_it_is_left_out(void **state)
{
	const char *said;

	(void)state;
	support_remove(support_path("proc"));
	support_capture();
	assert_families(cpu_families, false);
	assert_families(memory_families, false);
	assert_families(process_families, false);
	assert_families((const char *const[]){"cgroup_limited", NULL}, false);
	assert_true(fabs(success("cgroup_cpu")) < 1e-9);
	said = support_said();
	assert_says(said, "collector cgroup_cpu: cannot read: No such file");
	/* once, and not at each scrape */
	assert_null(strstr(
	    strstr(said, "collector cgroup_cpu") + 1, "collector cgroup_cpu"));
	assert_families(queue_families, true);
	assert_true(success("listen_queue") > 0);
	make_proc();
	assert_families(cpu_families, true);
	assert_families(memory_families, true);
	assert_families(process_families, true);
}

static void
a_listen_queue_that_cannot_be_asked_for_is_left_out(void **state)
{
	int open_netlink = netlink;

	(void)state;
	assert_families(queue_families, true);
	netlink = -EMFILE; /* as listen_backlog_open() failed */
	support_capture();
	assert_families(queue_families, false);
	assert_true(fabs(success("listen_queue")) < 1e-9);
	assert_says(support_said(), "Too many open files");
	netlink = open_netlink;
	assert_families(queue_families, true);
}

static void
without_a_pool_there_is_no_process_and_no_queue(void **state)
{
	char *text;

	(void)state;
	support_capture();
	text = render(EXPOSITION_TEXT, false);
	assert_string_equal(support_said(), ""); /* nothing has failed */
	assert_null(strstr(text, "process_"));
	assert_null(strstr(text, "fcgi_listen_queue"));
	assert_says(text, "fcgi_collector_success{collector=\"process\"} 0\n");
	assert_says(text, "cgroup_cpu_usage_seconds_total ");
	free(text);
}

/* A cgroup v2 with these files. make_proc() takes it away. */
static void
make_pressure(const char *cpu, const char *memory)
{
	support_write_text(support_path("proc/self/mountinfo"),
	    "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	support_write_text(support_path("proc/self/cgroup"), "0::/\n");
	support_write_text(
	    support_path("sys/fs/cgroup/cpu.stat"), "usage_usec 1\n");
	support_write_text(support_path("sys/fs/cgroup/cpu.pressure"), cpu);
	support_write_text(
	    support_path("sys/fs/cgroup/memory.pressure"), memory);
}

static void
without_psi_the_collector_has_no_families_and_has_not_failed(void **state)
{
	static const char *const families[] = {"cgroup_pressure_", NULL};

	(void)state;
	assert_families(families, false);
	assert_true(success("cgroup_pressure") > 0);
	make_pressure("some total=1\n", "some total=1\n");
	assert_families(
	    (const char *const[]){"cgroup_pressure_stalled", NULL}, false);
	assert_families(
	    (const char *const[]){"cgroup_pressure_waiting", NULL}, true);
	make_proc();
}

static void
pressure_that_is_not_known_is_left_out_and_the_rest_is_shown(void **state)
{
	static const struct {
		const char *series;
		double value; /* -1: absent */
	} expected[] = {
	    {"waiting_seconds_total{resource=\"cpu\"}", 1.5},
	    {"waiting_seconds_total{resource=\"memory\"}", 3},
	    {"waiting_seconds_total{resource=\"io\"}", -1},
	    {"stalled_seconds_total{resource=\"cpu\"}", -1},
	    {"stalled_seconds_total{resource=\"memory\"}", 0},
	};

	(void)state;
	make_pressure(
	    "some total=1500000\n", "some total=3000000\nfull total=0\n");
	for (size_t i = 0; i < COUNT(expected); i++) {
		char series[128];
		double value;

		snprintf(series, sizeof(series), "cgroup_pressure_%s",
		    expected[i].series);
		value = value_of(EXPOSITION_TEXT, true, series);
		if (fabs(value - expected[i].value) > 1e-9)
			fail_msg("%s is %g", series, value);
	}
	check_text(EXPOSITION_OPENMETRICS, true);
	support_capture();
	make_pressure("some total=1\n", "some total=?\n");
	assert_families((const char *const[]){"cgroup_pressure_", NULL}, false);
	assert_true(fabs(success("cgroup_pressure")) < 1e-9);
	assert_says(support_said(), "collector cgroup_pressure: cannot read");
	make_proc();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		a_collector_that_fails_leaves_its_families_out_and_says_so),
	    cmocka_unit_test(without_proc_all_that_comes_from_it_is_left_out),
	    cmocka_unit_test(
		a_listen_queue_that_cannot_be_asked_for_is_left_out),
	    cmocka_unit_test(without_a_pool_there_is_no_process_and_no_queue),
	    cmocka_unit_test(
		without_psi_the_collector_has_no_families_and_has_not_failed),
	    cmocka_unit_test(
		pressure_that_is_not_known_is_left_out_and_the_rest_is_shown),
	};

	return SUPPORT_RUN_WITH(tests, set_up, tear_down);
}
