/*
 * The cgroup and process readers: the input, cut at NULs, becomes the files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "base/program.h"
#include "metrics/collectors/cgroup.h"
#include "metrics/collectors/cgroup_pressure.h"
#include "metrics/collectors/process.h"

static char root[] = "/dev/shm/" PROGRAM_NAME "-fuzz-XXXXXX";

static const char *const folders[] = {"proc", "proc/self", "proc/7",
    "proc/7/fd", "sys", "sys/fs", "sys/fs/cgroup", "sys/fs/cgroup/a"};

static const char *const files[] = {"proc/self/mountinfo", "proc/self/cgroup",
    "proc/meminfo", "sys/fs/cgroup/a/cpu.max", "sys/fs/cgroup/a/cpu.stat",
    "sys/fs/cgroup/a/memory.max", "sys/fs/cgroup/a/memory.current",
    "sys/fs/cgroup/a/memory.stat", "sys/fs/cgroup/a/memory.events",
    "sys/fs/cgroup/a/cpu.cfs_quota_us", "sys/fs/cgroup/a/cpu.cfs_period_us",
    "sys/fs/cgroup/a/cpuacct.usage", "proc/7/stat", "proc/7/limits",
    "proc/stat", "sys/fs/cgroup/a/cpu.pressure",
    "sys/fs/cgroup/a/memory.pressure", "sys/fs/cgroup/a/io.pressure"};

static void
clean(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	if (system(command) != 0)
		abort();
}

static void
begin(void)
{
	char path[256];

	if (!mkdtemp(root))
		abort();
	atexit(clean);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, folders[i]);
		if (mkdir(path, 0700) < 0)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int is_open;
	const pid_t pid = 7;
	struct cgroup cgroup;
	struct cgroup_pressure pressure;
	struct process process;

	if (!is_open)
		begin();
	is_open = 1;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const uint8_t *end = memchr(data, '\0', size);
		size_t length = end ? (size_t)(end - data) : size;
		char path[256];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s", root, files[i]);
		file = fopen(path, "w");
		if (!file)
			abort();
		fwrite(data, 1, length, file);
		fclose(file);
		data += length + (end != NULL);
		size -= length + (end != NULL);
	}
	cgroup_read(root, &cgroup);
	cgroup_pressure_read(root, &pressure);
	process_read(root, &pid, 1, &process);
	return 0;
}
