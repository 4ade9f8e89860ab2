#ifndef SANDBOX_H
#define SANDBOX_H

#include "metrics/counters.h"

/*
 * From here on this process may only do what serving takes: no exec, no fork,
 * no network socket, no file written, no signal to another process. Of
 * writable_fd (-1: none) it may free space, and it may give the counter file
 * its size again (counters_guard.h). What else it tries kills it. Returns 0, or
 * a negative errno where the kernel has no seccomp.
 */
int sandbox_enter(const struct counters *counters, int writable_fd);

#endif
