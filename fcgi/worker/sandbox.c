/*
 * A seccomp filter of the system calls that workers and the metrics process
 * make: defence in depth, which limits what an attacker can do with a bug in a
 * handler. Coverage and sanitizer builds write files at exit, so they set
 * SANDBOX_OFF.
 */
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <seccomp.h>

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
    SCMP_SYS(fcntl),
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
    SCMP_SYS(rt_sigaction),
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

#ifdef SANDBOX_OFF

int
sandbox_enter(const struct counters *counters, int writable_fd)
{
	(void)counters;
	(void)allowed;
	(void)writable_fd;
	return 0;
}

#else

/* Allow a system call with these arguments. Returns 0 or a negative errno. */
static int
allow_if(scmp_filter_ctx filter, int call, unsigned count,
    const struct scmp_arg_cmp *arguments)
{
	return seccomp_rule_add_array(
	    filter, SCMP_ACT_ALLOW, call, count, arguments);
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
sandbox_enter(const struct counters *counters, int writable_fd)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int error;

	if (!filter)
		return -ENOMEM;
	error = add_rules(filter, counters, writable_fd);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

#endif
