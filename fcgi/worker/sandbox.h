#ifndef SANDBOX_H
#define SANDBOX_H

#include "worker/worker.h"

/*
 * Restrict this process to the system calls that serving requests needs. It
 * cannot execute programs, fork, open sockets, open files for writing, or send
 * signals to other processes. It can free disk space of config->writable_fd
 * (-1: none) and restore the size of a truncated counter file
 * (counters_guard.h). A worker can also do what app/sandbox.def declares.
 *
 * Any other system call ends the process by SIGSYS and leaves its number in
 * the process's scoreboard entry, unless SIGSYS was blocked. Returns 0, or a
 * negative errno if the kernel does not support seccomp.
 */
int sandbox_enter(const struct worker_config *config);

/* In refused_call of a scoreboard entry: the handler of SIGSYS has not run. */
enum { SANDBOX_UNKNOWN = -1 };

/* A refused system call, for a log line. */
struct sandbox_refusal {
	char call[32];      /* its name, its number if it has none, or "" */
	char sentence[160]; /* what has happened, and what to do */
};

/*
 * Describe a system call that the process in this slot was refused. `refused`
 * is the refused_call of its scoreboard entry, and not 0: the number of the
 * call + 1, or SANDBOX_UNKNOWN.
 */
void sandbox_explain(
    int refused, unsigned slot, struct sandbox_refusal *refusal);

#endif
