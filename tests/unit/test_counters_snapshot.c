/*
 * Lost counts are restored from a copy of the counter file, and none is
 * doubled.
 */
#include "guarded_file.h"

#include <sys/resource.h>

#include "metrics/native.h"

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
		assert_int_equal(
		    counters_sum(counters, value_of(counters, code)),
		    expected(code) + more);
	size = counters_list_label_sets(counters, label_sets);
	for (size_t i = 1; i < size; i++)
		assert_true(
		    label_sets[i].endpoint != label_sets[i - 1].endpoint ||
		    label_sets[i].method != label_sets[i - 1].method ||
		    label_sets[i].code != label_sets[i - 1].code);
	free(label_sets);
}

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
	struct counters counters = open_pool();
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

/* Pages of the copy that take memory. */
static size_t
resident_pages(const struct counters *copy)
{
	unsigned char pages[4096];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = copy->map_size / page;
	size_t count = 0;

	assert_true(size < sizeof(pages));
	assert_int_equal(mincore(copy->map, size * page, pages), 0);
	for (size_t i = 0; i < size; i++)
		count += pages[i] & 1;
	return count;
}

static size_t
pages_with_values(const struct counters *counters)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *zeros = calloc(1, page);
	size_t count = 0;

	assert_non_null(zeros);
	for (size_t at = 0; at + page <= counters->map_size; at += page)
		count +=
		    memcmp((const char *)counters->map + at, zeros, page) != 0;
	free(zeros);
	return count;
}

static struct counters
open_empty(void)
{
	struct counters counters;

	assert_int_equal(counters_open(&counters, path, registry, 2), 0);
	return counters;
}

static void
pages_that_are_zero_take_no_memory(void **state)
{
	struct counters counters = open_empty();
	struct counters copy = snapshot_of(&counters);
	uint64_t *last =
	    (uint64_t *)(void *)(counters.slots +
				 counters.slot_count * counters.slot_size) -
	    1;
	uint64_t *copied =
	    (uint64_t *)(void *)((char *)copy.map +
				 ((char *)last - (char *)counters.map));

	(void)state;
	assert_int_equal(resident_pages(&copy), pages_with_values(&counters));
	/* As the master does each second. It reads a busy time in each slot. */
	assert_false(counters_snapshot_restore(
	    &counters, &copy, COUNTERS_SNAPSHOT_UNCUT));
	assert_in_range(resident_pages(&copy), pages_with_values(&counters),
	    pages_with_values(&counters) + counters.slot_count);
	assert_int_equal(*last, 0);
	/* The label set of a value can move. Then its old place is zero. */
	*last = 7;
	counters_snapshot_copy(&copy, &counters);
	assert_int_equal(*copied, 7);
	*last = 0;
	counters_snapshot_copy(&copy, &counters);
	assert_int_equal(*copied, 0);
	close_both(&counters, &copy);
}

static void
a_file_cut_anywhere_has_all_its_counts_again(void **state)
{
	struct counters counters = open_pool();
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
	struct counters counters = open_pool();
	struct counters copy = snapshot_of(&counters);

	(void)state;
	cut(&counters, 0);
	for (unsigned code = 200 + CODES; code-- > 200;)
		count(&counters, SLOT_WORKER, value_of(&counters, code), 3);
	count(&counters, SLOT_WORKER, REGISTRY_STARTS, 3);
	assert_true(counters_snapshot_restore(&counters, &copy, 0));
	assert_counts(&counters, 3);
	close_both(&counters, &copy);
}

