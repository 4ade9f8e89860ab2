/*
 * The counts of a file that another version wrote are kept.
 */
#include "counter_file.h"

/* Open with another registry; the old file must be kept as it was. */
static struct counters
take_over(const struct registry *names, unsigned workers)
{
	size_t before_size;
	size_t after_size;
	char *before = support_read(path, &before_size);
	char *after;
	struct counters counters;
	char name[SUPPORT_NAME];

	support_capture();
	counters = open_pool(names, workers);
	assert_says(support_said(), "taken over from another version");
	after = support_read(support_path("counters.previous"), &after_size);
	assert_int_equal(after_size, before_size);
	assert_memory_equal(after, before, before_size);
	free(before);
	free(after);
	assert_int_equal(support_find(".damaged", name, sizeof(name)), 0);
	assert_int_equal(support_find(".new", name, sizeof(name)), 0);
	assert_int_equal(counters_sum(&counters, REGISTRY_STORE_RECOVERIES), 0);
	return counters;
}

static void
one_family_more_keeps_every_count(void **state)
{
	static const char *const more[] = {PLAIN_NAMES, "apples_total",
	    "cherries_total", "pears_total{kind=\"conference\"}"};
	const struct registry newer = {
	    more, COUNT(more), endpoints, 3, methods, 2, 16};
	struct counters counters;

	(void)state;
	make_counts();
	counters = take_over(&newer, 2);
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM);
	assert_int_equal(counters_sum(&counters, APPLES + 1), 0);
	assert_int_equal(counters_sum(&counters, APPLES + 2), 1000 * SLOT_SUM);
	assert_int_equal(counters_sum(&counters,
			     counters_find_value(&counters, SHOP, GET, 200)),
	    7 * SLOT_SUM);
	counters_close(&counters);
	counters = open_pool(&newer, 2); /* from here on it is its own */
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM);
	counters_close(&counters);
}

static void
one_family_fewer_keeps_every_other_count(void **state)
{
	static const char *const fewer[] = {
	    PLAIN_NAMES, "pears_total{kind=\"conference\"}"};
	const struct registry newer = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};
	struct counters counters;

	(void)state;
	make_counts();
	counters = take_over(&newer, 2);
	assert_int_equal(counters_sum(&counters, APPLES), 1000 * SLOT_SUM);
	assert_int_equal(counters_sum(&counters,
			     counters_find_value(&counters, SHOP, GET, 200)),
	    7 * SLOT_SUM);
	counters_close(&counters);
	/* What was left out is still in the previous file. */
	snprintf(path, sizeof(path), "%s", support_path("counters.previous"));
	counters = open_pool(&registry, 2);
	assert_counts(&counters);
	counters_close(&counters);
}

static void
one_label_value_more_keeps_every_count(void **state)
{
	static const char *const more[] = {"cafe", "home", "shop", "other"};
	static const char *const more_methods[] = {"DELETE", "GET", "other"};
	const struct registry newer = {
	    fixed, COUNT(fixed), more, 4, more_methods, 3, 32};
	struct counters counters;
	struct counters_label_set label_sets[32];

	(void)state;
	make_counts();
	counters = take_over(&newer, 2);
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM);
	assert_int_equal(
	    counters_sum(&counters, counters_find_value(&counters, 2, 1, 200)),
	    7 * SLOT_SUM);
	assert_int_equal(
	    counters_sum(&counters, counters_find_value(&counters, 1, 2, 404)),
	    UINT64_C(1) << 40);
	assert_int_equal(counters_list_label_sets(&counters, label_sets), 3);
	counters_close(&counters);
}

static void
one_label_value_fewer_keeps_every_other_count(void **state)
{
	static const char *const fewer[] = {"shop", "other"};
	const struct registry newer = {
	    fixed, COUNT(fixed), fewer, 2, methods, 2, 16};
	struct counters counters;

	(void)state;
	make_counts();
	counters = take_over(&newer, 2);
	assert_int_equal(counters_sum(&counters,
			     counters_find_value(&counters, 0, GET, 200)),
	    7 * SLOT_SUM);
	assert_int_equal(counters_sum(&counters, PEARS), 1000 * SLOT_SUM);
	counters_close(&counters);
}

static void
a_smaller_table_takes_the_rest_as_overflow(void **state)
{
	const struct registry newer = {
	    fixed, COUNT(fixed), endpoints, 3, methods, 2, 4};
	struct counters_label_set label_sets[4];
	struct counters counters = open_pool(&registry, 1);
	uint64_t sum = 0;

	(void)state;
	for (unsigned code = 200; code < 210; code++)
		count(&counters, SLOT_WORKER,
		    counters_find_value(&counters, HOME, GET, code), code);
	counters_close(&counters);
	counters = take_over(&newer, 1);
	assert_int_equal(counters_list_label_sets(&counters, label_sets), 4);
	for (int i = 0; i < 4; i++)
		sum += counters_sum(&counters, label_sets[i].index);
	assert_int_equal(sum, 2045);
	counters_close(&counters);
}

