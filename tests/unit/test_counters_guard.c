/*
 * Another program truncates, deletes or replaces the counter file while
 * processes count in it: no process dies, and no count is lost or doubled.
 */
#include "guarded_file.h"

enum { SECOND = 1000000000 };

/* In a process of its own, since the guard is one a process. */
struct scene {
	int (*play)(struct counters *counters);
};

/* Exit status of a failed check: its line, so that a failure names it. */
#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(                                               \
			    stderr, "line %d: %s\n", __LINE__, #condition);    \
			return 1;                                              \
		}                                                              \
	} while (0)

static int
guarded(void *argument)
{
	const struct scene *scene = argument;
	struct counters counters;

	if (counters_open(&counters, path, registry, 2) != 0 ||
	    counters_guard_install(&counters, path) != 0)
		return 99;
	count(&counters, SLOT_WORKER, REGISTRY_STARTS, 7);
	counters_guard_tick(&counters, 0);
	return scene->play(&counters);
}

/* What it said, where it ended with this status. */
static const char *
play(int (*scene)(struct counters *), int status)
{
	struct scene argument = {scene};
	const char *said;
	int result;

	support_capture();
	result = support_in_child(guarded, &argument);
	said = support_said();
	if (result != status)
		fail_msg("ended with %d, said: %s", result, said);
	return said;
}

static int
count_through_truncation(struct counters *counters)
{
	uint64_t mark = counters_guard_mark();

	CHECK(mark != 0);
	scoreboard_entry(&counters->scoreboard, SLOT_WORKER)->pid = 4711;
	for (int i = 1; i <= 3; i++) {
		CHECK(truncate(path, i == 3 ? 5000 : 0) == 0);
		CHECK(counters_guard_mark() == 0);
		count(counters, SLOT_WORKER, REGISTRY_STARTS, 1);
		CHECK(counters_guard_mark() == 0);
		counters_guard_tick(counters, 1);
		CHECK(counters_guard_mark() != 0 &&
		      counters_guard_mark() != mark);
		CHECK(counters_sum(counters, REGISTRY_STARTS) ==
		      7u + (unsigned)i);
		CHECK(counters_sum(counters, REGISTRY_STORE_TRUNCATED) ==
		      (unsigned)i);
		mark = counters_guard_mark();
	}
	CHECK(
	    scoreboard_entry(&counters->scoreboard, SLOT_WORKER)->pid == 4711);
	CHECK(counters_format_validate(counters->map, counters->map_size) ==
	      NULL);
	return 0;
}

static void
a_process_counts_on_through_a_truncation(void **state)
{
	(void)state;
	assert_says(play(count_through_truncation, 0), "was truncated");
}

static int
count_on_a_full_disk(struct counters *counters)
{
	fallocate_error = ENOSPC;
	CHECK(truncate(path, 0) == 0);
	count(counters, SLOT_WORKER, REGISTRY_STARTS, 1);
	return 0;
}

static void
a_truncation_on_a_full_disk_ends_the_process_with_the_reason(void **state)
{
	(void)state;
	assert_says(
	    play(count_on_a_full_disk, 1000 + SIGBUS), "free some space");
}

static int
count_on_a_disk_that_lies(struct counters *counters)
{
	fallocate_lies = true;
	CHECK(truncate(path, 0) == 0);
	count(counters, SLOT_WORKER, REGISTRY_STARTS, 1);
	return 0;
}

static void
a_file_that_stays_short_ends_the_process_and_not_in_a_loop(void **state)
{
	(void)state;
	assert_says(
	    play(count_on_a_disk_that_lies, 1000 + SIGBUS), "was truncated");
}

static int
count_on_a_file_system_without_fallocate(struct counters *counters)
{
	fallocate_error = EOPNOTSUPP;
	CHECK(truncate(path, 0) == 0);
	count(counters, SLOT_WORKER, REGISTRY_STARTS, 1);
	counters_guard_tick(counters, 1);
	CHECK(counters_sum(counters, REGISTRY_STARTS) == 8);
	return 0;
}

static void
a_file_system_without_fallocate_does_as_well(void **state)
{
	(void)state;
	play(count_on_a_file_system_without_fallocate, 0);
}

/* Memory whose access is a bus error. */
static volatile char *elsewhere;

static int
map_elsewhere(void)
{
	const char *other = support_path("other");
	int fd = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED);
	elsewhere = map;
	return 0;
}

static int
fault_elsewhere(struct counters *counters)
{
	(void)counters;
	CHECK(map_elsewhere() == 0);
	return *elsewhere;
}

static void
a_bus_error_elsewhere_ends_the_process(void **state)
{
	(void)state;
	assert_says(play(fault_elsewhere, 1000 + SIGBUS),
	    "outside of the counter file");
}

