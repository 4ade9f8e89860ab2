/*
 * The cgroup collector: CPU and memory of the cgroup that binds this process.
 */
#include "metrics/collectors/cgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/collectors/hierarchy.h"

/* --- CPU ---------------------------------------------------------------- */

/*
 * The quota of this folder in cores; 0 where it has none, as the root, and
 * where the controller is not enabled, so that there is no such file.
 */
static int
cpu_quota(const struct hierarchy *h, double *cores)
{
	char text[64];
	uint64_t quota = 0;
	uint64_t period = 0;
	int error = hierarchy_read_text(h,
	    h->version == 2 ? "cpu.max" : "cpu.cfs_quota_us", text,
	    sizeof(text));

	*cores = 0;
	if (error)
		return error == -ENOENT ? 0 : error;
	if (strncmp(text, "max", 3) == 0 || strncmp(text, "-1", 2) == 0)
		return 0;
	if (h->version == 2) {
		if (sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2)
			return -EBADMSG;
	} else {
		error = hierarchy_parse_number(text, &quota);
		if (!error)
			error = hierarchy_read_number(
			    h, "cpu.cfs_period_us", &period);
		if (error)
			return error;
	}
	if (quota == 0 || period == 0)
		return -EBADMSG;
	*cores = (double)quota / (double)period;
	return 0;
}

/* Find the nearest quota, going up; h ends there, or where it was. */
static int
find_cpu_quota(struct hierarchy *h, double *cores)
{
	struct hierarchy at = *h;
	int error;

	do {
		error = cpu_quota(&at, cores);
		if (error)
			return error;
		if (*cores > 0) {
			*h = at;
			return 0;
		}
	} while (hierarchy_go_up(&at));
	return 0;
}

static double
count_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return CPU_COUNT(&set);
	return (double)sysconf(_SC_NPROCESSORS_ONLN);
}

static int
v1_cpu_usage_ns(
    const char *root, const struct hierarchy *cpu, uint64_t *usage_ns)
{
	struct hierarchy accounting;
	char folder[PATH_MAX];
	int error = hierarchy_find(root, "cpuacct", &accounting);

	if (error)
		return error;
	if (accounting.version == 0)
		return -ENOENT;
	/* The same folder as the quota's where both hierarchies have it. */
	snprintf(folder, sizeof(folder), "%s%s", accounting.mount, cpu->path);
	if (access(folder, F_OK) == 0)
		memcpy(accounting.path, cpu->path, sizeof(accounting.path));
	return hierarchy_read_number(&accounting, "cpuacct.usage", usage_ns);
}

/* What all CPUs did, for a machine without cgroups. */
static int
machine_cpu_usage_ns(const char *root, uint64_t *usage_ns)
{
	struct hierarchy proc = {0};
	unsigned long long user, nice, system, irq, softirq;
	char text[512];
	int error;

	snprintf(proc.mount, sizeof(proc.mount), "%s/proc", root);
	error = hierarchy_read_text(&proc, "stat", text, sizeof(text));
	if (error)
		return error;
	if (sscanf(text, "cpu %llu %llu %llu %*u %*u %llu %llu", &user, &nice,
		&system, &irq, &softirq) != 5)
		return -EBADMSG;
	*usage_ns = (user + nice + system + irq + softirq) *
		    (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
	return 0;
}

/* cpu.stat. Where there is no quota there may be no periods, and no file. */
static int
read_cpu_stat(
    const char *root, const struct hierarchy *h, struct cgroup *cgroup)
{
	bool limited = cgroup->cpu_limited;
	const struct hierarchy_field fields[] = {
	    {"nr_periods", &cgroup->cpu_periods, !limited},
	    {"nr_throttled", &cgroup->cpu_throttled_periods, !limited},
	    {h->version == 2 ? "throttled_usec" : "throttled_time",
		&cgroup->cpu_throttled_ns, !limited},
	    {"usage_usec", &cgroup->cpu_usage_ns, false}, /* v2 */
	};
	int error = hierarchy_read_fields(
	    h, "cpu.stat", fields, h->version == 2 ? 4 : 3);

	if (h->version == 1) {
		if (error && !(error == -ENOENT && !limited))
			return error;
		return v1_cpu_usage_ns(root, h, &cgroup->cpu_usage_ns);
	}
	cgroup->cpu_throttled_ns *= 1000;
	cgroup->cpu_usage_ns *= 1000;
	return error;
}

static int
read_cpu(const char *root, struct cgroup *cgroup)
{
	struct hierarchy h;
	double cores = 0;
	int error = hierarchy_find(root, "cpu", &h);

	if (!error && h.version != 0)
		error = find_cpu_quota(&h, &cores);
	if (error)
		return error;
	cgroup->cpu_limited = cores > 0;
	cgroup->cpu_limit_cores = cores > 0 ? cores : count_cpus();
	return h.version != 0
		   ? read_cpu_stat(root, &h, cgroup)
		   : machine_cpu_usage_ns(root, &cgroup->cpu_usage_ns);
}

/* --- memory ------------------------------------------------------------- */

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
 * The limit of this folder in bytes; 0 where it has none. -ENOENT where the
 * controller is not enabled here, or this is the root.
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
	/* v1 says "none" with a huge number. */
	if (*limit >= total)
		*limit = 0;
	return error;
}

/*
 * Find the nearest limit, going up; h ends there, or where it was. has_memory
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

static int
read_memory(const char *root, struct cgroup *cgroup)
{
	uint64_t total = 0;
	uint64_t limit = 0;
	uint64_t rest = 0; /* of the usage, what can be had back */
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

void
cgroup_read(const char *root, struct cgroup *cgroup)
{
	*cgroup = (struct cgroup){0};
	cgroup->cpu_error = read_cpu(root, cgroup);
	cgroup->memory_error = read_memory(root, cgroup);
}
