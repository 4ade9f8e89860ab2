/*
 * A seccomp filter of the system calls that workers and the metrics process
 * make: defence in depth, which limits what an attacker can do with a bug in a
 * handler. Coverage and sanitizer builds write files at exit, so they set
 * SANDBOX_OFF.
 *
 * The kernel answers any other system call with SIGSYS. Its handler writes the
 * number of the call to the scoreboard, logs the stack and ends the process. If
 * SIGSYS is blocked, the kernel ends the process without the handler, and the
 * call stays unknown: the C library blocks all signals before it starts a
 * program or a thread, and newer ones also in fork(). The filter lets nobody
 * replace the handler.
 */
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <seccomp.h>

#include "metrics/counters.h"
#include "service.h"
#include "worker/grants.h"
#include "worker/stack_log.h"

static const int allowed[] = {
    SCMP_SYS(accept4),
    SCMP_SYS(brk),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fstat),
    SCMP_SYS(futex),
    SCMP_SYS(getdents64),
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getsockopt),
    SCMP_SYS(gettid),
    SCMP_SYS(lseek),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(newfstatat),
    SCMP_SYS(pause),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(access),
    SCMP_SYS(pread64),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    SCMP_SYS(sysinfo),
    SCMP_SYS(write),
    SCMP_SYS(writev),
};

/* Workers run the application. The metrics process does not. */
static bool
has_grants(unsigned slot)
{
	return slot >= SLOT_WORKER;
}

#ifdef SANDBOX_OFF

int
sandbox_enter(const struct worker_config *config)
{
	(void)config;
	(void)allowed;
	return 0;
}

#else

static _Atomic int32_t *refused_call; /* of this process, in the scoreboard */

static void
on_refused_call(int number, siginfo_t *info, void *context)
{
	/* Not more than 0: sent by kill(2). */
	*refused_call = info->si_code > 0 ? info->si_syscall + 1 : 0;
	stack_log_crash(number, info, context);
	raise(number); /* ends the process: the handler is already removed */
}

static void
install_handler(struct scoreboard_entry *entry)
{
	struct sigaction action = {
	    .sa_sigaction = on_refused_call,
	    .sa_flags =
		(int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER | SA_ONSTACK),
	};

	refused_call = &entry->refused_call;
	*refused_call = SANDBOX_UNKNOWN; /* until the handler runs */
	sigaction(SIGSYS, &action, NULL);
}

/* Allow a system call with these arguments. Returns 0 or a negative errno. */
static int
allow_if(scmp_filter_ctx filter, int call, unsigned count,
    const struct scmp_arg_cmp *arguments)
{
	return seccomp_rule_add_array(
	    filter, SCMP_ACT_ALLOW, call, count, arguments);
}

/*
 * Not F_SETOWN and F_SETSIG: with them the kernel would send any signal to any
 * process of this user when a descriptor has input.
 */
static int
allow_fcntl(scmp_filter_ctx filter)
{
	static const int commands[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,
	    F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK,
	    F_OFD_SETLK, F_OFD_SETLKW, F_GETPIPE_SZ, F_SETPIPE_SZ};
	int error = 0;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct scmp_arg_cmp is_command[] = {
		    {1, SCMP_CMP_EQ, (scmp_datum_t)commands[i], 0}};

		error |= allow_if(filter, SCMP_SYS(fcntl), 1, is_command);
	}
	return error;
}

/* For all signals but SIGSYS. (The kernel ignores the upper half of a number,
 * so "not equal" would let SIGSYS through.) */
static int
allow_sigaction(scmp_filter_ctx filter)
{
	static const struct scmp_arg_cmp below[] = {
	    {0, SCMP_CMP_LT, SIGSYS, 0}};
	static const struct scmp_arg_cmp above[] = {
	    {0, SCMP_CMP_MASKED_EQ, ~(scmp_datum_t)SIGSYS, SIGSYS + 1}};
	static const struct scmp_arg_cmp last[] = {
	    {0, SCMP_CMP_EQ, 2 * (SIGSYS + 1), 0}};

	_Static_assert(SIGSYS == 31, "what the mask of `above` needs");
	return allow_if(filter, SCMP_SYS(rt_sigaction), 1, below) |
	       allow_if(filter, SCMP_SYS(rt_sigaction), 1, above) |
	       allow_if(filter, SCMP_SYS(rt_sigaction), 1, last);
}

