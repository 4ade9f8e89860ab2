/*
 * From the counter file and the collectors to what Prometheus reads. The tables
 * of families at the end are the list of all metrics; each line names the
 * function that writes its samples. What a collector could not read is left
 * out: a 0 would be taken for a value, and for a counter that was reset.
 */
#include "metrics/exposition.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "metrics/registry.h"
#include "metrics/collectors/cgroup.h"
#include "metrics/collectors/process.h"
#include "metrics/collectors/listen_backlog.h"
#include "base/version.h"

enum type { COUNTER, GAUGE, HISTOGRAM };

static const char *const type_names[] = {"counter", "gauge", "histogram"};

struct family {
	const char *name; /* without a counter's _total */
	enum type type;
	const char *unit; /* the name's last word, or NULL */
	const char *help;
	void (*write)(const struct family *);
	size_t index; /* for those that come from values: the first, and how
			 many */
	size_t count;
};

/* Where families come from besides the counter file. */
enum collector { CGROUP_CPU, CGROUP_MEMORY, LISTEN_QUEUE, PROCESS };

static const char *const collector_names[] = {
    "cgroup_cpu", "cgroup_memory", "listen_queue", "process"};

enum { COLLECTOR_COUNT = sizeof(collector_names) / sizeof(char *) };

/* What one rendering works on; static, since a process renders one at a time.
 */
static struct {
	FILE *out;
	enum exposition_format format;
	const struct exposition_source *source;
	struct cgroup cgroup;
	struct process process;
	struct listen_backlog queue;
	int errors[COLLECTOR_COUNT]; /* 0, or a negative errno */
} rendering;

/* --- samples ----------------------------------------------------------- */

static void
write_sample(const char *series, uint64_t value)
{
	fprintf(rendering.out, "%s %" PRIu64 "\n", series, value);
}

/* Nanoseconds as seconds, exactly. */
static void
write_ns(const char *series, uint64_t ns)
{
	fprintf(rendering.out, "%s %" PRIu64 ".%09" PRIu64 "\n", series,
	    ns / 1000000000, ns % 1000000000);
}

static void
write_double(const char *series, double value)
{
	fprintf(rendering.out, "%s %.15g\n", series, value);
}

/* --- families out of the counter file ---------------------------------- */

static void
write_values(const struct family *family)
{
	const struct counters *counters = rendering.source->counters;

	for (size_t i = 0; i < family->count; i++)
		write_sample(counters->registry->fixed[family->index + i],
		    counters_sum(counters, family->index + i));
}

/* Of the pool that runs, or 0. */
static void
write_load_active(const struct family *family)
{
	const struct counters *counters = rendering.source->counters;

	write_sample(family->name,
	    rendering.source->alive &&
		scoreboard_entry(&counters->scoreboard, SLOT_MASTER)
			->load_ticket != 0);
}

static void
write_sizes(const struct family *family)
{
	const struct counters *counters = rendering.source->counters;

	(void)family;
	for (unsigned i = 0; i < counters->registry->endpoint_count; i++) {
		size_t index = registry_size_value(i);

		write_sample(counters->registry->fixed[index],
		    counters_sum(counters, index));
	}
}

static void
write_requests(const struct family *family)
{
	const struct counters *counters = rendering.source->counters;
	const struct registry *registry = counters->registry;
	struct counters_label_set *label_sets =
	    calloc(registry->label_set_capacity, sizeof(*label_sets));
	size_t count =
	    label_sets ? counters_list_label_sets(counters, label_sets) : 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t sum = counters_sum(counters, label_sets[i].index);

		if (label_sets[i].code == 0 && sum == 0)
			continue; /* the overflow, made with the file */
		fprintf(rendering.out,
		    "%s_total{endpoint=\"%s\",method=\"%s\",code=\"%03u\"} "
		    "%" PRIu64 "\n",
		    family->name, registry->endpoints[label_sets[i].endpoint],
		    registry->methods[label_sets[i].method], label_sets[i].code,
		    sum);
	}
	free(label_sets);
}

