/*
 * The collector cgroup_cpu: limit, usage and throttling of the cgroup that
 * limits this process.
 */
#include "metrics/collectors/cgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "metrics/collectors.h"
#include "metrics/collectors/hierarchy.h"

/*
 * The quota of this folder in cores; 0 if it has none. Without a file there is
 * no quota: this is the root, or the controller is not enabled.
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

/* Find the nearest quota, going up. h becomes its folder, or stays. */
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
	/* The folder of the quota, if this hierarchy has it, too. */
	snprintf(folder, sizeof(folder), "%s%s", accounting.mount, cpu->path);
	if (access(folder, F_OK) == 0)
		memcpy(accounting.path, cpu->path, sizeof(accounting.path));
	return hierarchy_read_number(&accounting, "cpuacct.usage", usage_ns);
}

/* The CPU time of the machine, for one without cgroups. */
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

/* Read cpu.stat. Without a quota, the file and its periods are optional. */
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

int
cgroup_cpu_read(const char *root, struct cgroup *cgroup)
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

static int
read_collector(const struct collector_source *source, void *data)
{
	return cgroup_cpu_read(source->root, data);
}

static const struct collector_metric metrics[] = {
    {.family = {"cgroup_limited", METRIC_GAUGE, NULL,
	 "Whether a cgroup limits the resource; if not, its limit is what the "
	 "machine has."},
	.label = {"resource", "cpu"},
	COLLECTOR_FIELD(struct cgroup, cpu_limited)},
    {.family = {"cgroup_cpu_limit_cores", METRIC_GAUGE, "cores", "CPU limit."},
	COLLECTOR_FIELD(struct cgroup, cpu_limit_cores)},
    {.family = {"cgroup_cpu_usage_seconds", METRIC_COUNTER, "seconds",
	 "CPU time used."},
	COLLECTOR_NANOSECONDS(struct cgroup, cpu_usage_ns)},
    {.family = {"cgroup_cpu_periods", METRIC_COUNTER, NULL,
	 "CPU quota periods that passed."},
	COLLECTOR_FIELD(struct cgroup, cpu_periods)},
    {.family = {"cgroup_cpu_throttled_periods", METRIC_COUNTER, NULL,
	 "CPU quota periods in which the quota ran out."},
	COLLECTOR_FIELD(struct cgroup, cpu_throttled_periods)},
    {.family = {"cgroup_cpu_throttled_seconds", METRIC_COUNTER, "seconds",
	 "Time for which run queues were throttled, added up over the CPUs."},
	COLLECTOR_NANOSECONDS(struct cgroup, cpu_throttled_ns)},
};

const struct collector collector_cgroup_cpu = {
    .name = "cgroup_cpu",
    .size = sizeof(struct cgroup),
    .read = read_collector,
    .metrics = metrics,
    .metric_count = sizeof(metrics) / sizeof(metrics[0]),
};
