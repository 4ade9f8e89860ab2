#ifndef AMOUNT_H
#define AMOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "load/load.h"
#include "metrics/collectors/cgroup.h"

/*
 * Read an amount of CPU into load->cpu_cores and load->cpu_floor: a fraction of
 * the limit ("1.5", "150%") or cores ("0.5cores"). The limit is the one in
 * cgroup, or the machine's CPUs. Returns 0 or a negative errno: -EINVAL for an
 * invalid amount, otherwise the error that made the limit unreadable. On error
 * problem contains a sentence for the user, cut to size bytes.
 */
int load_amount_cpu(struct load *load, const char *text,
    const struct cgroup *cgroup, char *problem, size_t size);

/*
 * Read an amount of memory. A fraction of the limit ("0.95", "95%") sets
 * load->memory_target: the memory that the whole cgroup uses then. A size
 * ("64M", "1GiB") sets load->memory_bytes: the memory that the load adds. A
 * number without a unit is a fraction, at most 1.5. Returns as load_amount_cpu.
 */
int load_amount_memory(struct load *load, const char *text,
    const struct cgroup *cgroup, char *problem, size_t size);

/*
 * Whether load_amount_memory() can have set the memory of this load. False for
 * any memory if the limit cannot be read.
 */
bool load_amount_allows_memory(
    const struct load *load, const struct cgroup *cgroup);

#endif
