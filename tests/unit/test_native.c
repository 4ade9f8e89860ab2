/*
 * Native histograms: the bucket of every observation, against arithmetic that
 * cannot round, and the cells from which both kinds of histogram are summed.
 */
#include "request_counters.h"

#include <math.h>

#include "http/router.h"
#include "metrics/native.h"

/* --- buckets -------------------------------------------------------------- */

/* A whole number of any size that occurs here, its lowest digit first. */
struct big {
	uint32_t digits[24];
};

static struct big
times(const struct big *a, uint64_t factor)
{
	struct big product = {{0}};

	for (int half = 0; half < 2; half++) {
		uint64_t by = half ? factor >> 32 : factor & UINT32_MAX;
		uint64_t carry = 0;

		for (size_t i = 0; i + (size_t)half < COUNT(a->digits); i++) {
			uint32_t *digit = &product.digits[i + (size_t)half];

			carry += by * a->digits[i] + *digit;
			*digit = (uint32_t)carry;
			carry >>= 32;
		}
		assert_int_equal(carry, 0);
	}
	return product;
}

static struct big
power(uint64_t base, int exponent)
{
	struct big result = {{1}};

	while (exponent-- > 0)
		result = times(&result, base);
	return result;
}

static struct big
times_power_of_two(struct big number, int exponent)
{
	for (; exponent >= 32; exponent -= 32)
		number = times(&number, UINT64_C(1) << 32);
	return times(&number, UINT64_C(1) << exponent);
}

/* Prometheus: x <= 2^(i/8) s. With ns: ns^8 <= 2^i x 10^72, without a root. */
static bool
is_at_most(uint64_t ns, int bucket)
{
	struct big left = power(ns, 8);
	struct big right = power(1000000000, 8);

	if (bucket < 0)
		left = times_power_of_two(left, -bucket);
	else
		right = times_power_of_two(right, bucket);
	for (size_t i = COUNT(left.digits); i-- > 0;)
		if (left.digits[i] != right.digits[i])
			return left.digits[i] < right.digits[i];
	return true;
}