/* Plain bucket counts become cumulative in one pass: +Inf is the count. */
static void
write_histogram(const struct family *family, size_t index, const char *labels)
{
	const struct counters *counters = rendering.source->counters;
	const char *const *names = &counters->registry->fixed[index];
	uint64_t sum = counters_sum(counters, index);
	uint64_t count = 0;

	for (int i = 0; i <= REGISTRY_BOUND_COUNT; i++) {
		count += counters_sum(counters, index + 1 + (size_t)i);
		write_sample(names[1 + i], count);
	}
	fprintf(rendering.out, "%s_count%s %" PRIu64 "\n", family->name, labels,
	    count);
	write_ns(names[0], sum);
}

static void
write_queue_time(const struct family *family)
{
	write_histogram(family, REGISTRY_QUEUE, "");
}

static void
write_durations(const struct family *family)
{
	const struct registry *registry = rendering.source->counters->registry;

	for (unsigned i = 0; i < registry->endpoint_count; i++) {
		char labels[256];

		snprintf(labels, sizeof(labels), "{endpoint=\"%s\"}",
		    registry->endpoints[i]);
		write_histogram(family, registry_duration_value(i), labels);
	}
}

/* --- families out of what the processes are doing ---------------------- */

static void
write_build_info(const struct family *family)
{
	fprintf(rendering.out, "%s{version=\"%s\",revision=\"%s\"} 1\n",
	    family->name, version_number, version_revision);
}

/* Of the pool that runs; nobody where none does. */
static struct scoreboard_census
take_census(void)
{
	return rendering.source->alive
		   ? scoreboard_census(&rendering.source->counters->scoreboard)
		   : (struct scoreboard_census){0};
}

static void
write_workers(const struct family *family)
{
	const struct scoreboard_census census = take_census();

	fprintf(rendering.out,
	    "%s{state=\"busy\"} %u\n%s{state=\"idle\"} %u\n"
	    "%s{state=\"stopped\"} %u\n",
	    family->name, census.busy, family->name, census.idle, family->name,
	    census.stopped);
}

static void
write_connections(const struct family *family)
{
	write_sample(family->name, take_census().connections);
}

static void
write_queue_length(const struct family *family)
{
	write_sample(family->name, rendering.queue.length);
}

static void
write_queue_limit(const struct family *family)
{
	write_sample(family->name, rendering.queue.limit);
}

/* --- families out of /proc and /sys ------------------------------------ */

#define WRITE_CGROUP(field, writer, series)                                    \
	static void write_##field(const struct family *family)                 \
	{                                                                      \
		(void)family;                                                  \
		writer(series, rendering.cgroup.field);                        \
	}

WRITE_CGROUP(cpu_limit_cores, write_double, "cgroup_cpu_limit_cores")
WRITE_CGROUP(cpu_usage_ns, write_ns, "cgroup_cpu_usage_seconds_total")
WRITE_CGROUP(cpu_periods, write_sample, "cgroup_cpu_periods_total")
WRITE_CGROUP(
    cpu_throttled_periods, write_sample, "cgroup_cpu_throttled_periods_total")
WRITE_CGROUP(cpu_throttled_ns, write_ns, "cgroup_cpu_throttled_seconds_total")
WRITE_CGROUP(memory_limit_bytes, write_sample, "cgroup_memory_limit_bytes")
WRITE_CGROUP(memory_usage_bytes, write_sample, "cgroup_memory_usage_bytes")
WRITE_CGROUP(
    memory_working_set_bytes, write_sample, "cgroup_memory_working_set_bytes")
WRITE_CGROUP(memory_oom_kills, write_sample, "cgroup_oom_kills_total")

