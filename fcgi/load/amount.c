/*
 * Amounts of CPU and memory as people write them: fractions of the limit,
 * percent, cores and sizes.
 */
#include "load/amount.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

enum {
	FRACTION_MAX = 10, /* times the CPU limit */
	MEMORY_PERCENT_MAX = 150,
	/* Where the kernel kills the whole container at its memory limit. */
	GROUP_PERCENT_MAX = 97,
	/* Without a memory limit, of the machine's memory. */
	UNLIMITED_PERCENT_MAX = 90,
};

static int
refuse(char *problem, size_t size, const char *sentence)
{
	snprintf(problem, size, "%s", sentence);
	return -EINVAL;
}

/* Refuse an amount that depends on a limit that cannot be read. */
static int
refuse_unread(char *problem, size_t size, const char *limit, int error)
{
	snprintf(problem, size, "The %s limit cannot be read: %s.", limit,
	    strerror(-error));
	return error;
}

/* Split "64MiB" into the number 64 and the suffix "MiB". */
static int
split_number(const char *text, double *number, const char **suffix)
{
	char digits[33];
	size_t length = strspn(text, "0123456789.");

	if (length == 0 || length >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, length);
	digits[length] = '\0';
	*suffix = text + length;
	return number_parse(digits, number);
}

int
load_amount_cpu(struct load *load, const char *text,
    const struct cgroup *cgroup, char *problem, size_t size)
{
	const char *suffix;
	double number;
	double fraction;

	if (split_number(text, &number, &suffix) < 0)
		suffix = "?";
	else if (number > 0 && cgroup->cpu_error)
		return refuse_unread(problem, size, "CPU", cgroup->cpu_error);
	if (*suffix == '\0')
		fraction = number;
	else if (strcmp(suffix, "%") == 0)
		fraction = number / 100;
	else if (strcmp(suffix, "cores") == 0 || strcmp(suffix, "core") == 0)
		fraction = number / cgroup->cpu_limit_cores;
	else
		return refuse(problem, size,
		    "The CPU load must be a fraction of the limit such as 1.5 "
		    "or 150%, or cores such as 0.5cores.");
	if (fraction > FRACTION_MAX)
		return refuse(problem, size,
		    "The CPU load must be at most 10 times the limit.");
	load->cpu_cores = fraction * cgroup->cpu_limit_cores;
	load->cpu_floor = fmin(fraction, 1) * cgroup->cpu_limit_cores;
	return 0;
}

/*
 * Convert a number with a unit to bytes. The result is a double because a size
 * of more than 64 bits must still compare as larger than the limit.
 */
static int
parse_size(const char *unit, double number, double *bytes)
{
	static const char units[] = "KMGT";
	const char *prefix = *unit ? strchr(units, *unit) : NULL;

	if (!prefix || (unit[1] && strcmp(unit + 1, "iB") != 0 &&
			   strcmp(unit + 1, "i") != 0))
		return -EINVAL;
	*bytes = number * pow(1024, (double)(prefix - units + 1));
	return 0;
}

static int
set_memory_target(struct load *load, double percent,
    const struct cgroup *cgroup, char *problem, size_t size)
{
	if (percent > MEMORY_PERCENT_MAX)
		return refuse(problem, size,
		    "The memory must be at most 150% of the limit.");
	if (!cgroup->memory_limited && percent > UNLIMITED_PERCENT_MAX)
		return refuse(problem, size,
		    "Without a memory limit at most 90% of the machine's "
		    "memory can be asked for.");
	load->memory_target =
	    (uint64_t)((double)cgroup->memory_limit_bytes * percent / 100);
	return 0;
}

/* The kernel kills the container as a whole: Kubernetes 1.28 and newer. */
static bool
is_group(const struct cgroup *cgroup)
{
	return cgroup->memory_limited && cgroup->memory_oom_group;
}

/* The most memory in bytes that a size or a share may ask for. */
static double
memory_max(const struct cgroup *cgroup)
{
	int percent = !cgroup->memory_limited ? UNLIMITED_PERCENT_MAX
		      : is_group(cgroup)      ? GROUP_PERCENT_MAX
					      : MEMORY_PERCENT_MAX;

	return (double)cgroup->memory_limit_bytes * percent / 100;
}

static int
set_memory_bytes(struct load *load, double bytes, const struct cgroup *cgroup,
    char *problem, size_t size)
{
	if (bytes > memory_max(cgroup))
		return refuse(problem, size,
		    "The memory must be at most 150% of the limit, or 90% of "
		    "the machine's memory where there is no limit.");
	load->memory_bytes = (uint64_t)bytes;
	return 0;
}

int
load_amount_memory(struct load *load, const char *text,
    const struct cgroup *cgroup, char *problem, size_t size)
{
	const char *suffix;
	double number = 0;
	double bytes = 0;
	bool is_share;

	if (split_number(text, &number, &suffix) < 0)
		suffix = "?";
	is_share = *suffix == '\0' || strcmp(suffix, "%") == 0;
	if (*suffix == '\0') {
		number *= 100;
		if (number > MEMORY_PERCENT_MAX)
			return refuse(problem, size,
			    "A memory value without a unit is a fraction of "
			    "the limit, at most 1.5: write 64M or 64MiB for a "
			    "size.");
	} else if (!is_share && parse_size(suffix, number, &bytes) < 0) {
		return refuse(problem, size,
		    "The memory must be a fraction of the limit such as 0.95 "
		    "or 95%, or a size such as 64M.");
	}
	if (number > 0 && cgroup->memory_error)
		return refuse_unread(
		    problem, size, "memory", cgroup->memory_error);
	if (number > 0 && is_group(cgroup) &&
	    !(is_share && number <= GROUP_PERCENT_MAX))
		return refuse(problem, size,
		    "At its memory limit this container is killed as a whole "
		    "(memory.oom.group): ask for 0.97 or 97% at most.");
	return is_share ? set_memory_target(load, number, cgroup, problem, size)
			: set_memory_bytes(load, bytes, cgroup, problem, size);
}

bool
load_amount_allows_memory(const struct load *load, const struct cgroup *cgroup)
{
	double most = memory_max(cgroup);

	if (load->memory_bytes == 0 && load->memory_target == 0)
		return true;
	return !cgroup->memory_error &&
	       (load->memory_bytes == 0 || !is_group(cgroup)) &&
	       (double)load->memory_bytes <= most &&
	       (double)load->memory_target <= most;
}
