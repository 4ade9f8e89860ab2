/*
 * From an answered request to its cells.
 */
#include "support.h"

#include "http/request_metrics.h"
#include "metrics/registry.h"
#include "http/router.h"

static struct store_catalog *catalog;
static struct store store;

static int
set_up(void **state)
{
	support_clear(state);
	catalog = counters_catalog();
	return catalog
		   ? store_open(&store, support_path("counters"), catalog, 2)
		   : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	store_close(&store);
	catalog_free(catalog);
	return 0;
}

static const struct counters_request example = {
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
	return store_sum(
	    &store, store_key_cell(&store, (unsigned)endpoint, method, code));
}

static uint64_t
all_cells(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < catalog->fixed_count + catalog->key_capacity;
	     i++)
		sum += store_sum(&store, i);
	return sum;
}

static void
a_request_is_one_in_each_of_its_cells(void **state)
{
	size_t duration = catalog_duration_cell(ENDPOINT_health);

	(void)state;
	counters_count(&store, STORE_WORKER, &example);
	assert_int_equal(requests(ENDPOINT_health, METHOD_GET, 200), 1);
	assert_int_equal(
	    store_sum(&store, catalog_size_cell(ENDPOINT_health)), 16);
	assert_int_equal(store_sum(&store, duration), 3000000);
	assert_int_equal(
	    store_sum(&store, catalog_bucket(duration, 3000000)), 1);
	assert_int_equal(store_sum(&store, CATALOG_QUEUE), 70000);
	assert_int_equal(
	    store_sum(&store, catalog_bucket(CATALOG_QUEUE, 70000)), 1);
	/* and nothing else anywhere */
	assert_int_equal(all_cells(), 1 + 16 + 3000000 + 1 + 70000 + 1);
}

static void
a_request_is_counted_in_its_process_slot_alone(void **state)
{
	size_t cell;

	(void)state;
	counters_count(&store, STORE_WORKER + 1, &example);
	cell = store_key_cell(&store, ENDPOINT_health, METHOD_GET, 200);
	for (unsigned slot = 0; slot < store.slot_count; slot++)
		assert_int_equal(
		    store_cells(&store, slot)[cell], slot == STORE_WORKER + 1);
}

static void
a_cgi_request_is_counted_in_the_slot_they_share(void **state)
{
	size_t cell;

	(void)state;
	counters_count_shared(&store, &example);
	counters_count_shared(&store, &example);
	cell = store_key_cell(&store, ENDPOINT_health, METHOD_GET, 200);
	assert_int_equal(store_cells(&store, STORE_CGI)[cell], 2);
	assert_int_equal(store_sum(&store, cell), 2);
}

static void
a_request_without_a_receipt_time_has_no_queue_time(void **state)
{
	struct counters_request request = example;

	(void)state;
	request.queue_ns = -1;
	counters_count(&store, STORE_WORKER, &request);
	for (size_t i = 0; i < CATALOG_HISTOGRAM_CELLS; i++)
		assert_int_equal(store_sum(&store, CATALOG_QUEUE + i), 0);
	request.queue_ns = 0;
	counters_count(&store, STORE_WORKER, &request);
	assert_int_equal(store_sum(&store, CATALOG_QUEUE + 1), 1);
}

static void
an_uncounted_request_changes_nothing(void **state)
{
	struct counters_request request = example;

	(void)state;
	request.endpoint = ENDPOINT_UNCOUNTED;
	counters_count(&store, STORE_OBSERVER, &request);
	counters_count_shared(&store, &request);
	assert_int_equal(all_cells(), 0);
}

static void
every_combination_has_a_count_of_its_own(void **state)
{
	static const int codes[] = {200, 404, 500, 599};

	(void)state;
	for (int endpoint = 0; endpoint < ENDPOINT_COUNT; endpoint++)
		for (int method = 0; method < METHOD_COUNT; method++)
			for (size_t i = 0; i < COUNT(codes); i++) {
				struct counters_request request = example;

				request.endpoint = endpoint;
				request.method = (enum method)method;
				request.status = codes[i];
				counters_count(&store, STORE_WORKER, &request);
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
	struct store_key keys[4096];
	size_t count;
	bool found = false;

	(void)state;
	assert_true(catalog->key_capacity <= COUNT(keys));
	counters_declare(&store);
	count = store_list_keys(&store, keys);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(store_sum(&store, keys[i].cell), 0);
		found |= keys[i].endpoint == ENDPOINT_health &&
			 keys[i].method == METHOD_GET && keys[i].code == 500;
		if (keys[i].endpoint < ENDPOINT_OTHER)
			assert_true(router_routes[keys[i].endpoint].methods &
				    1u << keys[i].method);
	}
	assert_true(found);
	counters_declare(&store); /* twice is once */
	assert_int_equal(store_list_keys(&store, keys), count);
}

static void
the_catalog_has_the_names_of_the_routes_and_of_the_methods(void **state)
{
	(void)state;
	assert_int_equal(catalog->endpoint_count, ENDPOINT_COUNT);
	assert_int_equal(catalog->method_count, METHOD_COUNT);
	for (int i = 0; i < ENDPOINT_COUNT; i++)
		assert_string_equal(
		    catalog->endpoints[i], router_endpoint_name(i));
	assert_string_equal(catalog->methods[METHOD_DELETE], "DELETE");
	assert_string_equal(catalog->methods[METHOD_OTHER], "other");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_request_is_one_in_each_of_its_cells),
	    TEST(a_request_is_counted_in_its_process_slot_alone),
	    TEST(a_cgi_request_is_counted_in_the_slot_they_share),
	    TEST(a_request_without_a_receipt_time_has_no_queue_time),
	    TEST(an_uncounted_request_changes_nothing),
	    TEST(every_combination_has_a_count_of_its_own),
	    TEST(the_combinations_that_alerts_look_at_are_declared_as_zero),
	    TEST(the_catalog_has_the_names_of_the_routes_and_of_the_methods),
	};

	return SUPPORT_RUN(tests);
}
