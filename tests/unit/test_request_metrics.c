/*
 * From an answered request to its values.
 */
#include "request_counters.h"

#include "http/router.h"

static const struct request_sample example = {
    .endpoint = ENDPOINT_health,
    .method = METHOD_GET,
    .status = 200,
    .duration_ns = 3000000,
    .queue_ns = 70000,
    .body_bytes = 16,
};

static uint64_t
requests(int endpoint, enum method method, unsigned code)
{
	return counters_sum(&counters,
	    counters_find_value(&counters, (unsigned)endpoint, method, code));
}

static uint64_t
all_values(void)
{
	uint64_t sum = 0;

	for (size_t i = 0;
	     i < registry->fixed_count + registry->label_set_capacity; i++)
		sum += counters_sum(&counters, i);
	return sum;
}

static void
a_request_is_one_in_each_of_its_values(void **state)
{
	size_t duration = registry_endpoint_value(
	    ENDPOINT_health, REGISTRY_ENDPOINT_DURATION);

	(void)state;
	request_metrics_add(&counters, SLOT_WORKER, &example);
	assert_int_equal(requests(ENDPOINT_health, METHOD_GET, 200), 1);
	assert_int_equal(
	    counters_sum(&counters, registry_endpoint_value(ENDPOINT_health,
					REGISTRY_ENDPOINT_SIZE)),
	    16);
	assert_int_equal(counters_sum(&counters, duration), 3000000);
	assert_int_equal(
	    counters_sum(&counters, registry_bucket(duration, 3000000)), 1);
	assert_int_equal(counters_sum(&counters, REGISTRY_QUEUE), 70000);
	assert_int_equal(
	    counters_sum(&counters, registry_bucket(REGISTRY_QUEUE, 70000)), 1);
	/* and two cells (test_native.c), and nothing else anywhere */
	assert_int_equal(all_values(), 1 + 16 + 3000000 + 1 + 70000 + 1 + 2);
}

static void
a_request_is_counted_in_its_process_slot_alone(void **state)
{
	size_t index;

	(void)state;
	request_metrics_add(&counters, SLOT_WORKER + 1, &example);
	index =
	    counters_find_value(&counters, ENDPOINT_health, METHOD_GET, 200);
	for (unsigned slot = 0; slot < counters.slot_count; slot++)
		assert_int_equal(counters_values(&counters, slot)[index],
		    slot == SLOT_WORKER + 1);
}

static void
a_cgi_request_is_counted_in_the_slot_they_share(void **state)
{
	size_t index;

	(void)state;
	request_metrics_add_shared(&counters, &example);
	request_metrics_add_shared(&counters, &example);
	index =
	    counters_find_value(&counters, ENDPOINT_health, METHOD_GET, 200);
	assert_int_equal(counters_values(&counters, SLOT_CGI)[index], 2);
	assert_int_equal(counters_sum(&counters, index), 2);
}