static void
a_bucket_whose_bound_is_gone_goes_into_the_next(void **state)
{
	static const char *const old_names[] = {PLAIN_NAMES,
	    "t_seconds_sum{endpoint=\"home\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"0.1\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"0.3\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"1\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"60.0\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"+Inf\"}",
	    "t_seconds_bucket{endpoint=\"gone\",le=\"0.3\"}"};
	static const char *const new_names[] = {PLAIN_NAMES,
	    "t_seconds_sum{endpoint=\"home\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"0.1\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"0.5\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"1.0\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"+Inf\"}"};
	const struct registry old = {
	    old_names, COUNT(old_names), endpoints, 3, methods, 2, 16};
	const struct registry newer = {
	    new_names, COUNT(new_names), endpoints, 3, methods, 2, 16};
	static const uint64_t expected[] = {1, 10, 100, 1000, 110000};
	struct counters counters = open_pool(&old, 1);
	uint64_t by = 1;

	(void)state;
	for (size_t index = REGISTRY_QUEUE; index < COUNT(old_names); index++) {
		count(&counters, SLOT_WORKER, index, by);
		by *= 10;
	}
	counters_close(&counters);
	counters = take_over(&newer, 1);
	for (size_t i = 0; i < COUNT(expected); i++)
		assert_int_equal(
		    counters_sum(&counters, REGISTRY_QUEUE + i), expected[i]);
	counters_close(&counters);
}

static void
the_real_registry_with_an_endpoint_more_and_back_keeps_every_count(void **state)
{
	static const char *const more[] = {"home", "new", "shop", "other"};
	struct registry *old = registry_new(endpoints, 3, methods, 2);
	struct registry *newer = registry_new(more, 4, methods, 2);
	struct counters counters = open_pool(old, 2);

	(void)state;
	count(&counters, SLOT_WORKER, REGISTRY_STARTS, 3);
	count(&counters, SLOT_WORKER,
	    registry_endpoint_value(SHOP, REGISTRY_ENDPOINT_SIZE), 123456789);
	count(&counters, SLOT_WORKER + 1,
	    registry_bucket(
		registry_endpoint_value(SHOP, REGISTRY_ENDPOINT_DURATION),
		3000000),
	    17);
	count(
	    &counters, SLOT_CGI, registry_bucket(REGISTRY_QUEUE, INT64_MAX), 5);
	counters_close(&counters);
	counters = take_over(newer, 2);
	assert_int_equal(counters_sum(&counters, REGISTRY_STARTS), 3);
	assert_int_equal(counters_sum(&counters, registry_endpoint_value(2,
						     REGISTRY_ENDPOINT_SIZE)),
	    123456789);
	assert_int_equal(counters_sum(&counters,
			     registry_bucket(registry_endpoint_value(
						 2, REGISTRY_ENDPOINT_DURATION),
				 3000000)),
	    17);
	assert_int_equal(counters_sum(&counters, registry_endpoint_value(1,
						     REGISTRY_ENDPOINT_SIZE)),
	    0);
	counters_close(&counters);
	counters = take_over(old, 2); /* a rollback */
	assert_int_equal(counters_sum(&counters, REGISTRY_STARTS), 3);
	assert_int_equal(counters_sum(&counters, registry_endpoint_value(SHOP,
						     REGISTRY_ENDPOINT_SIZE)),
	    123456789);
	assert_int_equal(
	    counters_sum(&counters, registry_bucket(REGISTRY_QUEUE, INT64_MAX)),
	    5);
	counters_close(&counters);
	registry_free(old);
	registry_free(newer);
}

static void
more_workers_than_slots_make_a_larger_file_with_the_same_counts(void **state)
{
	struct counters counters;

	(void)state;
	make_counts();
	counters = take_over(&registry, 9);
	assert_int_equal(counters.slot_count, SLOT_WORKER + 9);
	assert_counts(&counters);
	counters_close(&counters);
}

static void
fewer_workers_than_slots_keep_the_file_and_its_counts(void **state)
{
	struct counters counters;
	char name[SUPPORT_NAME];

	(void)state;
	make_counts();
	counters = open_pool(&registry, 1);
	assert_int_equal(counters.slot_count, SLOT_WORKER + 2);
	assert_counts(&counters);
	counters_close(&counters);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
}

static void
a_file_that_cannot_be_linked_to_is_taken_over_all_the_same(void **state)
{
	struct counters counters;
	const char *said;

	(void)state;
	make_counts();
	link_error = EPERM;
	support_capture();
	counters = open_pool(&registry, 9);
	said = support_said();
	assert_says(said, "no copy of the previous counter file");
	assert_counts(&counters);
	counters_close(&counters);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(one_family_more_keeps_every_count),
	    TEST(one_family_fewer_keeps_every_other_count),
	    TEST(one_label_value_more_keeps_every_count),
	    TEST(one_label_value_fewer_keeps_every_other_count),
	    TEST(a_smaller_table_takes_the_rest_as_overflow),
	    TEST(a_bucket_whose_bound_is_gone_goes_into_the_next),
	    TEST(
		the_real_registry_with_an_endpoint_more_and_back_keeps_every_count),
	    TEST(
		more_workers_than_slots_make_a_larger_file_with_the_same_counts),
	    TEST(fewer_workers_than_slots_keep_the_file_and_its_counts),
	    TEST(a_file_that_cannot_be_linked_to_is_taken_over_all_the_same),
	};

	return SUPPORT_RUN(tests);
}