static void
write_limited(const struct family *family)
{
	if (rendering.errors[CGROUP_CPU] == 0)
		fprintf(rendering.out, "%s{resource=\"cpu\"} %d\n",
		    family->name, rendering.cgroup.cpu_limited);
	if (rendering.errors[CGROUP_MEMORY] == 0)
		fprintf(rendering.out, "%s{resource=\"memory\"} %d\n",
		    family->name, rendering.cgroup.memory_limited);
}

#define WRITE_PROCESS(field, writer, series)                                   \
	static void write_##field(const struct family *family)                 \
	{                                                                      \
		(void)family;                                                  \
		writer(series, rendering.process.field);                       \
	}

WRITE_PROCESS(cpu_seconds, write_double, "process_cpu_seconds_total")
WRITE_PROCESS(resident_bytes, write_sample, "process_resident_memory_bytes")
WRITE_PROCESS(virtual_bytes, write_sample, "process_virtual_memory_bytes")
WRITE_PROCESS(open_fds, write_sample, "process_open_fds")
WRITE_PROCESS(max_fds, write_sample, "process_max_fds")
WRITE_PROCESS(start_seconds, write_double, "process_start_time_seconds")

static void
write_success(const struct family *family)
{
	for (int i = 0; i < COLLECTOR_COUNT; i++)
		fprintf(rendering.out, "%s{collector=\"%s\"} %d\n",
		    family->name, collector_names[i], rendering.errors[i] == 0);
}

/* --- the families ------------------------------------------------------ */

static const struct family file_families[] = {
    {"http_requests", COUNTER, NULL,
	"Requests answered, by the pool or by nginx itself.", write_requests, 0,
	0},
    {"http_request_duration_seconds", HISTOGRAM, "seconds",
	"Time from a worker's start on a request to its answer, or the time "
	"that a client waited for an answer of nginx itself.",
	write_durations, 0, 0},
    {"http_request_queue_seconds", HISTOGRAM, "seconds",
	"Time from nginx's receipt of a request to a worker's start on it.",
	write_queue_time, 0, 0},
    {"http_response_size_bytes", COUNTER, "bytes", "Bytes of response bodies.",
	write_sizes, 0, 0},
    {"fcgi_webapp_starts", COUNTER, NULL,
	"Times the application was started, kept across restarts.",
	write_values, REGISTRY_STARTS, 1},
    {"fcgi_webapp_build_info", GAUGE, NULL, "Which build this is; always 1.",
	write_build_info, 0, 0},
    {"fcgi_webapp_store_recoveries", COUNTER, NULL,
	"Damaged counter files moved aside and begun afresh.", write_values,
	REGISTRY_STORE_RECOVERIES, 1},
    {"fcgi_webapp_store_incidents", COUNTER, NULL,
	"Times something else changed the counter file of a running pool, by "
	"what it did.",
	write_values, REGISTRY_STORE_TRUNCATED, 4},
    {"fcgi_webapp_log_dropped", COUNTER, NULL,
	"Log lines dropped because nobody read the log.", write_values,
	REGISTRY_LOG_DROPPED, 1},
    {"fcgi_workers", GAUGE, NULL, "Workers by what they are doing.",
	write_workers, 0, 0},
    {"fcgi_worker_starts", COUNTER, NULL, "Workers started.", write_values,
	REGISTRY_WORKER_STARTS, 1},
    {"fcgi_worker_exits", COUNTER, NULL, "Workers that ended, by why.",
	write_values, REGISTRY_EXITS_DRAINED, 4},
    {"fcgi_connections", GAUGE, NULL, "FastCGI connections that workers hold.",
	write_connections, 0, 0},
    {"fcgi_load_active", GAUGE, NULL, "Whether /riseload runs a load.",
	write_load_active, 0, 0},
    {"fcgi_collector_success", GAUGE, NULL,
	"Whether a collector could read what it reports; if not, its families "
	"are left out.",
	write_success, 0, 0},
};

