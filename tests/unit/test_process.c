/*
 * The process collector, on a tree of /proc of our own and on this process.
 */
#include "support.h"

#include <math.h>
#include <sys/resource.h>

#include "metrics/collectors/process.h"

/* /proc/PID of a process that used so many ticks, with so many open files. */
static void
make_process(
    int pid, const char *name, const char *times, int fds, const char *max_fds)
{
	char path[128];
	char text[512];

	snprintf(path, sizeof(path), "proc/%d/stat", pid);
	snprintf(text, sizeof(text),
	    "%d (%s) S 1 2 3 0 -1 4194304 900 901 902 903 %s 20 0 1 0 30000 "
	    "10000000 500 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 "
	    "0 0 0 0\n",
	    pid, name, times);
	support_write_text(support_path(path), text);
	snprintf(path, sizeof(path), "proc/%d/limits", pid);
	snprintf(text, sizeof(text),
	    "Limit                     Soft Limit           Hard Limit\n"
	    "Max cpu time              unlimited            unlimited\n"
	    "Max open files            %-20s 1048576\n"
	    "Max locked memory         8388608              8388608\n",
	    max_fds);
	support_write_text(support_path(path), text);
	for (int i = 0; i < fds; i++) {
		snprintf(path, sizeof(path), "proc/%d/fd/%d", pid, i);
		support_write_text(support_path(path), "");
	}
}

/* Read processes of the folder. */
static void
read_processes(const pid_t *pids, size_t count, struct process *process)
{
	assert_int_equal(process_read(support_folder, pids, count, process), 0);
}

static void
make_boot_time(void)
{
	support_write_text(support_path("proc/stat"),
	    "cpu  1 2 3 4 5 6 7 8 9 10\nintr 12345 0 0\nctxt 5\n"
	    "btime 1700000000\nprocesses 99\n");
}

static void
assert_near(double value, double expected)
{
	if (fabs(value - expected) > 1e-9)
		fail_msg("%.17g is not %.17g", value, expected);
}

static double
ticks(void)
{
	return (double)sysconf(_SC_CLK_TCK);
}

