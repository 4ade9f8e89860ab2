/*
 * A counter file that somebody truncates, writes over, deletes or replaces
 * while processes count in it: none dies, and no count is lost or doubled.
 */
#include "support.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "http/request_metrics.h"
#include "metrics/registry.h"
#include "metrics/shm_format.h"
#include "metrics/shm_guard.h"
#include "metrics/shm_snapshot.h"
#include "http/router.h"

enum { SECOND = 1000000000 };

static struct store_catalog *catalog;
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
key(struct store *store, unsigned code)
{
	return store_key_cell(store, ENDPOINT_OTHER, METHOD_GET, code);
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
count(struct store *store, unsigned slot, size_t cell, uint64_t by)
{
	store_add(store_cells(store, slot), cell, by);
}

static struct store
open_store(void)
{
	struct store store;

	assert_int_equal(store_open(&store, path, catalog, 2), 0);
	for (unsigned code = 200; code < 200 + CODES; code++)
		count(&store, code % store.slot_count, key(&store, code),
		    expected(code));
	for (unsigned slot = 0; slot < store.slot_count; slot++)
		count(&store, slot, CATALOG_STARTS, 100 + slot);
	return store;
}

enum { STARTS = 5 * 100 + 10 }; /* of five slots */

static void
assert_counts(struct store *store, uint64_t more)
{
	size_t size = 0;
	struct store_key *keys = calloc(catalog->key_capacity, sizeof(*keys));

	assert_non_null(keys);
	assert_null(store_format_judge(store->map, store->map_size));
	assert_int_equal(store_sum(store, CATALOG_STARTS), STARTS + more);
	for (unsigned code = 200; code < 200 + CODES; code++)
		assert_int_equal(
		    store_sum(store, key(store, code)), expected(code) + more);
	size = store_list_keys(store, keys);
	for (size_t i = 1; i < size; i++)
		assert_true(keys[i].endpoint != keys[i - 1].endpoint ||
			    keys[i].method != keys[i - 1].method ||
			    keys[i].code != keys[i - 1].code);
	free(keys);
}

/* --- what is put back ------------------------------------------------------
 */

static struct store
snapshot_of(const struct store *store)
{
	struct store copy;

	assert_int_equal(store_snapshot_new(&copy, store), 0);
	store_snapshot_copy(&copy, store);
	return copy;
}

static void
cut(const struct store *store, size_t at)
{
	assert_int_equal(ftruncate(store->fd, (off_t)at), 0);
	assert_int_equal(ftruncate(store->fd, (off_t)store->map_size), 0);
}

static void
close_both(struct store *store, struct store *copy)
{
	store_snapshot_free(copy);
	store_close(store);
}

static void
nothing_is_put_back_where_nothing_is_missing(void **state)
{
	struct store store = open_store();
	struct store copy = snapshot_of(&store);

	(void)state;
	assert_false(
	    store_snapshot_restore(&store, &copy, STORE_SNAPSHOT_UNCUT));
	count(&store, STORE_WORKER, CATALOG_STARTS, 1);
	assert_false(
	    store_snapshot_restore(&store, &copy, STORE_SNAPSHOT_UNCUT));
	assert_int_equal(store_sum(&store, CATALOG_STARTS), STARTS + 1);
	close_both(&store, &copy);
}

static void
a_file_cut_anywhere_has_all_its_counts_again(void **state)
{
	struct store store = open_store();
	struct store copy = snapshot_of(&store);

	(void)state;
	for (size_t at = 0; at < store.map_size; at += at < 4096 ? 61 : 509) {
		struct store_header *header = store.map;

		cut(&store, at);
		store_snapshot_restore(&store, &copy, at);
		assert_counts(&store, 0);
		assert_true(store_format_matches(header, catalog));
		/* The next cut starts from what was put back. */
		store_snapshot_copy(&copy, &store);
	}
	close_both(&store, &copy);
}

/* Workers count on in another order, so that keys get other places. */
static void
what_was_counted_after_the_cut_is_added_to_what_was_before(void **state)
{
	struct store store = open_store();
	struct store copy = snapshot_of(&store);

	(void)state;
	cut(&store, 0);
	for (unsigned code = 200 + CODES; code-- > 200;)
		count(&store, STORE_WORKER, key(&store, code), 3);
	count(&store, STORE_WORKER, CATALOG_STARTS, 3);
	assert_true(store_snapshot_restore(&store, &copy, 0));
	assert_counts(&store, 3);
	close_both(&store, &copy);
}

static void
what_is_put_back_twice_is_counted_once_where_the_cut_is_not_known(void **state)
{
	struct store store = open_store();
	struct store copy = snapshot_of(&store);

	(void)state;
	cut(&store, 0);
	assert_true(
	    store_snapshot_restore(&store, &copy, STORE_SNAPSHOT_UNCUT));
	assert_counts(&store, 0);
	assert_false(
	    store_snapshot_restore(&store, &copy, STORE_SNAPSHOT_UNCUT));
	assert_counts(&store, 0);
	close_both(&store, &copy);
}

static void
a_file_that_was_written_over_is_raised_to_its_counts(void **state)
{
	struct store store = open_store();
	struct store older = snapshot_of(&store);
	struct store copy;

	(void)state;
	for (unsigned code = 200; code < 200 + CODES; code++)
		count(&store, STORE_MASTER, key(&store, code), 5);
	count(&store, STORE_MASTER, CATALOG_STARTS, 5);
	copy = snapshot_of(&store);
	/* As `cp older counters` does, which cuts the file first. */
	cut(&store, 0);
	memcpy(store.map, older.map, store.map_size);
	assert_true(store_snapshot_restore(&store, &copy, 0));
	assert_counts(&store, 5);
	memset(store.map, 0xa5, store.map_size / 2);
	store_snapshot_restore(&store, &copy, STORE_SNAPSHOT_UNCUT);
	assert_null(store_format_judge(store.map, store.map_size));
	store_snapshot_free(&older);
	close_both(&store, &copy);
}

static void
a_position_that_went_back_is_not_raised(void **state)
{
	struct store store = open_store();
	struct store copy;

	(void)state;
	count(&store, STORE_OBSERVER, CATALOG_GATEWAY_LOG, 5000);
	copy = snapshot_of(&store);
	store_cells(&store, STORE_OBSERVER)[CATALOG_GATEWAY_LOG] = 100;
	assert_false(
	    store_snapshot_restore(&store, &copy, STORE_SNAPSHOT_UNCUT));
	assert_int_equal(store_sum(&store, CATALOG_GATEWAY_LOG), 100);
	/* After a cut, its reader has found it again before the master looks.
	 */
	cut(&store, 0);
	count(&store, STORE_OBSERVER, CATALOG_GATEWAY_LOG, 5000);
	store_snapshot_restore(&store, &copy, 0);
	assert_int_equal(store_sum(&store, CATALOG_GATEWAY_LOG), 5000);
	close_both(&store, &copy);
}

/* --- processes -------------------------------------------------------------
 */

/* In a process of its own, since the guard is one a process. */
struct scene {
	int (*play)(struct store *store);
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
	struct store store;

	if (store_open(&store, path, catalog, 2) != 0 ||
	    store_guard_install(&store, path) != 0)
		return 99;
	count(&store, STORE_WORKER, CATALOG_STARTS, 7);
	store_guard_tick(&store, 0);
	return scene->play(&store);
}

/* What it said, where it ended with this status. */
static const char *
play(int (*scene)(struct store *), int status)
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
count_through_truncation(struct store *store)
{
	uint64_t mark = store_guard_mark();

	CHECK(mark != 0);
	store_state(store, STORE_WORKER)->pid = 4711;
	for (int i = 1; i <= 3; i++) {
		CHECK(truncate(path, i == 3 ? 5000 : 0) == 0);
		CHECK(store_guard_mark() == 0);
		count(store, STORE_WORKER, CATALOG_STARTS, 1);
		CHECK(store_guard_mark() == 0);
		store_guard_tick(store, 1);
		CHECK(store_guard_mark() != 0 && store_guard_mark() != mark);
		CHECK(store_sum(store, CATALOG_STARTS) == 7u + (unsigned)i);
		CHECK(store_sum(store, CATALOG_STORE_TRUNCATED) == (unsigned)i);
		mark = store_guard_mark();
	}
	CHECK(store_state(store, STORE_WORKER)->pid == 4711);
	CHECK(store_format_judge(store->map, store->map_size) == NULL);
	return 0;
}

static void
a_process_counts_on_through_a_truncation(void **state)
{
	(void)state;
	assert_says(play(count_through_truncation, 0), "was truncated");
}

static int
count_on_a_full_disk(struct store *store)
{
	fallocate_error = ENOSPC;
	CHECK(truncate(path, 0) == 0);
	count(store, STORE_WORKER, CATALOG_STARTS, 1);
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
count_on_a_disk_that_lies(struct store *store)
{
	fallocate_lies = true;
	CHECK(truncate(path, 0) == 0);
	count(store, STORE_WORKER, CATALOG_STARTS, 1);
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
count_on_a_file_system_without_fallocate(struct store *store)
{
	fallocate_error = EOPNOTSUPP;
	CHECK(truncate(path, 0) == 0);
	count(store, STORE_WORKER, CATALOG_STARTS, 1);
	store_guard_tick(store, 1);
	CHECK(store_sum(store, CATALOG_STARTS) == 8);
	return 0;
}

static void
a_file_system_without_fallocate_does_as_well(void **state)
{
	(void)state;
	play(count_on_a_file_system_without_fallocate, 0);
}

static int
fault_elsewhere(struct store *store)
{
	const char *other = support_path("other");
	int fd = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	(void)store;
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
save_at_the_end(struct store *store)
{
	struct store again;
	bool alive;

	CHECK(unlink(path) == 0);
	store_guard_tick(store, 2 * (int64_t)SECOND);
	CHECK(store_sum(store, CATALOG_STORE_DELETED) == 1);
	CHECK(store_read(&again, path, catalog, &alive) == 0 && alive);
	CHECK(store_sum(&again, CATALOG_STARTS) == 7);
	store_close(&again);
	count(store, STORE_WORKER, CATALOG_STARTS, 1);
	store_guard_finish(store);
	store_close(store);
	CHECK(store_read(&again, path, catalog, &alive) == 0 && !alive);
	CHECK(store_sum(&again, CATALOG_STARTS) == 8);
	CHECK(store_sum(&again, CATALOG_STORE_DELETED) == 1);
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
take_over(struct store *store)
{
	pid_t master = fork();
	int status;

	if (master == 0) {
		unlink(path);
		store_guard_tick(store, 2 * (int64_t)SECOND);
		store_guard_tick(store, 4 * (int64_t)SECOND);
		if (truncate(path, 0) != 0) /* the copy */
			_exit(1);
		_exit(ftruncate(store->fd, 0) == 0 ? 0 : 1);
	}
	CHECK(waitpid(master, &status, 0) == master && status == 0);
	store_guard_tick(store, 6 * (int64_t)SECOND);
	CHECK(store_sum(store, CATALOG_STARTS) == 7);
	CHECK(store_sum(store, CATALOG_STORE_TRUNCATED) == 1);
	CHECK(store_sum(store, CATALOG_STORE_DELETED) == 1);
	CHECK(store_sum(store, CATALOG_STORE_REPLACED) == 0);
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
	struct store store;
	bool alive;

	store_guard_exit_on_truncation();
	if (store_read(&store, path, catalog, &alive) != 0)
		return 99;
	support_hold(&reader->holder);
	return store_sum(&store, CATALOG_STARTS) == 0 ? 98 : 97;
}

static void
a_reader_of_a_file_that_is_truncated_says_so_and_exits_with_1(void **state)
{
	struct reader reader;
	struct store store = open_store();
	const char *said;
	int status;

	(void)state;
	store_close(&store);
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
	catalog = counters_catalog();
	return catalog ? support_open_folder(state) : -1;
}

static int
close_all(void **state)
{
	catalog_free(catalog);
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
