#ifndef TRACED_H
#define TRACED_H

/*
 * A traced process, each of whose instructions is a step of the test. No step
 * depends on time.
 */

#include "support.h"

#include <sys/ptrace.h>

/* A process that calls run() again and again, and stops before each call. */
static inline pid_t
start_traced(void (*run)(void))
{
	pid_t child;
	int status;

	/* valgrind executes many instructions for each of the program's. */
	support_skip_under_valgrind();
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(SUPPORT_DEADLINE);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(0);
		for (;;) {
			kill(getpid(), SIGSTOP);
			run();
		}
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status)) /* this machine allows no tracing */
		skip();
	assert_int_equal(
	    ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL), 0);
	return child;
}

/* Let it go on until it stops. Returns the signal by which it does. */
static inline int
go_on(pid_t child, bool by_one_instruction)
{
	int status;

	assert_int_equal(
	    ptrace(by_one_instruction ? PTRACE_SINGLESTEP : PTRACE_CONT, child,
		NULL, NULL),
	    0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	return WSTOPSIG(status);
}

/* Execute one instruction. Returns whether run() has not ended. */
static inline bool
step(pid_t child)
{
	return go_on(child, true) == SIGTRAP;
}

static inline void
end_traced(pid_t child)
{
	kill(child, SIGKILL);
	assert_int_equal(support_wait(child), 1000 + SIGKILL);
}

#endif