static void
assert_exemplar(size_t bucket, uint64_t value)
{
	struct exemplar found;

	assert_true(exemplars_find(&counters.exemplars, bucket, &found));
	assert_string_equal(found.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
	assert_int_equal(found.value, value);
	assert_int_equal(found.time_ns, 1700000000123456789);
}

static void
a_request_with_a_trace_id_is_the_exemplar_of_its_buckets(void **state)
{
	size_t duration = registry_endpoint_value(
	    ENDPOINT_health, REGISTRY_ENDPOINT_DURATION);
	struct request_sample request = example;
	struct exemplar found;
	size_t count = 0;

	(void)state;
	request.ended_ns = 1700000000123456789;
	strcpy(request.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
	request_metrics_add(&counters, SLOT_WORKER, &request);
	assert_exemplar(registry_bucket(duration, 3000000), 3000000);
	assert_exemplar(registry_bucket(REGISTRY_QUEUE, 70000), 70000);
	for (size_t i = 0; i < registry->fixed_count; i++)
		count += exemplars_find(&counters.exemplars, i, &found);
	assert_int_equal(count, 2);
}

static void
a_request_without_a_receipt_time_has_no_queue_time(void **state)
{
	struct request_sample request = example;

	(void)state;
	request.queue_ns = -1;
	request_metrics_add(&counters, SLOT_WORKER, &request);
	for (size_t i = 0; i < REGISTRY_HISTOGRAM_VALUES; i++)
		assert_int_equal(
		    counters_sum(&counters, REGISTRY_QUEUE + i), 0);
	request.queue_ns = 0;
	request_metrics_add(&counters, SLOT_WORKER, &request);
	assert_int_equal(counters_sum(&counters, REGISTRY_QUEUE + 1), 1);
}

static void
an_uncounted_request_changes_nothing(void **state)
{
	struct request_sample request = example;

	(void)state;
	request.endpoint = ENDPOINT_UNCOUNTED;
	request_metrics_add(&counters, SLOT_METRICS, &request);
	request_metrics_add_shared(&counters, &request);
	assert_int_equal(all_values(), 0);
}

static void
every_combination_has_a_count_of_its_own(void **state)
{
	static const int codes[] = {200, 404, 500, 599};

	(void)state;
	for (int endpoint = 0; endpoint < ENDPOINT_COUNT; endpoint++)
		for (int method = 0; method < METHOD_COUNT; method++)
			for (size_t i = 0; i < COUNT(codes); i++) {
				struct request_sample request = example;

				request.endpoint = endpoint;
				request.method = (enum method)method;
				request.status = codes[i];
				request_metrics_add(
				    &counters, SLOT_WORKER, &request);
			}
	for (int endpoint = 0; endpoint < ENDPOINT_COUNT; endpoint++)
		for (int method = 0; method < METHOD_COUNT; method++)
			for (size_t i = 0; i < COUNT(codes); i++)
				assert_int_equal(
				    requests(endpoint, (enum method)method,
					(unsigned)codes[i]),
				    1);
}

static void
the_combinations_that_alerts_look_at_are_declared_as_zero(void **state)
{
	struct counters_label_set label_sets[4096];
	size_t count;
	bool found = false;

	(void)state;
	assert_true(registry->label_set_capacity <= COUNT(label_sets));
	request_metrics_declare(&counters);
	count = counters_list_label_sets(&counters, label_sets);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(
		    counters_sum(&counters, label_sets[i].index), 0);
		found |= label_sets[i].endpoint == ENDPOINT_health &&
			 label_sets[i].method == METHOD_GET &&
			 label_sets[i].code == 500;
		if (label_sets[i].endpoint < ENDPOINT_OTHER)
			assert_true(
			    router_routes[label_sets[i].endpoint].methods &
			    1u << label_sets[i].method);
	}
	assert_true(found);
	request_metrics_declare(&counters); /* twice is once */
	assert_int_equal(
	    counters_list_label_sets(&counters, label_sets), count);
}

static void
the_registry_has_the_names_of_the_routes_and_of_the_methods(void **state)
{
	(void)state;
	assert_int_equal(registry->endpoint_count, ENDPOINT_COUNT);
	assert_int_equal(
	    registry->method_count, METHOD_COUNT + REGISTRY_CELL_METHODS + 1);
	for (int i = 0; i < ENDPOINT_COUNT; i++)
		assert_string_equal(
		    registry->endpoints[i], router_endpoint_name(i));
	assert_string_equal(registry->methods[METHOD_DELETE], "DELETE");
	assert_string_equal(registry->methods[METHOD_OTHER], "other");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_request_is_one_in_each_of_its_values),
	    TEST(a_request_is_counted_in_its_process_slot_alone),
	    TEST(a_cgi_request_is_counted_in_the_slot_they_share),
	    TEST(a_request_with_a_trace_id_is_the_exemplar_of_its_buckets),
	    TEST(a_request_without_a_receipt_time_has_no_queue_time),
	    TEST(an_uncounted_request_changes_nothing),
	    TEST(every_combination_has_a_count_of_its_own),
	    TEST(the_combinations_that_alerts_look_at_are_declared_as_zero),
	    TEST(the_registry_has_the_names_of_the_routes_and_of_the_methods),
	};

	return SUPPORT_RUN(tests);
}