static uint64_t
page(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
one_process_is_read_whole(void **state)
{
	static const pid_t pids[] = {10};
	struct process process;

	(void)state;
	make_boot_time();
	make_process(10, "worker", "100 20 3 4", 5, "1024");
	read_processes(pids, 1, &process);
	/* with the time of its reaped children */
	assert_near(process.cpu_seconds, (100 + 20 + 3 + 4) / ticks());
	assert_int_equal(process.virtual_bytes, 10000000);
	assert_int_equal(process.resident_bytes, 500 * page());
	assert_int_equal(process.open_fds, 5);
	assert_int_equal(process.max_fds, 1024);
	assert_near(process.start_seconds, 1700000000 + 30000 / ticks());
}

static void
several_processes_are_added_up(void **state)
{
	static const pid_t pids[] = {10, 11, 12};
	struct process process;

	(void)state;
	make_boot_time();
	make_process(10, "master", "1 2 3 4", 5, "4096");
	make_process(11, "worker", "10 20 0 0", 6, "1024");
	make_process(12, "worker", "100 200 0 0", 7, "2048");
	read_processes(pids, 3, &process);
	assert_near(process.cpu_seconds, 340 / ticks());
	assert_int_equal(process.virtual_bytes, 30000000);
	assert_int_equal(process.resident_bytes, 1500 * page());
	assert_int_equal(process.open_fds, 18);
	assert_int_equal(process.max_fds, 1024); /* the smallest */
}

static void
a_name_may_hold_anything(void **state)
{
	static const char *const names[] = {
	    "a b", "a) S 1 (b", ")", "((", "%s %d", ""};
	static const pid_t pids[] = {10};
	struct process process;

	(void)state;
	make_boot_time();
	for (size_t i = 0; i < COUNT(names); i++) {
		make_process(10, names[i], "100 0 0 0", 1, "1024");
		read_processes(pids, 1, &process);
		assert_near(process.cpu_seconds, 100 / ticks());
	}
}

static void
a_process_that_is_gone_adds_nothing(void **state)
{
	static const pid_t pids[] = {9, 10, 11};
	struct process process;

	(void)state;
	make_boot_time();
	make_process(10, "worker", "100 0 0 0", 2, "unlimited");
	read_processes(pids, 3, &process);
	assert_near(process.cpu_seconds, 100 / ticks());
	assert_int_equal(process.open_fds, 2);
	assert_int_equal(process.max_fds, 0); /* no limit is known */
}

static void
that_no_process_is_there_is_a_failure(void **state)
{
	static const pid_t pids[] = {9, 11};
	struct process process;

	(void)state;
	make_boot_time();
	assert_int_equal(
	    process_read(support_folder, pids, 2, &process), -ESRCH);
	assert_int_equal(
	    process_read(support_folder, NULL, 0, &process), -ESRCH);
}

static void
without_proc_it_fails(void **state)
{
	static const pid_t pids[] = {10};
	struct process process;

	(void)state;
	make_process(10, "worker", "100 0 0 0", 2, "1024");
	assert_int_equal(
	    process_read(support_folder, pids, 1, &process), -ENOENT);
	support_write_text(support_path("proc/stat"), "cpu 1 2 3\n");
	assert_int_equal(
	    process_read(support_folder, pids, 1, &process), -EBADMSG);
}

static void
half_a_file_is_a_failure(void **state)
{
	static const char *const texts[] = {
	    "", "10", "10 (worker", "10 (worker)", "10 (worker) S 1 2 3"};
	static const pid_t pids[] = {9, 10};
	struct process process;

	(void)state;
	make_boot_time();
	make_process(9, "worker", "100 0 0 0", 2, "1024");
	make_process(10, "worker", "100 0 0 0", 2, "1024");
	for (size_t i = 0; i < COUNT(texts); i++) {
		support_write_text(support_path("proc/10/stat"), texts[i]);
		assert_int_equal(
		    process_read(support_folder, pids, 2, &process), -EBADMSG);
	}
	make_process(10, "worker", "100 0 0 0", 2, "1024");
	support_write_text(support_path("proc/10/limits"), "Limit\n");
	assert_int_equal(
	    process_read(support_folder, pids, 2, &process), -EBADMSG);
}

static int
read_with_few_descriptors(void *unused)
{
	const pid_t pid = getppid();
	/* The next one to be had; what reads closes it again. */
	int free_one = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct process process;
	struct rlimit limit;

	(void)unused;
	close(free_one);
	/* The soft limit alone: valgrind lets nobody change the hard one. */
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	for (rlim_t left = 0; left <= 1; left++) {
		limit.rlim_cur = (rlim_t)free_one + left;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			return 1;
		if (process_read("", &pid, 1, &process) != (left ? 0 : -EMFILE))
			return 2;
	}
	return 0;
}

static void
without_a_descriptor_left_it_fails_and_recovers(void **state)
{
	(void)state;
	assert_int_equal(support_in_child(read_with_few_descriptors, NULL), 0);
}

/* Those that a folder lists, less the one it is read through. */
static uint64_t
listed_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint64_t count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count - 3; /* and "." and ".." */
}

static void
this_process_is_read_as_it_is(void **state)
{
	const pid_t pid = getpid();
	struct process process;
	struct process more;
	int fd;

	(void)state;
	assert_int_equal(process_read("", &pid, 1, &process), 0);
	assert_true(process.resident_bytes > 100 * 1024);
	assert_true(process.virtual_bytes > process.resident_bytes);
	assert_true(process.max_fds >= process.open_fds);
	assert_in_range((uint64_t)process.start_seconds,
	    (uint64_t)time(NULL) - SUPPORT_DEADLINE - 60,
	    (uint64_t)time(NULL) + 60);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(process_read("", &pid, 1, &more), 0);
	/* Before Linux 6.2 with the folder that it reads itself. */
	assert_in_range(more.open_fds, listed_fds(), listed_fds() + 1);
	close(fd);
	assert_int_equal(more.open_fds, process.open_fds + 1);
}

#define TEST(name) cmocka_unit_test_setup(name, support_clear)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(one_process_is_read_whole),
	    TEST(several_processes_are_added_up),
	    TEST(a_name_may_hold_anything),
	    TEST(a_process_that_is_gone_adds_nothing),
	    TEST(that_no_process_is_there_is_a_failure),
	    TEST(without_proc_it_fails),
	    TEST(half_a_file_is_a_failure),
	    TEST(without_a_descriptor_left_it_fails_and_recovers),
	    TEST(this_process_is_read_as_it_is),
	};

	return SUPPORT_RUN(tests);
}
