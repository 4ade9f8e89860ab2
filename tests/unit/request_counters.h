#ifndef REQUEST_COUNTERS_H
#define REQUEST_COUNTERS_H

/*
 * A counter file with the registry of the service, for each test.
 */

#include "support.h"

#include "http/request_metrics.h"
#include "metrics/registry.h"

static struct registry *registry;
static struct counters counters;

static inline int
set_up(void **state)
{
	support_clear(state);
	registry = request_metrics_registry();
	return registry ? counters_open(
			      &counters, support_path("counters"), registry, 2)
			: -1;
}

static inline int
tear_down(void **state)
{
	(void)state;
	counters_close(&counters);
	registry_free(registry);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