static int
add_rules(
    scmp_filter_ctx filter, const struct counters *counters, int writable_fd)
{
	const scmp_datum_t counters_fd = (scmp_datum_t)counters->fd;
	const scmp_datum_t size = counters->map_size;
	const struct scmp_arg_cmp self[] = {
	    {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0}};
	const struct scmp_arg_cmp writable[] = {
	    {0, SCMP_CMP_EQ, (scmp_datum_t)writable_fd, 0}};
	const struct scmp_arg_cmp reserve[] = {{0, SCMP_CMP_EQ, counters_fd, 0},
	    {1, SCMP_CMP_EQ, 0, 0}, {2, SCMP_CMP_EQ, 0, 0},
	    {3, SCMP_CMP_EQ, size, 0}};
	const struct scmp_arg_cmp resize[] = {
	    {0, SCMP_CMP_EQ, counters_fd, 0}, {1, SCMP_CMP_EQ, size, 0}};
	int error = 0;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		error |=
		    seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	/* Files may be opened for reading only, and no memory becomes
	 * executable. */
	error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
	    SCMP_A2(
		SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
	error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
	    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
	    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	error |= allow_sigaction(filter);
	error |= allow_fcntl(filter);
	/* abort() sends a signal to its own process. No other is allowed. */
	error |= allow_if(filter, SCMP_SYS(tgkill), 1, self);
	if (writable_fd >= 0) {
		error |= allow_if(filter, SCMP_SYS(fallocate), 1, writable);
		error |= allow_if(filter, SCMP_SYS(ftruncate), 1, writable);
	}
	/* Restore the size of a truncated counter file. */
	error |= allow_if(filter, SCMP_SYS(fallocate), 4, reserve);
	error |= allow_if(filter, SCMP_SYS(ftruncate), 2, resize);
	return error ? -EINVAL : 0;
}

int
sandbox_enter(const struct worker_config *config)
{
	const struct counters *counters = config->service->counters;
	struct scoreboard_entry *entry =
	    scoreboard_entry(&counters->scoreboard, config->slot);
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	int error;

	if (!filter)
		return -ENOMEM;
	install_handler(entry);
	error = add_rules(filter, counters, config->writable_fd);
	if (!error && has_grants(config->slot)) {
		grants_prepare(config->service->options,
		    entry->unready == SCOREBOARD_STARTED);
		error = grants_add_rules(filter);
	}
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

#endif

static void
explain_unknown(struct sandbox_refusal *refusal)
{
	refusal->call[0] = '\0';
	snprintf(refusal->sentence, sizeof(refusal->sentence),
	    "the sandbox refused a system call that it cannot name: a worker "
	    "starts no process (fork(), system()), and threads need "
	    "ALLOW_NETWORK or ALLOW_WRITE");
}

void
sandbox_explain(int refused, unsigned slot, struct sandbox_refusal *refusal)
{
	int call = refused - 1;
	char *name;
	char line[64];

	if (refused == SANDBOX_UNKNOWN) {
		explain_unknown(refusal);
		return;
	}
	name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
	if (!name) {
		snprintf(refusal->call, sizeof(refusal->call), "%d", call);
		snprintf(refusal->sentence, sizeof(refusal->sentence),
		    "the sandbox refused a system call that has no name");
		return;
	}
	snprintf(refusal->call, sizeof(refusal->call), "%s", name);
	grants_find_line(call, name, line, sizeof(line));
	if (has_grants(slot))
		snprintf(refusal->sentence, sizeof(refusal->sentence),
		    "the sandbox refused a system call: if the application "
		    "needs it, add %s to fcgi/app/sandbox.def",
		    line);
	else
		snprintf(refusal->sentence, sizeof(refusal->sentence),
		    "the sandbox refused a system call: this process gets no "
		    "grants, so please report it as a bug");
	free(name);
}
