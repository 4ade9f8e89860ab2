/*
 * A counter file that somebody truncates, writes over, deletes or replaces
 * while processes count in it: none dies, and no count is lost or doubled.
 */
#include "support.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "http/request_metrics.h"
#include "metrics/registry.h"
#include "metrics/counters_format.h"
#include "metrics/counters_guard.h"
#include "metrics/counters_snapshot.h"
#include "http/router.h"

enum { SECOND = 1000000000 };

static struct registry *registry;
static char path[PATH_MAX];
static int fallocate_error;
static bool fallocate_lies;

/* Stands in front of libc's, for a disk that is full. */
int
fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (fallocate_error) {
		errno = fallocate_error;
		return -1;
	}
	return fallocate_lies
		   ? 0
		   : (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

static int
set_up(void **state)
{
	snprintf(path, sizeof(path), "%s", support_path("counters"));
	fallocate_error = 0;
	fallocate_lies = false;
	return support_clear(state);
}

static size_t
key(struct counters *counters, unsigned code)
{
	return counters_find_value(counters, ENDPOINT_OTHER, METHOD_GET, code);
}

/* Keys enough that some share a place to begin the search at. */
enum { CODES = 300 };

/* What make_counts() counts under a code, over all slots. */
static uint64_t
expected(unsigned code)
{
	return code % 50 == 0 ? 1 : 10 * (uint64_t)code;
}

static void
count(struct counters *counters, unsigned slot, size_t index, uint64_t by)
{
	counters_add(counters_values(counters, slot), index, by);
}

static struct counters
open_store(void)
{
	struct counters counters;

	assert_int_equal(counters_open(&counters, path, registry, 2), 0);
	for (unsigned code = 200; code < 200 + CODES; code++)
		count(&counters, code % counters.slot_count,
		    key(&counters, code), expected(code));
	for (unsigned slot = 0; slot < counters.slot_count; slot++)
		count(&counters, slot, REGISTRY_STARTS, 100 + slot);
	return counters;
}

enum { STARTS = 5 * 100 + 10 }; /* of five slots */

static void
assert_counts(struct counters *counters, uint64_t more)
{
	size_t size = 0;
	struct counters_label_set *label_sets =
	    calloc(registry->label_set_capacity, sizeof(*label_sets));

	assert_non_null(label_sets);
	assert_null(
	    counters_format_validate(counters->map, counters->map_size));
	assert_int_equal(
	    counters_sum(counters, REGISTRY_STARTS), STARTS + more);
	for (unsigned code = 200; code < 200 + CODES; code++)
		assert_int_equal(counters_sum(counters, key(counters, code)),
		    expected(code) + more);
	size = counters_list_label_sets(counters, label_sets);
	for (size_t i = 1; i < size; i++)
		assert_true(
		    label_sets[i].endpoint != label_sets[i - 1].endpoint ||
		    label_sets[i].method != label_sets[i - 1].method ||
		    label_sets[i].code != label_sets[i - 1].code);
	free(label_sets);
}

/* --- what is put back ------------------------------------------------------
 */

static struct counters
snapshot_of(const struct counters *counters)
{
	struct counters copy;

	assert_int_equal(counters_snapshot_new(&copy, counters), 0);
	counters_snapshot_copy(&copy, counters);
	return copy;
}

static void
cut(const struct counters *counters, size_t at)
{
	assert_int_equal(ftruncate(counters->fd, (off_t)at), 0);
	assert_int_equal(ftruncate(counters->fd, (off_t)counters->map_size), 0);
}

static void
close_both(struct counters *counters, struct counters *copy)
{
	counters_snapshot_free(copy);
	counters_close(counters);
}

static void
nothing_is_put_back_where_nothing_is_missing(void **state)
{
	struct counters counters = open_store();
	struct counters copy = snapshot_of(&counters);

	(void)state;
	assert_false(counters_snapshot_restore(
	    &counters, &copy, COUNTERS_SNAPSHOT_UNCUT));
	count(&counters, SLOT_WORKER, REGISTRY_STARTS, 1);
	assert_false(counters_snapshot_restore(
	    &counters, &copy, COUNTERS_SNAPSHOT_UNCUT));
	assert_int_equal(counters_sum(&counters, REGISTRY_STARTS), STARTS + 1);
	close_both(&counters, &copy);
}

static void
a_file_cut_anywhere_has_all_its_counts_again(void **state)
{
	struct counters counters = open_store();
	struct counters copy = snapshot_of(&counters);

	(void)state;
	for (size_t at = 0; at < counters.map_size;
	     at += at < 4096 ? 61 : 509) {
		struct counters_header *header = counters.map;

		cut(&counters, at);
		counters_snapshot_restore(&counters, &copy, at);
		assert_counts(&counters, 0);
		assert_true(counters_format_matches(header, registry));
		/* The next cut starts from what was put back. */
		counters_snapshot_copy(&copy, &counters);
	}
	close_both(&counters, &copy);
}

/* Workers count on in another order, so that label sets get other places. */
static void
what_was_counted_after_the_cut_is_added_to_what_was_before(void **state)
{
	struct counters counters = open_store();
	struct counters copy = snapshot_of(&counters);

	(void)state;
	cut(&counters, 0);
	for (unsigned code = 200 + CODES; code-- > 200;)
		count(&counters, SLOT_WORKER, key(&counters, code), 3);
	count(&counters, SLOT_WORKER, REGISTRY_STARTS, 3);
	assert_true(counters_snapshot_restore(&counters, &copy, 0));
	assert_counts(&counters, 3);
	close_both(&counters, &copy);
}

static void
what_is_put_back_twice_is_counted_once_where_the_cut_is_not_known(void **state)
{
	struct counters counters = open_store();
	struct counters copy = snapshot_of(&counters);

	(void)state;
	cut(&counters, 0);
	assert_true(counters_snapshot_restore(
	    &counters, &copy, COUNTERS_SNAPSHOT_UNCUT));
	assert_counts(&counters, 0);
	assert_false(counters_snapshot_restore(
	    &counters, &copy, COUNTERS_SNAPSHOT_UNCUT));
	assert_counts(&counters, 0);
	close_both(&counters, &copy);
}

static void
a_file_that_was_written_over_is_raised_to_its_counts(void **state)
{
	struct counters counters = open_store();
	struct counters older = snapshot_of(&counters);
	struct counters copy;

	(void)state;
	for (unsigned code = 200; code < 200 + CODES; code++)
		count(&counters, SLOT_MASTER, key(&counters, code), 5);
	count(&counters, SLOT_MASTER, REGISTRY_STARTS, 5);
	copy = snapshot_of(&counters);
	/* As `cp older counters` does, which cuts the file first. */
	cut(&counters, 0);
	memcpy(counters.map, older.map, counters.map_size);
	assert_true(counters_snapshot_restore(&counters, &copy, 0));
	assert_counts(&counters, 5);
	memset(counters.map, 0xa5, counters.map_size / 2);
	counters_snapshot_restore(&counters, &copy, COUNTERS_SNAPSHOT_UNCUT);
	assert_null(counters_format_validate(counters.map, counters.map_size));
	counters_snapshot_free(&older);
	close_both(&counters, &copy);
}

static void
a_position_that_went_back_is_not_raised(void **state)
{
	struct counters counters = open_store();
	struct counters copy;

	(void)state;
	count(&counters, SLOT_METRICS, REGISTRY_GATEWAY_LOG, 5000);
	copy = snapshot_of(&counters);
	counters_values(&counters, SLOT_METRICS)[REGISTRY_GATEWAY_LOG] = 100;
	assert_false(counters_snapshot_restore(
	    &counters, &copy, COUNTERS_SNAPSHOT_UNCUT));
	assert_int_equal(counters_sum(&counters, REGISTRY_GATEWAY_LOG), 100);
	/* After a cut, its reader has found it again before the master looks.
	 */
	cut(&counters, 0);
	count(&counters, SLOT_METRICS, REGISTRY_GATEWAY_LOG, 5000);
	counters_snapshot_restore(&counters, &copy, 0);
	assert_int_equal(counters_sum(&counters, REGISTRY_GATEWAY_LOG), 5000);
	close_both(&counters, &copy);
}

/* --- processes -------------------------------------------------------------
 */

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

static int
fault_elsewhere(struct counters *counters)
{
	const char *other = support_path("other");
	int fd = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	(void)counters;
	CHECK(map != MAP_FAILED);
	return *(volatile char *)map;
}

static void
a_bus_error_elsewhere_ends_the_process(void **state)
{
	(void)state;
	assert_says(play(fault_elsewhere, 1000 + SIGBUS),
	    "outside of the counter file");
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

/* --- processes that only read ----------------------------------------------
 */

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
	struct counters counters = open_store();
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

static int
open_all(void **state)
{
	registry = request_metrics_registry();
	return registry ? support_open_folder(state) : -1;
}

static int
close_all(void **state)
{
	registry_free(registry);
	return support_close_folder(state);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up, support_release)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(nothing_is_put_back_where_nothing_is_missing),
	    TEST(a_file_cut_anywhere_has_all_its_counts_again),
	    TEST(what_was_counted_after_the_cut_is_added_to_what_was_before),
	    TEST(
		what_is_put_back_twice_is_counted_once_where_the_cut_is_not_known),
	    TEST(a_file_that_was_written_over_is_raised_to_its_counts),
	    TEST(a_position_that_went_back_is_not_raised),
	    TEST(a_process_counts_on_through_a_truncation),
	    TEST(a_truncation_on_a_full_disk_ends_the_process_with_the_reason),
	    TEST(a_file_that_stays_short_ends_the_process_and_not_in_a_loop),
	    TEST(a_file_system_without_fallocate_does_as_well),
	    TEST(a_bus_error_elsewhere_ends_the_process),
	    TEST(the_last_counts_of_a_deleted_file_are_saved_at_the_end),
	    TEST(another_master_goes_on_where_the_last_one_died),
	    TEST(a_reader_of_a_file_that_is_truncated_says_so_and_exits_with_1),
	};

	return SUPPORT_RUN_WITH(tests, open_all, close_all);
}
