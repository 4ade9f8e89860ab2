/*
 * Cells are repaired while a worker counts, between any two instructions of it.
 *
 * This shows the order in which the compiler stores the counts. It cannot show
 * that a processor keeps the order, which arm64 does only behind a barrier: a
 * process that a debugger has stopped shows all its stores.
 */
#include "request_counters.h"
#include "traced.h"

#include "http/router.h"
#include "metrics/native.h"

static void
count_request(void)
{
	const struct request_sample request = {.endpoint = ENDPOINT_health,
	    .method = METHOD_GET,
	    .status = 200,
	    .duration_ns = 3000000,
	    .queue_ns = 70000,
	    .body_bytes = 22};

	request_metrics_add(&counters, SLOT_WORKER, &request);
}

/* Observations of a histogram that are in no cell. */
static uint64_t
without_cell(size_t first)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < REGISTRY_BUCKETS; i++)
		sum += counters_sum(&counters, first + REGISTRY_NO_CELL + i);
	return sum;
}

static void
a_repair_counts_nothing_twice_that_a_worker_is_counting(void **state)
{
	const size_t duration = registry_endpoint_value(
	    ENDPOINT_health, REGISTRY_ENDPOINT_DURATION);
	const size_t size =
	    (registry->fixed_count + registry->label_set_capacity) *
	    sizeof(uint64_t);
	const void *values =
	    (const void *)counters_values(&counters, SLOT_WORKER);
	pid_t worker = start_traced(count_request); /* or skip the test */
	void *before = calloc(1, size);
	unsigned changes = 0;

	(void)state;
	assert_non_null(before);
	do {
		if (memcmp(before, values, size) == 0)
			continue;
		memcpy(before, values, size);
		changes++;
		native_adopt(&counters);
		assert_int_equal(without_cell(duration), 0);
		assert_int_equal(without_cell(REGISTRY_QUEUE), 0);
	} while (step(worker));
	end_traced(worker);
	free(before);
	/* The request, its bytes, and a cell, a bucket and a sum of two times.
	 */
	assert_int_equal(changes, 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_repair_counts_nothing_twice_that_a_worker_is_counting),
	};

	return SUPPORT_RUN(tests);
}
