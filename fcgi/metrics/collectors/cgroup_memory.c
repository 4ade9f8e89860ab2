/*
 * The collector cgroup_memory: limit and usage of the cgroup that limits this
 * process.
 */
#include "metrics/collectors/cgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "metrics/collectors.h"
#include "metrics/collectors/hierarchy.h"

/* A field of /proc/meminfo in bytes. */
static int
read_meminfo(const char *root, const char *name, uint64_t *bytes)
{
	struct hierarchy proc = {0};
	char text[4096];
	const char *line;
	char unit[3];
	int error;

	snprintf(proc.mount, sizeof(proc.mount), "%s/proc", root);
	error = hierarchy_read_text(&proc, "meminfo", text, sizeof(text));
	if (error)
		return error;
	line = strstr(text, name);
	if (!line ||
	    sscanf(line + strlen(name), " %" SCNu64 " %2s", bytes, unit) != 2 ||
	    strcmp(unit, "kB") != 0)
		return -EBADMSG;
	*bytes *= 1024;
	return 0;
}

/*
 * The limit of this folder in bytes; 0 if it has none. Returns -ENOENT if this
 * is the root, or the controller is not enabled.
 */
static int
memory_limit(const struct hierarchy *h, uint64_t total, uint64_t *limit)
{
	char text[64];
	int error = hierarchy_read_text(h,
	    h->version == 2 ? "memory.max" : "memory.limit_in_bytes", text,
	    sizeof(text));

	*limit = 0;
	if (!error && strncmp(text, "max", 3) != 0)
		error = hierarchy_parse_number(text, limit);
	/* In v1 a huge number means that there is none. */
	if (*limit >= total)
		*limit = 0;
	return error;
}

/*
 * Find the nearest limit, going up. h becomes its folder, or stays. has_memory
 * tells whether memory is counted there.
 */
static int
find_memory_limit(
    struct hierarchy *h, uint64_t total, uint64_t *limit, bool *has_memory)
{
	struct hierarchy at = *h;
	int error = memory_limit(&at, total, limit);

	*has_memory = error == 0;
	while (
	    (!error || error == -ENOENT) && *limit == 0 && hierarchy_go_up(&at))
		error = memory_limit(&at, total, limit);
	if (error && error != -ENOENT)
		return error;
	if (*limit > 0) {
		*h = at;
		*has_memory = true;
	}
	return 0;
}

static int
read_v2_memory(
    /* NOLINTNEXTLINE(readability-non-const-parameter): a field writes it */
    const struct hierarchy *h, struct cgroup *cgroup, uint64_t *inactive)
{
	const struct hierarchy_field stat = {"inactive_file", inactive, false};
	const struct hierarchy_field events = {
	    "oom_kill", &cgroup->memory_oom_kills, false};
	uint64_t group = 0;
	int error = hierarchy_read_number(
	    h, "memory.current", &cgroup->memory_usage_bytes);

	if (!error)
		error = hierarchy_read_fields(h, "memory.stat", &stat, 1);
	if (!error)
		error = hierarchy_read_fields(h, "memory.events", &events, 1);
	if (error)
		return error;
	error = hierarchy_read_number(h, "memory.oom.group", &group);
	cgroup->memory_oom_group = group == 1;
	return error == -ENOENT ? 0 : error; /* Linux 4.19 and newer */
}

static int
read_v1_memory(
    /* NOLINTNEXTLINE(readability-non-const-parameter): a field writes it */
    const struct hierarchy *h, struct cgroup *cgroup, uint64_t *inactive)
{
	const struct hierarchy_field stat = {
	    "total_inactive_file", inactive, false};
	/* Linux 4.13 and newer count them. */
	const struct hierarchy_field oom = {
	    "oom_kill", &cgroup->memory_oom_kills, true};
	int error = hierarchy_read_number(
	    h, "memory.usage_in_bytes", &cgroup->memory_usage_bytes);

	if (!error)
		error = hierarchy_read_fields(h, "memory.stat", &stat, 1);
	return error ? error
		     : hierarchy_read_fields(h, "memory.oom_control", &oom, 1);
}

int
cgroup_memory_read(const char *root, struct cgroup *cgroup)
{
	uint64_t total = 0;
	uint64_t limit = 0;
	uint64_t rest = 0; /* the part of the usage that can be reclaimed */
	bool has_memory = false;
	struct hierarchy h;
	int error = read_meminfo(root, "MemTotal:", &total);

	if (!error)
		error = hierarchy_find(root, "memory", &h);
	if (!error && h.version != 0)
		error = find_memory_limit(&h, total, &limit, &has_memory);
	if (error)
		return error;
	if (!has_memory) { /* the root cgroup of v2, or none */
		error = read_meminfo(root, "MemAvailable:", &rest);
		cgroup->memory_usage_bytes = total > rest ? total - rest : 0;
		rest = 0;
	} else if (h.version == 2) {
		error = read_v2_memory(&h, cgroup, &rest);
	} else {
		error = read_v1_memory(&h, cgroup, &rest);
	}
	cgroup->memory_working_set_bytes =
	    cgroup->memory_usage_bytes > rest
		? cgroup->memory_usage_bytes - rest
		: 0;
	cgroup->memory_limited = limit > 0;
	cgroup->memory_limit_bytes = limit > 0 ? limit : total;
	return error;
}

static int
read_collector(const struct collector_source *source, void *data)
{
	return cgroup_memory_read(source->root, data);
}

static const struct collector_metric metrics[] = {
    {.family = {"cgroup_limited", METRIC_GAUGE, NULL,
	 "Whether a cgroup limits the resource; if not, its limit is what the "
	 "machine has."},
	.label = {"resource", "memory"},
	COLLECTOR_FIELD(struct cgroup, memory_limited)},
    {.family = {"cgroup_memory_limit_bytes", METRIC_GAUGE, "bytes",
	 "Memory limit."},
	COLLECTOR_FIELD(struct cgroup, memory_limit_bytes)},
    {.family = {"cgroup_memory_usage_bytes", METRIC_GAUGE, "bytes",
	 "Memory used, page cache included."},
	COLLECTOR_FIELD(struct cgroup, memory_usage_bytes)},
    {.family = {"cgroup_memory_working_set_bytes", METRIC_GAUGE, "bytes",
	 "Memory used less inactive page cache."},
	COLLECTOR_FIELD(struct cgroup, memory_working_set_bytes)},
    {.family = {"cgroup_oom_kills", METRIC_COUNTER, NULL,
	 "Processes that the kernel killed for want of memory."},
	COLLECTOR_FIELD(struct cgroup, memory_oom_kills)},
};

const struct collector collector_cgroup_memory = {
    .name = "cgroup_memory",
    .size = sizeof(struct cgroup),
    .read = read_collector,
    .metrics = metrics,
    .metric_count = sizeof(metrics) / sizeof(metrics[0]),
};
