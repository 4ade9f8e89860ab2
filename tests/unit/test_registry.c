/*
 * The values of the counter file and their names, which are a contract with
 * every later version.
 */
#include "support.h"

#include "metrics/registry.h"

static const char *const endpoints[] = {"root", "health", "other"};
static const char *const methods[] = {"GET", "POST", "other"};
static struct registry *registry;

static int
set_up(void **state)
{
	(void)state;
	registry = registry_new(endpoints, 3, methods, 3);
	return registry ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	registry_free(registry);
	return 0;
}

static void
every_value_has_a_name_of_its_own(void **state)
{
	(void)state;
	assert_int_equal(registry->fixed_count,
	    REGISTRY_ENDPOINTS + 3 * REGISTRY_ENDPOINT_VALUES);
	for (size_t i = 0; i < registry->fixed_count; i++) {
		assert_non_null(registry->fixed[i]);
		assert_null(strpbrk(registry->fixed[i], " \n\\"));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(
			    registry->fixed[i], registry->fixed[k]);
	}
}

static void
names_are_series_as_prometheus_writes_them(void **state)
{
	const char *const *names = registry->fixed;
	size_t health = registry_endpoint_value(1, REGISTRY_ENDPOINT_DURATION);

	(void)state;
	assert_string_equal(
	    names[REGISTRY_STARTS], PROGRAM_METRICS "starts_total");
	assert_string_equal(names[REGISTRY_STORE_RECOVERIES],
	    PROGRAM_METRICS "store_recoveries_total");
	assert_string_equal(
	    names[REGISTRY_LOG_DROPPED], PROGRAM_METRICS "log_dropped_total");
	assert_string_equal(
	    names[REGISTRY_WORKER_STARTS], "fcgi_worker_starts_total");
	assert_string_equal(names[REGISTRY_EXITS_DEADLINE],
	    "fcgi_worker_exits_total{reason=\"deadline\"}");
	assert_string_equal(
	    names[REGISTRY_GATEWAY_LOG], "fcgi_gateway_log_bytes");
	assert_string_equal(
	    names[REGISTRY_QUEUE], "http_request_queue_seconds_sum");
	assert_string_equal(names[REGISTRY_QUEUE + 1],
	    "http_request_queue_seconds_bucket{le=\"0.0001\"}");
	assert_string_equal(
	    names[registry_endpoint_value(1, REGISTRY_ENDPOINT_SIZE)],
	    "http_response_size_bytes_total{endpoint=\"health\"}");
	assert_string_equal(names[health],
	    "http_request_duration_seconds_sum{endpoint=\"health\"}");
	assert_string_equal(names[health + REGISTRY_BUCKETS],
	    "http_request_duration_seconds_bucket{endpoint=\"health\","
	    "le=\"+Inf\"}");
	assert_string_equal(names[health + REGISTRY_HISTOGRAM_VALUES - 1],
	    "http_request_duration_seconds_no_cell_bucket{"
	    "endpoint=\"health\",le=\"+Inf\"}");
}

/* The lines of metrics.def, against the names that they generate. */
static void
every_counter_of_the_table_has_a_value_with_its_name(void **state)
{
	(void)state;
	for (const struct registry_family *family = registry_families;
	     family->family.name; family++) {
		char name[128];

		snprintf(name, sizeof(name), "%s_total", family->family.name);
		if (family->kind == REGISTRY_KIND_COUNTER)
			assert_string_equal(
			    registry->fixed[family->value], name);
		if (family->kind != REGISTRY_KIND_COUNTER_BY)
			continue;
		for (const struct registry_series *series = family->series;
		     series->label_value; series++) {
			snprintf(name, sizeof(name), "%s_total{%s=\"%s\"}",
			    family->family.name, family->label,
			    series->label_value);
			assert_string_equal(
			    registry->fixed[series->value], name);
		}
	}
}

static void
every_family_of_the_table_has_a_help_and_its_unit_is_its_last_word(void **state)
{
	(void)state;
	for (const struct registry_family *family = registry_families;
	     family->family.name; family++) {
		const char *name = family->family.name;
		const char *unit = family->family.unit;

		if (family->kind == REGISTRY_KIND_INTERNAL)
			continue;
		assert_true(family->family.help[0] != '\0');
		assert_null(strpbrk(family->family.help, "\"\\\n"));
		assert_null(strstr(name, "_total"));
		if (unit)
			assert_string_equal(
			    name + strlen(name) - strlen(unit), unit);
	}
}

