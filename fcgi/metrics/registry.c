/*
 * Which values the counter file has, and what they are called. The names go
 * into the file, so that another version finds its counts again.
 */
#include "metrics/registry.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct registry_bound registry_bounds[REGISTRY_BOUND_COUNT + 1] = {
    {100000, "0.0001"},
    {250000, "0.00025"},
    {500000, "0.0005"},
    {1000000, "0.001"},
    {2500000, "0.0025"},
    {5000000, "0.005"},
    {10000000, "0.01"},
    {25000000, "0.025"},
    {50000000, "0.05"},
    {100000000, "0.1"},
    {250000000, "0.25"},
    {500000000, "0.5"},
    {1000000000, "1.0"},
    {2500000000, "2.5"},
    {5000000000, "5.0"},
    {10000000000, "10.0"},
    {INT64_MAX, "+Inf"},
};

static const char *const plain_names[REGISTRY_QUEUE] = {
    [REGISTRY_STARTS] = "fcgi_webapp_starts_total",
    [REGISTRY_STORE_RECOVERIES] = "fcgi_webapp_store_recoveries_total",
    [REGISTRY_STORE_TRUNCATED] =
	"fcgi_webapp_store_incidents_total{kind=\"truncated\"}",
    [REGISTRY_STORE_OVERWRITTEN] =
	"fcgi_webapp_store_incidents_total{kind=\"overwritten\"}",
    [REGISTRY_STORE_DELETED] =
	"fcgi_webapp_store_incidents_total{kind=\"deleted\"}",
    [REGISTRY_STORE_REPLACED] =
	"fcgi_webapp_store_incidents_total{kind=\"replaced\"}",
    [REGISTRY_LOG_DROPPED] = "fcgi_webapp_log_dropped_total",
    [REGISTRY_WORKER_STARTS] = "fcgi_worker_starts_total",
    [REGISTRY_EXITS_DRAINED] = "fcgi_worker_exits_total{reason=\"drained\"}",
    [REGISTRY_EXITS_RECYCLED] = "fcgi_worker_exits_total{reason=\"recycled\"}",
    [REGISTRY_EXITS_CRASHED] = "fcgi_worker_exits_total{reason=\"crashed\"}",
    [REGISTRY_EXITS_DEADLINE] = "fcgi_worker_exits_total{reason=\"deadline\"}",
    [REGISTRY_GATEWAY_LOG] = "fcgi_gateway_log_bytes",
};

static int set_name(const char **name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int
set_name(const char **name, const char *format, ...)
{
	char *text;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	*name = length < 0 ? NULL : text;
	return length < 0 ? -1 : 0;
}

/* labels is "" or ends in a comma. */
static int
set_histogram_names(const char **names, const char *family, const char *labels)
{
	size_t length = strlen(labels);
	int error = length == 0 ? set_name(&names[0], "%s_sum", family)
				: set_name(&names[0], "%s_sum{%.*s}", family,
				      (int)length - 1, labels);

	for (int i = 0; i <= REGISTRY_BOUND_COUNT; i++)
		error |= set_name(&names[1 + i], "%s_bucket{%sle=\"%s\"}",
		    family, labels, registry_bounds[i].le);
	return error;
}

static int
set_endpoint_names(const char **names, const char *endpoint)
{
	char labels[256];

	snprintf(labels, sizeof(labels), "endpoint=\"%s\",", endpoint);
	return set_name(&names[0],
		   "http_response_size_bytes_total{endpoint=\"%s\"}",
		   endpoint) |
	       set_histogram_names(
		   &names[1], "http_request_duration_seconds", labels);
}

static size_t
next_power_of_two(size_t value)
{
	size_t power = 1;

	while (power < value)
		power *= 2;
	return power;
}

struct registry *
registry_new(const char *const *endpoints, size_t endpoint_count,
    const char *const *methods, size_t method_count)
{
	size_t count =
	    REGISTRY_ENDPOINTS + endpoint_count * REGISTRY_ENDPOINT_VALUES;
	struct registry *registry = calloc(1, sizeof(*registry));
	const char **names = calloc(count, sizeof(*names));
	int error = 0;

	if (!registry || !names) {
		free(registry);
		free(names);
		return NULL;
	}
	/* /status alone can be asked for 400 codes by two methods. */
	*registry =
	    (struct registry){names, count, endpoints, endpoint_count, methods,
		method_count, next_power_of_two(1024 + 32 * endpoint_count)};
	for (int i = 0; i < REGISTRY_QUEUE; i++)
		error |= set_name(&names[i], "%s", plain_names[i]);
	error |= set_histogram_names(
	    &names[REGISTRY_QUEUE], "http_request_queue_seconds", "");
	for (unsigned i = 0; i < endpoint_count; i++)
		error |= set_endpoint_names(
		    &names[registry_size_value(i)], endpoints[i]);
	if (error) {
		registry_free(registry);
		return NULL;
	}
	return registry;
}

void
registry_free(struct registry *registry)
{
	if (!registry)
		return;
	for (size_t i = 0; i < registry->fixed_count; i++)
		free((char *)(uintptr_t)registry->fixed[i]);
	free((void *)(uintptr_t)registry->fixed);
	free(registry);
}
