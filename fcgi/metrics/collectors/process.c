/*
 * The collector process: /proc/PID/stat, fd and limits, see proc(5). The CPU
 * time of a process includes that of the children it has reaped, so the sum of
 * the pool does not decrease when a worker dies.
 */
#include "metrics/collectors/process.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/collectors.h"

/* Read a file of /proc/PID. Returns 0 or a negative errno (-EBADMSG: empty). */
static int
read_file(
    const char *root, const char *name, pid_t pid, char *text, size_t size)
{
	char path[PATH_MAX];
	size_t length;
	int error = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/proc/%d/%s", root, pid, name);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	length = fread(text, 1, size - 1, file);
	if (ferror(file))
		error = -errno;
	else if (length == 0)
		error = -EBADMSG;
	text[length] = '\0';
	fclose(file);
	return error;
}

static int
count_fds(const char *root, pid_t pid, uint64_t *count)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	struct stat status;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/proc/%d/fd", root, pid);
	/* The size is the number of files since Linux 6.2, 0 before. */
	if (!*root && stat(path, &status) == 0 && status.st_size > 0) {
		*count = (uint64_t)status.st_size;
		return 0;
	}
	folder = opendir(path);
	if (!folder)
		return -errno;
	*count = 0;
	while ((entry = readdir(folder)))
		*count += entry->d_name[0] != '.';
	closedir(folder);
	return 0;
}

/* The limit of open files of a process; 0: unlimited. */
static int
max_fds(const char *root, pid_t pid, uint64_t *count)
{
	char text[4096];
	const char *line;
	int error = read_file(root, "limits", pid, text, sizeof(text));

	if (error)
		return error;
	line = strstr(text, "Max open files");
	if (!line)
		return -EBADMSG;
	*count = strtoull(line + strlen("Max open files"), NULL, 10);
	return 0;
}

/*
 * The boot time in seconds since the epoch. Read line by line, since with many
 * CPUs the line is far down in the file.
 */
static int
boot_time(const char *root, double *seconds)
{
	char path[PATH_MAX];
	char *line = NULL;
	size_t room = 0;
	int error = -EBADMSG;
	FILE *file;

	snprintf(path, sizeof(path), "%s/proc/stat", root);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (error && getline(&line, &room, file) > 0)
		if (sscanf(line, "btime %lf", seconds) == 1)
			error = 0;
	free(line);
	fclose(file);
	return error;
}

static int
read_stat(const char *root, pid_t pid, double booted, struct process *process)
{
	double tick = (double)sysconf(_SC_CLK_TCK);
	unsigned long long user, system, started, size;
	long long child_user, child_system, pages;
	char text[1024];
	const char *rest;
	int error = read_file(root, "stat", pid, text, sizeof(text));

	if (error)
		return error;
	rest = strrchr(text, ')'); /* the name may hold anything */
	if (!rest ||
	    sscanf(rest + 1,
		" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld "
		"%lld %*d %*d %*d %*d %llu %llu %lld",
		&user, &system, &child_user, &child_system, &started, &size,
		&pages) != 7)
		return -EBADMSG;
	*process = (struct process){
	    .cpu_seconds = ((double)user + (double)system + (double)child_user +
			       (double)child_system) /
			   tick,
	    .virtual_bytes = size,
	    .resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE),
	    .start_seconds = booted + (double)started / tick,
	};
	return 0;
}

static int
add_process(const char *root, pid_t pid, double booted, struct process *process)
{
	struct process one;
	int error = read_stat(root, pid, booted, &one);

	if (!error)
		error = count_fds(root, pid, &one.open_fds);
	if (!error)
		error = max_fds(root, pid, &one.max_fds);
	if (error == -ENOENT || error == -ESRCH)
		return 0; /* it has ended */
	if (error)
		return error;
	process->cpu_seconds += one.cpu_seconds;
	process->virtual_bytes += one.virtual_bytes;
	process->resident_bytes += one.resident_bytes;
	process->open_fds += one.open_fds;
	if (process->max_fds == 0 ||
	    (one.max_fds > 0 && one.max_fds < process->max_fds))
		process->max_fds = one.max_fds;
	if (process->start_seconds <= 0)
		process->start_seconds = one.start_seconds;
	return 0;
}

int
process_read(
    const char *root, const pid_t *pids, size_t count, struct process *process)
{
	double booted = 0;
	int error = boot_time(root, &booted);

	*process = (struct process){0};
	for (size_t i = 0; i < count && !error; i++)
		error = add_process(root, pids[i], booted, process);
	/* The caller knows that one of them is alive. */
	return !error && process->start_seconds <= 0 ? -ESRCH : error;
}

/*
 * List the processes of a pool: the supervisor, those with a slot, and the
 * load. Returns how many there are.
 */
static size_t
list_pool(const struct scoreboard *scoreboard, pid_t *pids)
{
	const struct scoreboard_entry *master =
	    scoreboard_entry(scoreboard, SLOT_MASTER);
	size_t count = 0;

	if (master->supervisor_pid)
		pids[count++] = (pid_t)master->supervisor_pid;
	for (unsigned slot = 0; slot < scoreboard->slot_count; slot++) {
		pid_t pid = (pid_t)scoreboard_entry(scoreboard, slot)->pid;

		if (pid)
			pids[count++] = pid;
	}
	if (master->load_pid)
		pids[count++] = (pid_t)master->load_pid;
	return count;
}

static int
read_collector(const struct collector_source *source, void *data)
{
	static double cpu_seconds; /* of the last scrape */
	struct process *process = data;
	pid_t *pids = calloc(source->scoreboard->slot_count + 2, sizeof(*pids));
	int error;

	if (!pids)
		return -ENOMEM;
	error = process_read(
	    source->root, pids, list_pool(source->scoreboard, pids), process);
	free(pids);
	if (error)
		return error;
	/* If a process exits now, the sum may miss it. Never decrease. */
	if (process->cpu_seconds < cpu_seconds)
		process->cpu_seconds = cpu_seconds;
	cpu_seconds = process->cpu_seconds;
	return 0;
}

static const struct collector_metric metrics[] = {
    {.family = {"process_cpu_seconds", METRIC_COUNTER, "seconds",
	 "CPU time of the pool."},
	COLLECTOR_FIELD(struct process, cpu_seconds)},
    {.family = {"process_resident_memory_bytes", METRIC_GAUGE, "bytes",
	 "Resident memory, summed over the pool."},
	COLLECTOR_FIELD(struct process, resident_bytes)},
    {.family = {"process_virtual_memory_bytes", METRIC_GAUGE, "bytes",
	 "Virtual memory, summed over the pool."},
	COLLECTOR_FIELD(struct process, virtual_bytes)},
    {.family = {"process_open_fds", METRIC_GAUGE, NULL,
	 "Open files, summed over the pool."},
	COLLECTOR_FIELD(struct process, open_fds)},
    {.family = {"process_max_fds", METRIC_GAUGE, NULL,
	 "Open files allowed to one process."},
	COLLECTOR_FIELD(struct process, max_fds)},
    {.family = {"process_start_time_seconds", METRIC_GAUGE, "seconds",
	 "When the pool's master was started, since the epoch."},
	COLLECTOR_FIELD(struct process, start_seconds)},
};

const struct collector collector_process = {
    .name = "process",
    .needs_pool = true,
    .size = sizeof(struct process),
    .read = read_collector,
    .metrics = metrics,
    .metric_count = sizeof(metrics) / sizeof(metrics[0]),
};