static const struct family listen_queue_families[] = {
    {"fcgi_listen_queue_length", GAUGE, NULL,
	"Connections that wait for a worker to accept them.",
	write_queue_length, 0, 0},
    {"fcgi_listen_queue_limit", GAUGE, NULL,
	"Connections that may wait before the kernel refuses more.",
	write_queue_limit, 0, 0},
};

static const struct family cgroup_families[] = {
    {"cgroup_limited", GAUGE, NULL,
	"Whether a cgroup limits the resource; if not, its limit is what the "
	"machine has.",
	write_limited, 0, 0},
};

static const struct family cgroup_cpu_families[] = {
    {"cgroup_cpu_limit_cores", GAUGE, "cores", "CPU limit.",
	write_cpu_limit_cores, 0, 0},
    {"cgroup_cpu_usage_seconds", COUNTER, "seconds", "CPU time used.",
	write_cpu_usage_ns, 0, 0},
    {"cgroup_cpu_periods", COUNTER, NULL, "CPU quota periods that passed.",
	write_cpu_periods, 0, 0},
    {"cgroup_cpu_throttled_periods", COUNTER, NULL,
	"CPU quota periods in which the quota ran out.",
	write_cpu_throttled_periods, 0, 0},
    {"cgroup_cpu_throttled_seconds", COUNTER, "seconds",
	"Time for which run queues were throttled, added up over the CPUs.",
	write_cpu_throttled_ns, 0, 0},
};

static const struct family cgroup_memory_families[] = {
    {"cgroup_memory_limit_bytes", GAUGE, "bytes", "Memory limit.",
	write_memory_limit_bytes, 0, 0},
    {"cgroup_memory_usage_bytes", GAUGE, "bytes",
	"Memory used, page cache included.", write_memory_usage_bytes, 0, 0},
    {"cgroup_memory_working_set_bytes", GAUGE, "bytes",
	"Memory used less inactive page cache.", write_memory_working_set_bytes,
	0, 0},
    {"cgroup_oom_kills", COUNTER, NULL,
	"Processes that the kernel killed for want of memory.",
	write_memory_oom_kills, 0, 0},
};

static const struct family process_families[] = {
    {"process_cpu_seconds", COUNTER, "seconds", "CPU time of the pool.",
	write_cpu_seconds, 0, 0},
    {"process_resident_memory_bytes", GAUGE, "bytes",
	"Resident memory, summed over the pool.", write_resident_bytes, 0, 0},
    {"process_virtual_memory_bytes", GAUGE, "bytes",
	"Virtual memory, summed over the pool.", write_virtual_bytes, 0, 0},
    {"process_open_fds", GAUGE, NULL, "Open files, summed over the pool.",
	write_open_fds, 0, 0},
    {"process_max_fds", GAUGE, NULL, "Open files allowed to one process.",
	write_max_fds, 0, 0},
    {"process_start_time_seconds", GAUGE, "seconds",
	"When the pool's master was started, since the epoch.",
	write_start_seconds, 0, 0},
};

static void
write_family(const struct family *family)
{
	bool openmetrics = rendering.format == EXPOSITION_OPENMETRICS;
	const char *suffix =
	    family->type == COUNTER && !openmetrics ? "_total" : "";

	fprintf(rendering.out, "# HELP %s%s %s\n# TYPE %s%s %s\n", family->name,
	    suffix, family->help, family->name, suffix,
	    type_names[family->type]);
	if (openmetrics && family->unit)
		fprintf(rendering.out, "# UNIT %s %s\n", family->name,
		    family->unit);
	family->write(family);
}

#define WRITE_FAMILIES(families)                                               \
	for (size_t i = 0; i < sizeof(families) / sizeof((families)[0]); i++)  \
	write_family(&(families)[i])

