/*
 * The cgroup collector. A controller may be on v1 or on v2 independently of
 * the others, and a container may or may not have a cgroup namespace, so the
 * folder is looked up from /proc/self/mountinfo and /proc/self/cgroup
 * (cgroups(7), proc(5); Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst).
 */
#include "metrics/cgroup.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One controller's hierarchy: where it is mounted, and where we are in it. */
struct hierarchy {
	int version;
	char mount[PATH_MAX / 2]; /* with root in front */
	char path[PATH_MAX / 2];  /* below mount, "" for the mount itself */
};

static bool
has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",\n");

		if (n == length && strncmp(p, word, n) == 0)
			return true;
		p += n + (p[n] != '\0');
	}
	return false;
}

/*
 * Find where a controller is mounted: on v1 by its name, else v2. mount_root is
 * the part of the hierarchy that the mount shows.
 */
static bool
find_mount(const char *root, const char *controller,
    struct hierarchy *hierarchy, char *mount_root, size_t size)
{
	char path[PATH_MAX];
	char *line = NULL;
	size_t room = 0;
	FILE *file;

	hierarchy->version = 0;
	snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	file = fopen(path, "re");
	while (file && hierarchy->version != 1 &&
	       getline(&line, &room, file) > 0) {
		char type[32];
		char options[1024];
		char shown[1024];
		char point[1024];
		char *tail = strstr(line, " - ");
		int version;

		if (!tail ||
		    sscanf(line, "%*s %*s %*s %1023s %1023s", shown, point) !=
			2 ||
		    sscanf(tail, " - %31s %*s %1023s", type, options) != 2)
			continue;
		if (strcmp(type, "cgroup2") == 0)
			version = 2;
		else if (strcmp(type, "cgroup") == 0 &&
			 has_word(options, controller))
			version = 1;
		else
			continue;
		hierarchy->version = version;
		snprintf(hierarchy->mount, sizeof(hierarchy->mount), "%s%s",
		    root, point);
		snprintf(mount_root, size, "%s", shown);
	}
	free(line);
	if (file)
		fclose(file);
	return hierarchy->version != 0;
}

/* This process's path in the hierarchy, as /proc/self/cgroup has it. */
static void
find_path(const char *root, const char *controller, int version, char *path,
    size_t size)
{
	char name[PATH_MAX];
	char *line = NULL;
	size_t room = 0;
	FILE *file;

	*path = '\0';
	snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
	file = fopen(name, "re");
	while (file && getline(&line, &room, file) > 0) {
		char *controllers = strchr(line, ':');
		char *found = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!found)
			continue;
		*found++ = '\0';
		found[strcspn(found, "\n")] = '\0';
		if (version == 2 ? strncmp(line, "0:", 2) == 0
				 : has_word(controllers + 1, controller))
			snprintf(path, size, "%s", found);
	}
	free(line);
	if (file)
		fclose(file);
}

static bool
find_hierarchy(const char *root, const char *controller, struct hierarchy *h)
{
	char mount_root[1024];
	char path[1024];
	char folder[PATH_MAX];
	size_t length;

	if (!find_mount(root, controller, h, mount_root, sizeof(mount_root)))
		return false;
	find_path(root, controller, h->version, path, sizeof(path));
	length = strlen(mount_root);
	if (length > 1 && strncmp(path, mount_root, length) == 0)
		memmove(path, path + length, strlen(path + length) + 1);
	if (strcmp(path, "/") == 0)
		*path = '\0';
	snprintf(h->path, sizeof(h->path), "%s", path);
	/* Without a cgroup namespace the path may be one we cannot see. */
	snprintf(folder, sizeof(folder), "%s%s", h->mount, h->path);
	if (strncmp(path, "/..", 3) == 0 || access(folder, F_OK) != 0)
		*h->path = '\0';
	return true;
}

/* The file's text up to its first 4 KiB; false where it cannot be read. */
static bool
read_text(const struct hierarchy *h, const char *file, char *text, size_t size)
{
	char path[PATH_MAX];
	FILE *in;
	size_t length;

	snprintf(path, sizeof(path), "%s%s/%s", h->mount, h->path, file);
	in = fopen(path, "re");
	if (!in)
		return false;
	length = fread(text, 1, size - 1, in);
	text[length] = '\0';
	fclose(in);
	return length > 0;
}

static uint64_t
read_number(const struct hierarchy *h, const char *file)
{
	char text[64];

	return read_text(h, file, text, sizeof(text)) ? strtoull(text, NULL, 10)
						      : 0;
}