static void
what_is_put_back_twice_is_counted_once_where_the_cut_is_not_known(void **state)
{
	struct counters counters = open_pool();
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
	struct counters counters = open_pool();
	struct counters older = snapshot_of(&counters);
	struct counters copy;

	(void)state;
	for (unsigned code = 200; code < 200 + CODES; code++)
		count(&counters, SLOT_MASTER, value_of(&counters, code), 5);
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
	struct counters counters = open_pool();
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

/* The count of a histogram, as native buckets show it. */
static uint64_t
native_count(struct counters *counters, struct native_place place)
{
	struct counters_label_set *cells =
	    calloc(registry->label_set_capacity, sizeof(*cells));
	struct native_histogram histogram;
	uint64_t sum;

	assert_non_null(cells);
	native_read(counters, &place, cells,
	    counters_list_cells(counters, cells), &histogram);
	free(cells);
	sum = histogram.native.zero_count;
	for (size_t i = 0; i < histogram.native.bucket_count; i++)
		sum += histogram.buckets[i].count;
	return sum;
}

/* The histogram of a pool's answers to /health, which take 3 ms. */
static struct native_place
health_duration(void)
{
	return (struct native_place){REGISTRY_CELLS_DURATION, ENDPOINT_health,
	    registry_endpoint_value(
		ENDPOINT_health, REGISTRY_ENDPOINT_DURATION)};
}

static void
answer_health(struct counters *counters)
{
	const struct request_sample request = {.endpoint = ENDPOINT_health,
	    .method = METHOD_GET,
	    .status = 200,
	    .duration_ns = 3000000,
	    .queue_ns = -1};

	request_metrics_add(counters, SLOT_WORKER, &request);
}

/* Lose the cell of these answers. Other label sets take all places. */
static void
lose_cell(struct counters *counters)
{
	const struct native_place place = health_duration();
	size_t cell = native_find(counters, &place, registry_bucket_of(3000000),
			  3000000) -
		      registry->fixed_count;

	counters->label_sets[cell] = 0;
	for (unsigned i = 0; i < registry->label_set_capacity; i++)
		if (counters->label_sets[i] == 0)
			counters->label_sets[i] =
			    counters_format_pack_label_set(
				ENDPOINT_root, METHOD_GET, 1000 + i);
}

static void
a_cell_that_finds_no_place_again_is_counted_in_no_cell(void **state)
{
	struct counters counters = open_pool();
	struct counters copy;

	(void)state;
	for (int i = 0; i < 7; i++)
		answer_health(&counters);
	copy = snapshot_of(&counters);
	lose_cell(&counters);
	for (int i = 0; i < 2; i++) {
		assert_true(counters_snapshot_restore(
		    &counters, &copy, COUNTERS_SNAPSHOT_UNCUT));
		assert_int_equal(native_count(&counters, health_duration()), 7);
	}
	answer_health(&counters);
	assert_int_equal(native_count(&counters, health_duration()), 8);
	close_both(&counters, &copy);
}

/* Allow no more memory, and use up what malloc() has. */
static bool
use_up_memory(void)
{
	struct rlimit limit;
	void *volatile block;

	if (getrlimit(RLIMIT_AS, &limit) < 0)
		return false;
	limit.rlim_cur = 0;
	if (setrlimit(RLIMIT_AS, &limit) < 0)
		return false;
#ifndef __SANITIZE_ADDRESS__ /* whose malloc() does not return without memory  \
			      */
	for (size_t size = 1 << 20; size >= 16; size /= 2)
		do
			block = malloc(size);
		while (block);
#endif
	(void)block;
	return true;
}

struct pair {
	struct counters counters;
	struct counters copy;
};

static int
restore_without_memory(void *argument)
{
	struct pair *pair = argument;

	return !use_up_memory() || !counters_snapshot_restore(&pair->counters,
				       &pair->copy, COUNTERS_SNAPSHOT_UNCUT);
}

static void
counts_are_put_back_without_more_memory(void **state)
{
	struct pair pair;

	(void)state;
	support_skip_under_valgrind(); /* it needs memory by itself */
	pair.counters = open_pool();
	answer_health(&pair.counters);
	pair.copy = snapshot_of(&pair.counters);
	lose_cell(&pair.counters);
	assert_int_equal(support_in_child(restore_without_memory, &pair), 0);
	assert_int_equal(native_count(&pair.counters, health_duration()), 1);
	close_both(&pair.counters, &pair.copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(nothing_is_put_back_where_nothing_is_missing),
	    TEST(pages_that_are_zero_take_no_memory),
	    TEST(a_file_cut_anywhere_has_all_its_counts_again),
	    TEST(what_was_counted_after_the_cut_is_added_to_what_was_before),
	    TEST(
		what_is_put_back_twice_is_counted_once_where_the_cut_is_not_known),
	    TEST(a_file_that_was_written_over_is_raised_to_its_counts),
	    TEST(a_position_that_went_back_is_not_raised),
	    TEST(a_cell_that_finds_no_place_again_is_counted_in_no_cell),
	    TEST(counts_are_put_back_without_more_memory),
	};

	return SUPPORT_RUN_WITH(tests, open_all, close_all);
}
