#ifndef COLLECTORS_CGROUP_PRESSURE_H
#define COLLECTORS_CGROUP_PRESSURE_H

#include <stdint.h>

/*
 * For how long the processes of a cgroup waited for a resource, in nanoseconds
 * since the cgroup was made (Documentation/accounting/psi.rst). A value that
 * the kernel does not tell is COLLECTOR_ABSENT.
 */
struct cgroup_pressure {
	struct cgroup_pressure_resource {
		uint64_t waiting_ns; /* "some": at least one process waited */
		uint64_t stalled_ns; /* "full": all that had work waited */
	} cpu, memory, io;
};

/*
 * Read the pressure of this process's cgroup v2, also on a machine where v1 has
 * the controllers. root is put in front of every path, "" for the real ones.
 *
 * Without cgroup v2, or without PSI in the kernel, all values are absent, and
 * that is no failure. Before Linux 5.13 cpu has no `full`. Returns 0, or a
 * negative errno if a file cannot be read; -EBADMSG: or is malformed.
 */
int cgroup_pressure_read(const char *root, struct cgroup_pressure *pressure);

#endif
