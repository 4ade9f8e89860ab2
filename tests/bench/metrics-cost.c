/*
 * What counting and rendering cost, measured in CPU time on a counter file of
 * 16 worker slots: one increment, a whole request's counts, eight processes at
 * once (whose sum must be exact), and the text of at least 1000 series.
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
#include "metrics/shm.h"
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
best(double (*measure)(struct store *), struct store *store)
{
	double least = measure(store);

	for (int i = 1; i < TURNS; i++) {
		double value = measure(store);

		if (value < least)
			least = value;
	}
	return least;
}

static double
measure_increment(struct store *store)
{
	_Atomic uint64_t *cells = store_cells(store, STORE_WORKER);
	int64_t start = cpu_ns();

	for (int i = 0; i < INCREMENTS; i++)
		store_add(cells, CATALOG_STARTS, 1);
	return (double)(cpu_ns() - start) / INCREMENTS;
}

/* Over cells on many cache lines. */
static double
measure_spread_increment(struct store *store)
{
	_Atomic uint64_t *cells = store_cells(store, STORE_WORKER);
	size_t span = store->catalog->fixed_count;
	size_t cell = 0;
	int64_t start = cpu_ns();

	for (int i = 0; i < INCREMENTS; i++) {
		store_add(cells, cell, 1);
		cell = cell + 19 < span ? cell + 19 : cell + 19 - span;
	}
	return (double)(cpu_ns() - start) / INCREMENTS;
}

static void
count_requests(struct store *store, unsigned slot, int requests)
{
	struct counters_request request = {.endpoint = ENDPOINT_root,
	    .method = METHOD_GET,
	    .status = 200,
	    .body_bytes = 22};

	for (int i = 0; i < requests; i++) {
		request.duration_ns = 1000 * (i & 1023);
		request.queue_ns = 1000 * (i & 511);
		counters_count(store, slot, &request);
	}
}

static double
measure_request(struct store *store)
{
	int64_t start = cpu_ns();

	count_requests(store, STORE_WORKER, REQUESTS);
	return (double)(cpu_ns() - start) / REQUESTS;
}

static size_t
request_cell(struct store *store)
{
	return store_key_cell(store, ENDPOINT_root, METHOD_GET, 200);
}

/* Every process counts in its own slot; nothing may be lost. */
static double
measure_processes(struct store *store)
{
	uint64_t before = store_sum(store, request_cell(store));
	int pipes[2];
	int64_t total = 0;
	int64_t spent;

	if (pipe(pipes) < 0)
		fail("no pipe");
	for (unsigned i = 0; i < PROCESSES; i++)
		if (fork() == 0) {
			spent = cpu_ns();
			count_requests(store, STORE_WORKER + i, REQUESTS);
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
	if (store_sum(store, request_cell(store)) - before !=
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
measure_rendering(struct store *store, enum exposition_format format)
{
	const struct exposition_source source = {
	    .store = store, .alive = true, .queue_fd = -1, .root = ""};
	int64_t start = cpu_ns();
	size_t size;

	for (int i = 0; i < RENDERINGS; i++)
		free(exposition_render(&source, format, &size));
	return (double)(cpu_ns() - start) / RENDERINGS / 1e6;
}

static double
measure_text(struct store *store)
{
	return measure_rendering(store, EXPOSITION_TEXT);
}

static double
measure_openmetrics(struct store *store)
{
	return measure_rendering(store, EXPOSITION_OPENMETRICS);
}

/* Enter as many combinations as it takes, counted by every worker. */
static size_t
fill(struct store *store)
{
	const struct exposition_source source = {
	    .store = store, .alive = true, .queue_fd = -1, .root = ""};
	size_t size;
	char *text = exposition_render(&source, EXPOSITION_TEXT, &size);
	size_t series = count_series(text);

	free(text);
	for (unsigned code = 600; series < SERIES; code++, series++) {
		size_t cell =
		    store_key_cell(store, ENDPOINT_root, METHOD_GET, code);

		for (unsigned i = 0; i < WORKERS; i++)
			store_add(
			    store_cells(store, STORE_WORKER + i), cell, code);
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
	struct store_catalog *catalog = counters_catalog();
	struct store store;
	size_t series;

	if (!catalog || !mkdtemp(directory))
		fail("no memory or no /tmp");
	snprintf(path, sizeof(path), "%s/counters", directory);
	if (store_open(&store, path, catalog, WORKERS) < 0)
		fail("cannot make a counter file");
	unlink(path);
	rmdir(directory);
	counters_declare(&store);
	setvbuf(stdout, NULL, _IOLBF, 0);

	print("an increment, one cell", best(measure_increment, &store), "ns");
	print("an increment, cells on many cache lines",
	    best(measure_spread_increment, &store), "ns");
	print("a request's counts, all of them", best(measure_request, &store),
	    "ns");
	print("the same by 8 processes at once, sum exact",
	    measure_processes(&store), "ns");
	series = fill(&store);
	if (series < SERIES)
		fail("not as many series as wanted");
	print("series, over 16 worker slots", (double)series, "series");
	print("text 0.0.4 of those", best(measure_text, &store), "ms");
	print("OpenMetrics of those", best(measure_openmetrics, &store), "ms");
	store_close(&store);
	catalog_free(catalog);
	return 0;
}
