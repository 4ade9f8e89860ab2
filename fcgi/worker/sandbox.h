#ifndef SANDBOX_H
#define SANDBOX_H

#include "metrics/counters.h"

/*
 * Restrict this process to the system calls that serving requests needs. It
 * cannot execute programs, fork, open sockets, open files for writing, or send
 * signals to other processes. It can free disk space of writable_fd (-1: none)
 * and restore the size of a truncated counter file (counters_guard.h). The
 * kernel kills the process for any other system call. Returns 0, or a negative
 * errno if the kernel does not support seccomp.
 */
int sandbox_enter(const struct counters *counters, int writable_fd);

#endif