static void
write_families(void)
{
	const int *errors = rendering.errors;

	WRITE_FAMILIES(file_families);
	if (errors[LISTEN_QUEUE] == 0)
		WRITE_FAMILIES(listen_queue_families);
	if (errors[CGROUP_CPU] == 0 || errors[CGROUP_MEMORY] == 0)
		WRITE_FAMILIES(cgroup_families);
	if (errors[CGROUP_CPU] == 0)
		WRITE_FAMILIES(cgroup_cpu_families);
	if (errors[CGROUP_MEMORY] == 0)
		WRITE_FAMILIES(cgroup_memory_families);
	if (errors[PROCESS] == 0)
		WRITE_FAMILIES(process_families);
}

/* The processes of a pool that runs. Returns 0 or a negative errno. */
static int
collect_processes(const struct exposition_source *source)
{
	static double cpu_seconds;
	const struct counters *counters = source->counters;
	pid_t load = (pid_t)scoreboard_entry(&counters->scoreboard, SLOT_MASTER)
			 ->load_pid;
	pid_t supervisor =
	    (pid_t)scoreboard_entry(&counters->scoreboard, SLOT_MASTER)
		->supervisor_pid;
	pid_t *pids = calloc(counters->slot_count + 2, sizeof(*pids));
	size_t count = 0;
	int error;

	if (!pids)
		return -ENOMEM;
	if (supervisor)
		pids[count++] = supervisor;
	for (unsigned i = 0; i < counters->slot_count; i++)
		if (scoreboard_entry(&counters->scoreboard, i)->pid != 0)
			pids[count++] =
			    (pid_t)scoreboard_entry(&counters->scoreboard, i)
				->pid;
	if (load)
		pids[count++] = load;
	error = process_read(source->root, pids, count, &rendering.process);
	free(pids);
	if (error)
		return error;
	/* One that ends while we read may be missed: a counter waits for it. */
	if (rendering.process.cpu_seconds < cpu_seconds)
		rendering.process.cpu_seconds = cpu_seconds;
	cpu_seconds = rendering.process.cpu_seconds;
	return 0;
}

/* Keep a collector's result; log a failure when it begins. */
static void
note_result(enum collector collector, int error)
{
	static bool has_failed[COLLECTOR_COUNT];

	if (error && !has_failed[collector])
		log_text(LOG_WARNING, "collector %s: cannot read: %s",
		    collector_names[collector], strerror(-error));
	has_failed[collector] = error != 0;
	rendering.errors[collector] = error;
}

/* Ask each source once, so that the families of one scrape agree. */
static void
collect(const struct exposition_source *source)
{
	const struct counters *counters = source->counters;
	uint32_t inode =
	    scoreboard_entry(&counters->scoreboard, SLOT_MASTER)->listen_inode;

	cgroup_read(source->root, &rendering.cgroup);
	note_result(CGROUP_CPU, rendering.cgroup.cpu_error);
	note_result(CGROUP_MEMORY, rendering.cgroup.memory_error);
	if (!source->alive) { /* no process, and no queue: nothing failed */
		rendering.errors[LISTEN_QUEUE] = -ESRCH;
		rendering.errors[PROCESS] = -ESRCH;
		return;
	}
	note_result(LISTEN_QUEUE, source->backlog_fd < 0
				      ? source->backlog_fd
				      : listen_backlog_read(source->backlog_fd,
					    inode, &rendering.queue));
	note_result(PROCESS, collect_processes(source));
}

char *
exposition_render(const struct exposition_source *source,
    enum exposition_format format, size_t *size)
{
	char *text = NULL;

	rendering.source = source;
	rendering.format = format;
	rendering.out = open_memstream(&text, size);
	if (!rendering.out)
		return NULL;
	collect(source);
	write_families();
	if (format == EXPOSITION_OPENMETRICS)
		fputs("# EOF\n", rendering.out);
	if (fclose(rendering.out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

const char *
exposition_content_type(enum exposition_format format)
{
	return format == EXPOSITION_OPENMETRICS
		   ? "application/openmetrics-text; version=1.0.0; "
		     "charset=utf-8"
		   : "text/plain; version=0.0.4; charset=utf-8";
}