/* An older version takes the last method for that of the overflow label set. */
static void
cells_have_methods_between_those_of_requests_and_the_last(void **state)
{
	const char *const *names = registry->methods;
	unsigned method = registry_cell_method(
	    registry, REGISTRY_CELLS_DURATION, REGISTRY_BUCKETS - 1);

	(void)state;
	assert_int_equal(registry->method_count, 3 + REGISTRY_CELL_METHODS + 1);
	for (unsigned i = 0; i < registry->method_count; i++) {
		assert_int_equal(registry_is_cell(registry, i),
		    i >= 3 && i < registry->method_count - 1);
		for (unsigned k = 0; k < i && i < registry->method_count - 1;
		     k++)
			assert_string_not_equal(names[i], names[k]);
	}
	assert_string_equal(names[2], "other");
	assert_string_equal(names[registry->method_count - 1], "other");
	assert_string_equal(
	    names[method], "http_request_duration_seconds{le=\"+Inf\"}");
	assert_true(registry_has_cells(registry));
}

static void
bounds_grow_and_are_printed_as_what_they_are(void **state)
{
	(void)state;
	for (int i = 0; i < REGISTRY_BOUND_COUNT; i++) {
		double seconds = strtod(registry_bounds[i].le, NULL);

		assert_int_equal(
		    (int64_t)(seconds * 1e9 + 0.5), registry_bounds[i].ns);
		assert_true(registry_bounds[i].ns < registry_bounds[i + 1].ns);
		/* le="1" and le="1.0" may be two series */
		assert_non_null(strchr(registry_bounds[i].le, '.'));
	}
	assert_string_equal(registry_bounds[REGISTRY_BOUND_COUNT].le, "+Inf");
	assert_int_equal(registry_bounds[REGISTRY_BOUND_COUNT].ns, INT64_MAX);
}

static void
a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed(void **state)
{
	(void)state;
	for (size_t i = 0; i < REGISTRY_BOUND_COUNT; i++) {
		int64_t bound = registry_bounds[i].ns;

		assert_int_equal(registry_bucket(100, bound), 101 + i);
		assert_int_equal(registry_bucket(100, bound - 1), 101 + i);
		assert_int_equal(registry_bucket(100, bound + 1), 102 + i);
	}
	assert_int_equal(registry_bucket(100, 0), 101);
	assert_int_equal(registry_bucket(100, -1), 101);
	assert_int_equal(
	    registry_bucket(100, INT64_MAX), 101 + REGISTRY_BOUND_COUNT);
}

static void
values_of_endpoints_follow_each_other_without_a_gap(void **state)
{
	(void)state;
	assert_int_equal(registry_endpoint_value(0, REGISTRY_ENDPOINT_SIZE),
	    REGISTRY_ENDPOINTS);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
		    registry_endpoint_value(i, REGISTRY_ENDPOINT_DURATION) +
			REGISTRY_HISTOGRAM_VALUES,
		    registry_endpoint_value(i + 1, REGISTRY_ENDPOINT_SIZE));
	assert_int_equal(
	    registry_endpoint_value(2, REGISTRY_ENDPOINT_DURATION) +
		REGISTRY_HISTOGRAM_VALUES,
	    registry->fixed_count);
}

static void
the_label_set_table_is_a_power_of_two_and_has_room_for_every_code(void **state)
{
	size_t capacity = registry->label_set_capacity;

	(void)state;
	assert_int_equal(capacity & (capacity - 1), 0);
	assert_true(capacity >= 2 * 400 + 32 * 3); /* of /status, twice */
}

static void
freeing_nothing_is_harmless(void **state)
{
	(void)state;
	registry_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_value_has_a_name_of_its_own),
	    cmocka_unit_test(names_are_series_as_prometheus_writes_them),
	    cmocka_unit_test(
		every_counter_of_the_table_has_a_value_with_its_name),
	    cmocka_unit_test(
		every_family_of_the_table_has_a_help_and_its_unit_is_its_last_word),
	    cmocka_unit_test(
		cells_have_methods_between_those_of_requests_and_the_last),
	    cmocka_unit_test(bounds_grow_and_are_printed_as_what_they_are),
	    cmocka_unit_test(
		a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed),
	    cmocka_unit_test(
		values_of_endpoints_follow_each_other_without_a_gap),
	    cmocka_unit_test(
		the_label_set_table_is_a_power_of_two_and_has_room_for_every_code),
	    cmocka_unit_test(freeing_nothing_is_harmless),
	};

	return SUPPORT_RUN_WITH(tests, set_up, tear_down);
}