/* The longest time that is in this bucket, or in one below it. */
static uint64_t
last_of(int bucket)
{
	/* An estimate, and what it may be off in every arithmetic. */
	double estimate = exp2(bucket / 8.0) * 1e9;
	uint64_t off = 8192;
	uint64_t middle =
	    estimate < 9e18 ? (uint64_t)estimate : INT64_MAX - off;
	uint64_t low = middle > off ? middle - off : 0;
	uint64_t high = middle + off;

	assert_true(is_at_most(low, bucket));
	assert_true(high == INT64_MAX || !is_at_most(high, bucket));
	while (low < high) {
		middle = low + (high - low + 1) / 2;
		if (is_at_most(middle, bucket))
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

static void
every_time_is_in_the_bucket_that_prometheus_means(void **state)
{
	int bucket = NATIVE_ZERO;

	(void)state;
	for (;; bucket++) {
		int64_t last = (int64_t)last_of(bucket);

		assert_int_equal(native_bucket(last), bucket);
		if (last == INT64_MAX)
			break;
		assert_int_equal(native_bucket(last + 1), bucket + 1);
	}
	assert_int_equal(bucket, 265); /* 292 years */
}

static void
a_bound_is_in_its_bucket_and_a_nanosecond_more_is_not(void **state)
{
	(void)state;
	assert_int_equal(native_bucket(1000000000), 0);
	assert_int_equal(native_bucket(1000000001), 1);
	assert_int_equal(native_bucket(2000000000), 8);
	assert_int_equal(native_bucket(500000000), -8);
	assert_int_equal(native_bucket(500000001), -7);
}

static void
the_zero_bucket_has_all_times_up_to_its_threshold(void **state)
{
	(void)state;
	assert_true(
	    WRITER_NATIVE_ZERO * 1e9 > 953 && WRITER_NATIVE_ZERO * 1e9 < 954);
	assert_int_equal(native_bucket(953), NATIVE_ZERO);
	assert_int_equal(native_bucket(954), NATIVE_ZERO + 1);
	assert_int_equal(native_bucket(1), NATIVE_ZERO);
	assert_int_equal(native_bucket(0), NATIVE_ZERO);
	assert_int_equal(native_bucket(-5), NATIVE_ZERO);
	assert_int_equal(native_bucket(INT64_MIN), NATIVE_ZERO);
}

/* --- cells ---------------------------------------------------------------- */

static struct native_histogram read_back;

static struct native_place
duration_of(unsigned endpoint)
{
	return (struct native_place){REGISTRY_CELLS_DURATION, endpoint,
	    registry_endpoint_value(endpoint, REGISTRY_ENDPOINT_DURATION)};
}

static void
answer_of(int endpoint, int64_t ns)
{
	const struct request_sample request = {.endpoint = endpoint,
	    .method = METHOD_GET,
	    .status = 200,
	    .duration_ns = ns,
	    .queue_ns = 70000};

	request_metrics_add(&counters, SLOT_WORKER, &request);
}

static void
answer(int64_t ns)
{
	answer_of(ENDPOINT_health, ns);
}

/* Read a histogram, whose two kinds must agree with each other. */
static uint64_t
read_histogram(struct native_place place)
{
	struct counters_label_set *cells =
	    calloc(registry->label_set_capacity, sizeof(*cells));
	uint64_t native = 0;
	uint64_t classic = 0;

	assert_non_null(cells);
	native_read(&counters, &place, cells,
	    counters_list_cells(&counters, cells), &read_back);
	free(cells);
	for (size_t i = 0; i < read_back.native.bucket_count; i++) {
		native += read_back.buckets[i].count;
		assert_true(i == 0 || read_back.buckets[i - 1].index <
					  read_back.buckets[i].index);
	}
	for (size_t i = 0; i < REGISTRY_BUCKETS; i++)
		classic += read_back.classic[i];
	assert_int_equal(native + read_back.native.zero_count, classic);
	return classic;
}

static uint64_t
native_count(int bucket)
{
	for (size_t i = 0; i < read_back.native.bucket_count; i++)
		if (read_back.buckets[i].index == bucket)
			return read_back.buckets[i].count;
	return 0;
}

static void
an_observation_is_one_in_each_kind_of_histogram(void **state)
{
	static const int64_t times_ns[] = {0, 900, 954, 3000000, 3000000, 99999,
	    100000, 100001, 1000000000, 10000000000, 10000000001, 1572000000000,
	    INT64_MAX};
	const struct native_place place = duration_of(ENDPOINT_health);
	const struct native_place queue = {
	    REGISTRY_CELLS_QUEUE, ENDPOINT_COUNT - 1, REGISTRY_QUEUE};

	(void)state;
	for (size_t i = 0; i < COUNT(times_ns); i++)
		answer(times_ns[i]);
	assert_int_equal(read_histogram(place), COUNT(times_ns));
	assert_int_equal(read_back.native.zero_count, 2);
	assert_int_equal(native_count(native_bucket(3000000)), 2);
	/* 100 us divide a native bucket: both parts are in it. */
	assert_int_equal(native_bucket(99999), native_bucket(100001));
	assert_int_equal(native_count(native_bucket(100000)), 3);
	for (size_t i = 0; i < REGISTRY_BUCKETS; i++)
		assert_int_equal(read_back.classic[i],
		    counters_sum(&counters, place.first + 1 + i));
	assert_int_equal(read_back.classic[REGISTRY_BOUND_COUNT], 3);
	assert_int_equal(read_histogram(queue), COUNT(times_ns));
	assert_int_equal(native_count(native_bucket(70000)), COUNT(times_ns));
	assert_int_equal(read_histogram(duration_of(ENDPOINT_root)), 0);
}

static void
cells_are_no_requests(void **state)
{
	struct counters_label_set sets[4096];
	size_t count;

	(void)state;
	assert_true(registry->label_set_capacity <= COUNT(sets));
	for (int i = 0; i < 100; i++)
		answer(1000 << (i % 20));
	assert_int_equal(counters_sum_requests(&counters), 100);
	count = counters_list_label_sets(&counters, sets);
	for (size_t i = 0; i < count; i++)
		assert_true(sets[i].method < METHOD_COUNT || sets[i].code == 0);
}

static void
cells_leave_half_of_the_table_to_requests(void **state)
{
	const size_t half = registry->label_set_capacity / 2;
	const size_t overflow = counters_find_value(&counters,
	    ENDPOINT_COUNT - 1, (unsigned)registry->method_count - 1, 0);

	(void)state;
	for (int endpoint = 0; endpoint < ENDPOINT_COUNT; endpoint++)
		for (int bucket = NATIVE_ZERO; bucket < 265; bucket++)
			answer_of(endpoint, (int64_t)last_of(bucket));
	assert_int_equal(
	    read_histogram(duration_of(ENDPOINT_health)), 265 - NATIVE_ZERO);
	for (unsigned i = ENDPOINT_COUNT + 1; i < half; i++)
		assert_int_not_equal(counters_find_value(&counters,
					 ENDPOINT_root, METHOD_GET, 1000 + i),
		    overflow);
}

/* Nothing is lost. */
static void
what_finds_no_cell_is_in_the_last_native_bucket_of_its_classic_one(void **state)
{
	enum { REQUESTS = 1000 };
	const struct native_place place = duration_of(ENDPOINT_health);

	(void)state;
	for (unsigned code = 1000; code < 1000 + registry->label_set_capacity;
	     code++)
		counters_find_value(&counters, ENDPOINT_root, METHOD_GET, code);
	for (int i = 0; i < REQUESTS; i++)
		answer(1000001);
	assert_int_equal(read_histogram(place), REQUESTS);
	assert_int_equal(read_back.native.bucket_count, 1);
	assert_int_equal(native_count(native_bucket(2500000)), REQUESTS);
	assert_int_equal(read_back.classic[4], REQUESTS); /* 2.5 ms */
	assert_int_equal(counters_sum_requests(&counters), REQUESTS);
	answer(INT64_MAX);
	assert_int_equal(read_histogram(place), REQUESTS + 1);
	assert_int_equal(native_count(native_bucket(10000000001)), 1);
}

/* --- files of other versions ---------------------------------------------- */

static void
reopen(unsigned workers)
{
	counters_close(&counters);
	assert_int_equal(counters_open(&counters, support_path("counters"),
			     registry, workers),
	    0);
}

static void
a_file_that_is_taken_over_keeps_its_cells(void **state)
{
	(void)state;
	answer(3000000);
	answer(4000000);
	reopen(9);
	assert_int_equal(read_histogram(duration_of(ENDPOINT_health)), 2);
	assert_int_equal(native_count(native_bucket(3000000)), 1);
	assert_int_equal(native_count(native_bucket(4000000)), 1);
	assert_int_equal(counters_sum_requests(&counters), 2);
}

/* An older version counted in the classic buckets alone. */
static void
counts_without_cells_are_in_both_kinds_once_a_file_is_taken_over(void **state)
{
	const struct native_place place = duration_of(ENDPOINT_health);
	_Atomic uint64_t *values = counters_values(&counters, SLOT_WORKER);

	(void)state;
	answer(3000000);
	counters_add(values, registry_bucket(place.first, 3000000), 40);
	counters_add(values, registry_bucket(place.first, INT64_MAX), 2);
	for (unsigned workers = 9; workers < 12; workers++) {
		reopen(workers);
		assert_int_equal(read_histogram(place), 43);
		assert_int_equal(native_count(native_bucket(3000000)), 1);
		assert_int_equal(native_count(native_bucket(5000000)), 40);
		assert_int_equal(native_count(native_bucket(10000000001)), 2);
	}
}

static void
the_overflow_of_an_older_version_is_still_the_overflow(void **state)
{
	size_t index;

	(void)state;
	/* Its last method is the last one of requests. */
	index =
	    counters_find_value(&counters, ENDPOINT_COUNT - 1, METHOD_OTHER, 0);
	counters_add(counters_values(&counters, SLOT_WORKER), index, 5);
	reopen(9);
	index = counters_find_value(&counters, ENDPOINT_COUNT - 1,
	    (unsigned)registry->method_count - 1, 0);
	assert_int_equal(counters_sum(&counters, index), 5);
	assert_int_equal(counters_sum_requests(&counters), 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(every_time_is_in_the_bucket_that_prometheus_means),
	    TEST(a_bound_is_in_its_bucket_and_a_nanosecond_more_is_not),
	    TEST(the_zero_bucket_has_all_times_up_to_its_threshold),
	    TEST(an_observation_is_one_in_each_kind_of_histogram),
	    TEST(cells_are_no_requests),
	    TEST(cells_leave_half_of_the_table_to_requests),
	    TEST(
		what_finds_no_cell_is_in_the_last_native_bucket_of_its_classic_one),
	    TEST(a_file_that_is_taken_over_keeps_its_cells),
	    TEST(
		counts_without_cells_are_in_both_kinds_once_a_file_is_taken_over),
	    TEST(the_overflow_of_an_older_version_is_still_the_overflow),
	};

	return SUPPORT_RUN(tests);
}