/* The number behind a name in a file of "name number" lines; 0 for none. */
static uint64_t
read_field(const struct hierarchy *h, const char *file, const char *name)
{
	char text[8192];
	size_t length = strlen(name);

	if (!read_text(h, file, text, sizeof(text)))
		return 0;
	for (const char *line = text; line && *line;) {
		if (strncmp(line, name, length) == 0 && line[length] == ' ')
			return strtoull(line + length + 1, NULL, 10);
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return 0;
}

/* Go up to the next folder; false at the mount. */
static bool
go_up(struct hierarchy *h)
{
	char *slash = strrchr(h->path, '/');

	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

/* The quota of this folder in cores; 0 where it has none. */
static double
cpu_quota(const struct hierarchy *h)
{
	char text[64];
	long long quota = 0;
	long long period = 0;

	if (h->version == 2) {
		if (!read_text(h, "cpu.max", text, sizeof(text)) ||
		    sscanf(text, "%lld %lld", &quota, &period) != 2)
			return 0;
	} else {
		if (!read_text(h, "cpu.cfs_quota_us", text, sizeof(text)))
			return 0;
		quota = strtoll(text, NULL, 10);
		period = (long long)read_number(h, "cpu.cfs_period_us");
	}
	return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

/* Find the nearest quota, going up; h ends there, or where it was. */
static double
find_cpu_quota(struct hierarchy *h)
{
	struct hierarchy at = *h;
	double cores;

	do {
		cores = cpu_quota(&at);
		if (cores > 0) {
			*h = at;
			return cores;
		}
	} while (go_up(&at));
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

static uint64_t
v1_cpu_usage_ns(const char *root, const struct hierarchy *cpu)
{
	struct hierarchy accounting;
	char folder[PATH_MAX];

	if (!find_hierarchy(root, "cpuacct", &accounting))
		return 0;
	/* The same folder as the quota's where both hierarchies have it. */
	snprintf(folder, sizeof(folder), "%s%s", accounting.mount, cpu->path);
	if (access(folder, F_OK) == 0)
		memcpy(accounting.path, cpu->path, sizeof(accounting.path));
	return read_number(&accounting, "cpuacct.usage");
}

static void
read_cpu(const char *root, struct cgroup *cgroup)
{
	struct hierarchy h;
	double cores = 0;

	if (find_hierarchy(root, "cpu", &h)) {
		cores = find_cpu_quota(&h);
		cgroup->cpu_periods = read_field(&h, "cpu.stat", "nr_periods");
		cgroup->cpu_throttled_periods =
		    read_field(&h, "cpu.stat", "nr_throttled");
		if (h.version == 2) {
			cgroup->cpu_usage_ns =
			    read_field(&h, "cpu.stat", "usage_usec") * 1000;
			cgroup->cpu_throttled_ns =
			    read_field(&h, "cpu.stat", "throttled_usec") * 1000;
		} else {
			cgroup->cpu_usage_ns = v1_cpu_usage_ns(root, &h);
			cgroup->cpu_throttled_ns =
			    read_field(&h, "cpu.stat", "throttled_time");
		}
	}
	cgroup->cpu_limited = cores > 0;
	cgroup->cpu_limit_cores = cores > 0 ? cores : count_cpus();
}

/* A field of /proc/meminfo in bytes. */
static uint64_t
read_meminfo(const char *root, const char *name)
{
	struct hierarchy proc = {0};
	char text[4096];
	const char *line;

	snprintf(proc.mount, sizeof(proc.mount), "%s/proc", root);
	if (!read_text(&proc, "meminfo", text, sizeof(text)))
		return 0;
	line = strstr(text, name);
	return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

/* The limit of this folder in bytes; 0 where it has none. */
static uint64_t
memory_limit(const struct hierarchy *h, uint64_t total)
{
	uint64_t limit = read_number(
	    h, h->version == 2 ? "memory.max" : "memory.limit_in_bytes");

	/* "max" reads as 0; v1 says "none" with a huge number. */
	return total == 0 || limit < total ? limit : 0;
}

static void
read_memory(const char *root, struct cgroup *cgroup)
{
	uint64_t total = read_meminfo(root, "MemTotal:");
	uint64_t limit = 0;
	uint64_t inactive = 0;
	struct hierarchy h;
	struct hierarchy at;

	if (find_hierarchy(root, "memory", &h)) {
		at = h;
		do {
			limit = memory_limit(&at, total);
		} while (limit == 0 && go_up(&at));
		if (limit > 0)
			h = at;
		if (h.version == 2) {
			cgroup->memory_usage_bytes =
			    read_number(&h, "memory.current");
			inactive =
			    read_field(&h, "memory.stat", "inactive_file");
			cgroup->memory_oom_kills =
			    read_field(&h, "memory.events", "oom_kill");
			cgroup->memory_oom_group =
			    read_number(&h, "memory.oom.group") == 1;
		} else {
			cgroup->memory_usage_bytes =
			    read_number(&h, "memory.usage_in_bytes");
			inactive = read_field(
			    &h, "memory.stat", "total_inactive_file");
			cgroup->memory_oom_kills =
			    read_field(&h, "memory.oom_control", "oom_kill");
		}
	}
	if (cgroup->memory_usage_bytes == 0) /* the root cgroup of v2 */
		cgroup->memory_usage_bytes =
		    total - read_meminfo(root, "MemAvailable:");
	cgroup->memory_working_set_bytes =
	    cgroup->memory_usage_bytes > inactive
		? cgroup->memory_usage_bytes - inactive
		: 0;
	cgroup->memory_limited = limit > 0;
	cgroup->memory_limit_bytes = limit > 0 ? limit : total;
}

void
cgroup_read(const char *root, struct cgroup *cgroup)
{
	*cgroup = (struct cgroup){0};
	read_cpu(root, cgroup);
	read_memory(root, cgroup);
}
