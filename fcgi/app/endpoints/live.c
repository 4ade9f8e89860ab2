/*
 * GET /live: a snapshot for people and pages, as JSON. Counts are totals. Rates
 * are over the last second; the master measures them. What could not be read is
 * null.
 */
#include <stdlib.h>
#include <time.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "metrics/registry.h"
#include "metrics/collectors/cgroup.h"
#include "metrics/counters.h"
#include "options.h"
#include "http/router.h"
#include "service.h"

static void
add_number(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(
	    object, name, json_object_new_int64((int64_t)value));
}

static void
add_double(struct json_object *object, const char *name, double value)
{
	json_object_object_add(object, name, json_object_new_double(value));
}

static void
add_bool(struct json_object *object, const char *name, bool value)
{
	json_object_object_add(object, name, json_object_new_boolean(value));
}

static void
add_nulls(struct json_object *object, const char *const *names)
{
	for (; *names; names++)
		json_object_object_add(object, *names, NULL);
}

static void
add_census(struct json_object *object, const struct scoreboard_census *census)
{
	add_number(object, "count", census->workers);
	add_number(object, "busy", census->busy);
	add_number(object, "idle", census->idle);
	add_number(object, "stopped", census->stopped);
	add_number(object, "connections", census->connections);
}

/* All workers, and those of each kind. */
static struct json_object *
describe_workers(const struct scoreboard *scoreboard)
{
	struct json_object *workers = json_object_new_object();
	struct scoreboard_census sum = {0};

	for (int kind = 0; kind < SCOREBOARD_KINDS; kind++) {
		const struct scoreboard_census census =
		    scoreboard_census(scoreboard, (enum scoreboard_kind)kind);
		struct json_object *object = json_object_new_object();

		sum.workers += census.workers;
		sum.busy += census.busy;
		sum.idle += census.idle;
		sum.stopped += census.stopped;
		sum.connections += census.connections;
		add_census(object, &census);
		json_object_object_add(workers,
		    scoreboard_kind_name((enum scoreboard_kind)kind), object);
	}
	add_census(workers, &sum);
	return workers;
}

/* Requests by endpoint, and how many of them were answered with a 5xx. */
static struct json_object *
describe_requests(
    const struct counters *counters, uint64_t *total, uint64_t *errors)
{
	const struct registry *registry = counters->registry;
	struct json_object *requests = json_object_new_object();
	struct counters_label_set *label_sets =
	    calloc(registry->label_set_capacity, sizeof(*label_sets));
	uint64_t counts[ENDPOINT_COUNT] = {0};
	size_t count =
	    label_sets ? counters_list_label_sets(counters, label_sets) : 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t sum = counters_sum(counters, label_sets[i].index);

		counts[label_sets[i].endpoint] += sum;
		*total += sum;
		*errors += label_sets[i].code >= 500 ? sum : 0;
	}
	free(label_sets);
	for (int i = 0; i < ENDPOINT_COUNT; i++)
		add_number(requests, router_endpoint_name(i), counts[i]);
	return requests;
}

/* Durations of all requests as [upper bound in seconds, count], plain. */
static struct json_object *
describe_durations(const struct counters *counters)
{
	struct json_object *durations = json_object_new_array();

	for (int i = 0; i <= REGISTRY_BOUND_COUNT; i++) {
		struct json_object *pair = json_object_new_array();
		uint64_t count = 0;

		for (unsigned endpoint = 0; endpoint < ENDPOINT_COUNT;
		     endpoint++)
			count += counters_sum(
			    counters, registry_endpoint_value(endpoint,
					  REGISTRY_ENDPOINT_DURATION) +
					  1 + (size_t)i);
		json_object_array_add(
		    pair, i < REGISTRY_BOUND_COUNT
			      ? json_object_new_double(
				    (double)registry_bounds[i].ns / 1e9)
			      : NULL);
		json_object_array_add(
		    pair, json_object_new_int64((int64_t)count));
		json_object_array_add(durations, pair);
	}
	return durations;
}

static struct json_object *
describe_cpu(const struct scoreboard_entry *master, const struct cgroup *cgroup)
{
	static const char *const limit[] = {"limit_cores", "limited", NULL};
	static const char *const rates[] = {"usage_cores", "demand_cores",
	    "throttled_cores", "throttled_share", NULL};
	struct json_object *cpu = json_object_new_object();
	double usage = (double)master->cpu_usage / 1e9;
	double throttled = (double)master->cpu_throttled / 1e9;
	double share = (double)master->cpu_throttled_share / 1000;

	if (cgroup->cpu_error) {
		add_nulls(cpu, limit);
	} else {
		add_double(cpu, "limit_cores", cgroup->cpu_limit_cores);
		add_bool(cpu, "limited", cgroup->cpu_limited);
	}
	if (master->cpu_usage < 0) {
		add_nulls(cpu, rates);
		return cpu;
	}
	add_double(cpu, "usage_cores", usage);
	/* While it is throttled, its demand is not known. */
	if (share > 0 || throttled > 0)
		json_object_object_add(cpu, "demand_cores", NULL);
	else
		add_double(cpu, "demand_cores", usage);
	add_double(cpu, "throttled_cores", throttled);
	add_double(cpu, "throttled_share", share);
	return cpu;
}

static struct json_object *
describe_memory(const struct cgroup *cgroup)
{
	static const char *const names[] = {
	    "limit_bytes", "limited", "usage_bytes", "working_set_bytes", NULL};
	struct json_object *memory = json_object_new_object();

	if (cgroup->memory_error) {
		add_nulls(memory, names);
		return memory;
	}
	add_number(memory, "limit_bytes", cgroup->memory_limit_bytes);
	add_bool(memory, "limited", cgroup->memory_limited);
	add_number(memory, "usage_bytes", cgroup->memory_usage_bytes);
	add_number(
	    memory, "working_set_bytes", cgroup->memory_working_set_bytes);
	return memory;
}

void
endpoint_live(const struct request *request, struct response *response)
{
	const struct counters *counters = request->service->counters;
	const struct scoreboard_entry *master =
	    scoreboard_entry(&counters->scoreboard, SLOT_MASTER);
	struct json_object *live = json_object_new_object();
	struct json_object *requests;
	int64_t uptime = clock_boot() - master->started;
	struct cgroup cgroup;
	uint64_t total = 0;
	uint64_t errors = 0;

	cgroup_read("", &cgroup);
	requests = describe_requests(counters, &total, &errors);
	add_double(live, "time", (double)clock_wall() / 1e9);
	add_double(live, "uptime_seconds", (double)uptime / 1e9);
	add_number(live, "starts", counters_sum(counters, REGISTRY_STARTS));
	json_object_object_add(
	    live, "workers", describe_workers(&counters->scoreboard));
	json_object_object_add(live, "requests", requests);
	add_number(live, "requests_total", total);
	add_number(live, "errors_total", errors);
	add_double(
	    live, "requests_per_second", (double)master->request_rate / 1000);
	json_object_object_add(live, "durations", describe_durations(counters));
	json_object_object_add(live, "cpu", describe_cpu(master, &cgroup));
	json_object_object_add(live, "memory", describe_memory(&cgroup));
	json_object_object_add(live, "exercise",
	    json_object_new_boolean(request->service->options->exercise));
	json_object_object_add(live, "load_active",
	    json_object_new_boolean(master->load_ticket != 0));
	response_json(response, 200, live);
	response_header(response, "Cache-Control", "no-store");
}
