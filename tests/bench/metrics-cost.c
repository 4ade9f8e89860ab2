/*
 * What counting and rendering cost, measured in CPU time on a counter file of
 * 16 worker slots: one increment, a whole request's counts, eight processes at
 * once (whose sum must be exact), and the text of at least 1000 series, with an
 * exemplar of every worker for every bucket.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "http/request_metrics.h"
#include "metrics/registry.h"
#include "metrics/exposition.h"
#include "metrics/counters.h"
#include "http/router.h"

enum { WORKERS = 16, PROCESSES = 8, SERIES = 1000 };
enum { INCREMENTS = 100000000, REQUESTS = 10000000, RENDERINGS = 500 };
enum { TURNS = 5 };

static int64_t
cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void
print(const char *what, double figure, const char *unit)
{
	printf("%-52s %10.2f %s\n", what, figure, unit);
}

static void
fail(const char *what)
{
	fprintf(stderr, "metrics-cost: %s\n", what);
	exit(1);
}

/* The best of some turns: what disturbs a turn only ever adds to it. */
static double
best(double (*measure)(struct counters *), struct counters *counters)
{
	double least = measure(counters);

	for (int i = 1; i < TURNS; i++) {
		double value = measure(counters);

		if (value < least)
			least = value;
	}
	return least;
}

static double
measure_increment(struct counters *counters)
{
	_Atomic uint64_t *values = counters_values(counters, SLOT_WORKER);
	int64_t start = cpu_ns();

	for (int i = 0; i < INCREMENTS; i++)
		counters_add(values, REGISTRY_STARTS, 1);
	return (double)(cpu_ns() - start) / INCREMENTS;
}

/* Over values on many cache lines. */
static double
measure_spread_increment(struct counters *counters)
{
	_Atomic uint64_t *values = counters_values(counters, SLOT_WORKER);
	size_t span = counters->registry->fixed_count;
	size_t index = 0;
	int64_t start = cpu_ns();

	for (int i = 0; i < INCREMENTS; i++) {
		counters_add(values, index, 1);
		index = index + 19 < span ? index + 19 : index + 19 - span;
	}
	return (double)(cpu_ns() - start) / INCREMENTS;
}