static void
fail_once(int number, siginfo_t *info, void *context)
{
	static bool has_failed;

	(void)number;
	(void)info;
	(void)context;
	if (!has_failed) {
		has_failed = true;
		(void)*elsewhere;
	}
	(void)!write(STDERR_FILENO, "reported\n", 9);
}

static int
fault_while_it_is_reported(struct counters *counters)
{
	counters_guard_on_bus_error(fail_once);
	return fault_elsewhere(counters);
}

static void
a_bus_error_while_one_is_reported_is_reported(void **state)
{
	(void)state;
	assert_says(
	    play(fault_while_it_is_reported, 1000 + SIGBUS), "reported");
}

static int
save_at_the_end(struct counters *counters)
{
	struct counters again;
	bool alive;

	CHECK(unlink(path) == 0);
	counters_guard_tick(counters, 2 * (int64_t)SECOND);
	CHECK(counters_sum(counters, REGISTRY_STORE_DELETED) == 1);
	CHECK(counters_read(&again, path, registry, &alive) == 0 && alive);
	CHECK(counters_sum(&again, REGISTRY_STARTS) == 7);
	counters_close(&again);
	count(counters, SLOT_WORKER, REGISTRY_STARTS, 1);
	counters_guard_finish(counters);
	counters_close(counters);
	CHECK(counters_read(&again, path, registry, &alive) == 0 && !alive);
	CHECK(counters_sum(&again, REGISTRY_STARTS) == 8);
	CHECK(counters_sum(&again, REGISTRY_STORE_DELETED) == 1);
	return 0;
}

static void
the_last_counts_of_a_deleted_file_are_saved_at_the_end(void **state)
{
	(void)state;
	assert_says(play(save_at_the_end, 0), "was deleted");
}

/* The master dies and another process of the pool takes its part. */
static int
take_over(struct counters *counters)
{
	pid_t master = fork();
	int status;

	if (master == 0) {
		unlink(path);
		counters_guard_tick(counters, 2 * (int64_t)SECOND);
		counters_guard_tick(counters, 4 * (int64_t)SECOND);
		if (truncate(path, 0) != 0) /* the copy */
			_exit(1);
		_exit(ftruncate(counters->fd, 0) == 0 ? 0 : 1);
	}
	CHECK(waitpid(master, &status, 0) == master && status == 0);
	counters_guard_tick(counters, 6 * (int64_t)SECOND);
	CHECK(counters_sum(counters, REGISTRY_STARTS) == 7);
	CHECK(counters_sum(counters, REGISTRY_STORE_TRUNCATED) == 1);
	CHECK(counters_sum(counters, REGISTRY_STORE_DELETED) == 1);
	CHECK(counters_sum(counters, REGISTRY_STORE_REPLACED) == 0);
	return 0;
}

static void
another_master_goes_on_where_the_last_one_died(void **state)
{
	(void)state;
	play(take_over, 0);
}

struct reader {
	struct support_holder holder;
};

static int
read_and_hold(void *argument)
{
	struct reader *reader = argument;
	struct counters counters;
	bool alive;

	counters_guard_exit_on_truncation();
	if (counters_read(&counters, path, registry, &alive) != 0)
		return 99;
	support_hold(&reader->holder);
	return counters_sum(&counters, REGISTRY_STARTS) == 0 ? 98 : 97;
}

static void
a_reader_of_a_file_that_is_truncated_says_so_and_exits_with_1(void **state)
{
	struct reader reader;
	struct counters counters = open_pool();
	const char *said;
	int status;

	(void)state;
	counters_close(&counters);
	support_capture();
	support_start(&reader.holder, read_and_hold, &reader);
	assert_int_equal(truncate(path, 0), 0);
	status = support_finish(&reader.holder);
	said = support_said();
	assert_int_equal(status, 1);
	assert_says(said, "truncated while it was in use");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_process_counts_on_through_a_truncation),
	    TEST(a_truncation_on_a_full_disk_ends_the_process_with_the_reason),
	    TEST(a_file_that_stays_short_ends_the_process_and_not_in_a_loop),
	    TEST(a_file_system_without_fallocate_does_as_well),
	    TEST(a_bus_error_elsewhere_ends_the_process),
	    TEST(a_bus_error_while_one_is_reported_is_reported),
	    TEST(the_last_counts_of_a_deleted_file_are_saved_at_the_end),
	    TEST(another_master_goes_on_where_the_last_one_died),
	    TEST(a_reader_of_a_file_that_is_truncated_says_so_and_exits_with_1),
	};

	return SUPPORT_RUN_WITH(tests, open_all, close_all);
}
