/*
 * The collector cgroup_pressure: for how long the processes of this cgroup
 * waited for CPU, memory and I/O (pressure stall information, PSI).
 */
#include "metrics/collectors/cgroup_pressure.h"

#include <errno.h>
#include <string.h>

#include "metrics/collectors.h"
#include "metrics/collectors/hierarchy.h"

/* Only cgroup v2 has PSI: no controller of v1 has this name. */
#define NO_V1_CONTROLLER "pressure"

enum { NS_PER_US = 1000 };

/*
 * Find the line of a kind, such as "some avg10=0.00 avg60=0.00 avg300=0.00
 * total=0", with the total in microseconds. Returns 0, -ENODATA without such a
 * line, or -EBADMSG.
 */
static int
find_total(const char *text, const char *kind, uint64_t *ns)
{
	static const char name[] = " total=";
	size_t length = strlen(kind);
	const char *total;
	uint64_t us;

	while (strncmp(text, kind, length) != 0 || text[length] != ' ') {
		text = strchr(text, '\n');
		if (!text)
			return -ENODATA;
		text++;
	}
	total = strstr(text, name);
	if (!total || memchr(text, '\n', (size_t)(total - text)) ||
	    hierarchy_parse_number(total + strlen(name), &us) < 0 ||
	    us > UINT64_MAX / NS_PER_US)
		return -EBADMSG;
	*ns = us * NS_PER_US;
	return 0;
}

static int
read_resource(const struct hierarchy *h, const char *file,
    struct cgroup_pressure_resource *resource)
{
	char text[512];
	int error = hierarchy_read_text(h, file, text, sizeof(text));

	/* Older kernels have the files, even if PSI is turned off. */
	if (error == -ENOENT || error == -EOPNOTSUPP)
		return 0;
	if (!error)
		error = find_total(text, "some", &resource->waiting_ns);
	if (error)
		return error == -ENODATA ? -EBADMSG : error;
	error = find_total(text, "full", &resource->stalled_ns);
	return error == -ENODATA ? 0 : error;
}

int
cgroup_pressure_read(const char *root, struct cgroup_pressure *pressure)
{
	static const struct cgroup_pressure_resource absent = {
	    COLLECTOR_ABSENT, COLLECTOR_ABSENT};
	struct hierarchy h;
	int error = hierarchy_find(root, NO_V1_CONTROLLER, &h);

	*pressure = (struct cgroup_pressure){absent, absent, absent};
	if (error || h.version == 0)
		return error;
	error = read_resource(&h, "cpu.pressure", &pressure->cpu);
	if (!error)
		error = read_resource(&h, "memory.pressure", &pressure->memory);
	if (!error)
		error = read_resource(&h, "io.pressure", &pressure->io);
	return error;
}

static int
read_collector(const struct collector_source *source, void *data)
{
	return cgroup_pressure_read(source->root, data);
}

/* The name, type, unit and help of the two families. */
#define WAITING                                                                \
	"cgroup_pressure_waiting_seconds", METRIC_COUNTER, "seconds",          \
	    "Time in which at least one process waited for the resource."
#define STALLED                                                                \
	"cgroup_pressure_stalled_seconds", METRIC_COUNTER, "seconds",          \
	    "Time in which all processes with work waited for the resource."

static const struct collector_metric metrics[] = {
    {.family = {WAITING},
	.label = {"resource", "cpu"},
	COLLECTOR_NANOSECONDS(struct cgroup_pressure, cpu.waiting_ns)},
    {.family = {WAITING},
	.label = {"resource", "memory"},
	COLLECTOR_NANOSECONDS(struct cgroup_pressure, memory.waiting_ns)},
    {.family = {WAITING},
	.label = {"resource", "io"},
	COLLECTOR_NANOSECONDS(struct cgroup_pressure, io.waiting_ns)},
    {.family = {STALLED},
	.label = {"resource", "cpu"},
	COLLECTOR_NANOSECONDS(struct cgroup_pressure, cpu.stalled_ns)},
    {.family = {STALLED},
	.label = {"resource", "memory"},
	COLLECTOR_NANOSECONDS(struct cgroup_pressure, memory.stalled_ns)},
    {.family = {STALLED},
	.label = {"resource", "io"},
	COLLECTOR_NANOSECONDS(struct cgroup_pressure, io.stalled_ns)},
};

const struct collector collector_cgroup_pressure = {
    .name = "cgroup_pressure",
    .size = sizeof(struct cgroup_pressure),
    .read = read_collector,
    .metrics = metrics,
    .metric_count = sizeof(metrics) / sizeof(metrics[0]),
};