static void
count_requests(struct counters *counters, unsigned slot, int requests)
{
	struct request_sample request = {.endpoint = ENDPOINT_root,
	    .method = METHOD_GET,
	    .status = 200,
	    .body_bytes = 22,
	    .ended_ns = INT64_C(1600000000000000000),
	    .trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"};

	for (int i = 0; i < requests; i++) {
		request.duration_ns = 1000 * (i & 1023);
		request.queue_ns = 1000 * (i & 511);
		request.ended_ns += 10000; /* 100,000 requests a second */
		request_metrics_add(counters, slot, &request);
	}
}

static double
measure_request(struct counters *counters)
{
	int64_t start = cpu_ns();

	count_requests(counters, SLOT_WORKER, REQUESTS);
	return (double)(cpu_ns() - start) / REQUESTS;
}

static size_t
request_value(struct counters *counters)
{
	return counters_find_value(counters, ENDPOINT_root, METHOD_GET, 200);
}

/* Every process counts in its own slot; nothing may be lost. */
static double
measure_processes(struct counters *counters)
{
	uint64_t before = counters_sum(counters, request_value(counters));
	int pipes[2];
	int64_t total = 0;
	int64_t spent;

	if (pipe(pipes) < 0)
		fail("no pipe");
	for (unsigned i = 0; i < PROCESSES; i++)
		if (fork() == 0) {
			spent = cpu_ns();
			count_requests(counters, SLOT_WORKER + i, REQUESTS);
			spent = cpu_ns() - spent;
			if (write(pipes[1], &spent, sizeof(spent)) < 0)
				_exit(1);
			_exit(0);
		}
	for (int i = 0; i < PROCESSES; i++) {
		if (read(pipes[0], &spent, sizeof(spent)) != sizeof(spent))
			fail("a process did not end well");
		total += spent;
	}
	while (wait(NULL) > 0)
		;
	close(pipes[0]);
	close(pipes[1]);
	if (counters_sum(counters, request_value(counters)) - before !=
	    (uint64_t)PROCESSES * REQUESTS)
		fail("the sum over the processes is not exact");
	return (double)total / ((double)PROCESSES * REQUESTS);
}

static size_t
count_series(const char *text)
{
	size_t series = 0;

	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		series += *line != '#';
	return series;
}

static double
measure_rendering(struct counters *counters, enum exposition_format format)
{
	const struct exposition_source source = {
	    .counters = counters, .alive = true, .backlog_fd = -1, .root = ""};
	int64_t start = cpu_ns();
	size_t size;

	for (int i = 0; i < RENDERINGS; i++)
		free(exposition_render(&source, format, &size));
	return (double)(cpu_ns() - start) / RENDERINGS / 1e6;
}

static double
measure_text(struct counters *counters)
{
	return measure_rendering(counters, EXPOSITION_TEXT);
}

static double
measure_openmetrics(struct counters *counters)
{
	return measure_rendering(counters, EXPOSITION_OPENMETRICS);
}

static double
measure_protobuf(struct counters *counters)
{
	return measure_rendering(counters, EXPOSITION_PROTOBUF);
}

static const char TRACE_ID[] = "4bf92f3577b34da6a3ce929d0e0e4736";
static const int64_t NOW = INT64_C(1700000000000000000);

/* Each bucket has an exemplar of each worker, the newest of the last one. */
static void
fill_exemplars(struct counters *counters)
{
	for (size_t i = 0; i < counters->registry->fixed_count; i++)
		for (unsigned slot = SLOT_WORKER; slot < SLOT_WORKER + WORKERS;
		     slot++)
			exemplars_record(&counters->exemplars, slot, i,
			    TRACE_ID, i, NOW + slot);
}

/* Enter as many combinations as it takes, counted by every worker. */
static size_t
fill(struct counters *counters)
{
	const struct exposition_source source = {
	    .counters = counters, .alive = true, .backlog_fd = -1, .root = ""};
	size_t size;
	char *text = exposition_render(&source, EXPOSITION_TEXT, &size);
	size_t series = count_series(text);

	free(text);
	for (unsigned code = 600; series < SERIES; code++, series++) {
		size_t index = counters_find_value(
		    counters, ENDPOINT_root, METHOD_GET, code);

		for (unsigned i = 0; i < WORKERS; i++)
			counters_add(counters_values(counters, SLOT_WORKER + i),
			    index, code);
	}
	text = exposition_render(&source, EXPOSITION_TEXT, &size);
	series = count_series(text);
	free(text);
	return series;
}

int
main(void)
{
	char directory[] = "/tmp/metrics-cost.XXXXXX";
	char path[sizeof(directory) + 16];
	struct registry *registry = request_metrics_registry();
	struct counters counters;
	size_t series;

	if (!registry || !mkdtemp(directory))
		fail("no memory or no /tmp");
	snprintf(path, sizeof(path), "%s/counters", directory);
	if (counters_open(&counters, path, registry, WORKERS) < 0)
		fail("cannot make a counter file");
	unlink(path);
	rmdir(directory);
	request_metrics_declare(&counters);
	setvbuf(stdout, NULL, _IOLBF, 0);

	print("an increment, one value", best(measure_increment, &counters),
	    "ns");
	print("an increment, values on many cache lines",
	    best(measure_spread_increment, &counters), "ns");
	print("a request's counts, all of them",
	    best(measure_request, &counters), "ns");
	print("the same by 8 processes at once, sum exact",
	    measure_processes(&counters), "ns");
	series = fill(&counters);
	fill_exemplars(&counters);
	if (series < SERIES)
		fail("not as many series as wanted");
	print("series, over 16 worker slots", (double)series, "series");
	print("text 0.0.4 of those", best(measure_text, &counters), "ms");
	print(
	    "OpenMetrics of those", best(measure_openmetrics, &counters), "ms");
	print("protobuf of those", best(measure_protobuf, &counters), "ms");
	counters_close(&counters);
	registry_free(registry);
	return 0;
}
