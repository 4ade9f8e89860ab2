#include "worker/grants.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <netdb.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/netlink.h>

#include "base/log.h"
#include "options.h"
#include "worker/landlock.h"

enum { ARGUMENTS_MAX = 2 };

/*
 * A system call that is allowed if these bits of its arguments have these
 * values. The kernel ignores the upper half of an int, so the mask of an int is
 * UINT32_MAX. The mask 0 is the end.
 */
struct rule {
	int call;
	struct {
		unsigned number;
		uint64_t mask;
		uint64_t value;
	} arguments[ARGUMENTS_MAX];
};

/* Of a function that only lines of sandbox.def call. */
#define MAYBE_UNUSED __attribute__((unused))

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- what each grant allows ----------------------------------------------- */

static const struct rule network[] = {
    /* bind() is for UDP and netlink sockets: listen() is not allowed. */
    {.call = SCMP_SYS(bind)},
    {.call = SCMP_SYS(connect)},
    {.call = SCMP_SYS(getpeername)},
    {.call = SCMP_SYS(getsockname)},
    {.call = SCMP_SYS(ioctl), .arguments = {{1, UINT32_MAX, FIONBIO}}},
    {.call = SCMP_SYS(ioctl), .arguments = {{1, UINT32_MAX, FIONREAD}}},
    {.call = SCMP_SYS(recvmmsg)},
    {.call = SCMP_SYS(sendmmsg)},
    {.call = SCMP_SYS(socket), .arguments = {{0, UINT32_MAX, AF_INET}}},
    {.call = SCMP_SYS(socket), .arguments = {{0, UINT32_MAX, AF_INET6}}},
    /* getaddrinfo() asks for the host's own addresses. */
    {.call = SCMP_SYS(socket),
	.arguments = {{0, UINT32_MAX, AF_NETLINK},
	    {2, UINT32_MAX, NETLINK_ROUTE}}},
    {.call = SCMP_SYS(socket), .arguments = {{0, UINT32_MAX, AF_UNIX}}},
    {.call = SCMP_SYS(socketpair), .arguments = {{0, UINT32_MAX, AF_UNIX}}},
};

/*
 * Landlock decides about paths. What it cannot decide is not here: truncate(),
 * chmod() and chown() by path, and O_TRUNC without write access.
 */
static const struct rule writing[] = {
    {.call = SCMP_SYS(fallocate)},
    {.call = SCMP_SYS(fchmod)},
    /* SQLite as root gives the journal the owner of the database. */
    {.call = SCMP_SYS(fchown)},
    {.call = SCMP_SYS(fdatasync)},
    {.call = SCMP_SYS(flock)},
    {.call = SCMP_SYS(fsync)},
    {.call = SCMP_SYS(ftruncate)},
    {.call = SCMP_SYS(mkdir)},
    {.call = SCMP_SYS(mkdirat)},
    {.call = SCMP_SYS(openat),
	.arguments = {{2, O_ACCMODE | O_TRUNC, O_RDONLY}}},
    {.call = SCMP_SYS(openat), .arguments = {{2, O_ACCMODE, O_WRONLY}}},
    {.call = SCMP_SYS(openat), .arguments = {{2, O_ACCMODE, O_RDWR}}},
    {.call = SCMP_SYS(pwrite64)},
    {.call = SCMP_SYS(pwritev)},
    {.call = SCMP_SYS(rename)},
    {.call = SCMP_SYS(renameat)},
    {.call = SCMP_SYS(renameat2)},
    {.call = SCMP_SYS(rmdir)},
    {.call = SCMP_SYS(sync_file_range)},
    {.call = SCMP_SYS(unlink)},
    {.call = SCMP_SYS(unlinkat)},
    /* of an open file */
    {.call = SCMP_SYS(utimensat), .arguments = {{1, UINT64_MAX, 0}}},
};

/* What libraries call with either of these grants. It gives no access. */
static const struct rule helpers[] = {
    /* Threads, but no processes and no namespaces. */
    {.call = SCMP_SYS(clone),
	.arguments = {{0,
	    CLONE_VM | CLONE_THREAD | CLONE_NEWNS | CLONE_NEWUSER |
		CLONE_NEWPID | CLONE_NEWNET,
	    CLONE_VM | CLONE_THREAD}}},
    {.call = SCMP_SYS(eventfd2)},
    {.call = SCMP_SYS(getcwd)},
    {.call = SCMP_SYS(getgid)},
    {.call = SCMP_SYS(getuid)},
    {.call = SCMP_SYS(pipe2)},
    {.call = SCMP_SYS(readlink)},
    {.call = SCMP_SYS(readlinkat)},
    {.call = SCMP_SYS(rseq)},
    {.call = SCMP_SYS(set_robust_list)},
    {.call = SCMP_SYS(statx)},
    {.call = SCMP_SYS(uname)},
};

/* --- what the application declares ---------------------------------------- */

enum grant { NETWORK, WRITING, CALL, NO_GRANT };

static const enum grant grants[] = {
#define ALLOW_NETWORK       NETWORK,
#define ALLOW_WRITE(folder) WRITING,
#define ALLOW_SYSCALL(name) CALL,
#include "app/sandbox.def"
#undef ALLOW_NETWORK
#undef ALLOW_WRITE
#undef ALLOW_SYSCALL
    NO_GRANT};

enum { NO_CALL = INT32_MIN };

static const int calls[] = {
#define ALLOW_NETWORK
#define ALLOW_WRITE(folder)
#define ALLOW_SYSCALL(name) SCMP_SYS(name),
#include "app/sandbox.def"
#undef ALLOW_NETWORK
#undef ALLOW_WRITE
#undef ALLOW_SYSCALL
    NO_CALL};

static bool
is_granted(enum grant wanted)
{
	for (const enum grant *grant = grants; *grant != NO_GRANT; grant++)
		if (*grant == wanted)
			return true;
	return false;
}

static bool
is_declared(int call)
{
	for (const int *declared = calls; *declared != NO_CALL; declared++)
		if (*declared == call)
			return true;
	return false;
}

/* For sandbox.def: the folder of a file, valid until the next call. */
MAYBE_UNUSED static const char *
folder_of(const char *file)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", file ? file : "");
	return *path ? dirname(path) : NULL;
}

MAYBE_UNUSED static void
allow_folder(int rules, const char *folder, bool has_started)
{
	static const struct log_advice advices[] = {
	    {-ENOENT, "there is no such folder: create it, by hand or in "
		      "app_start()"},
	    {-ENOTDIR, "it is not a folder: write ALLOW_WRITE(folder_of(...))"},
	    {0, NULL},
	};
	int error;

	if (!folder || !*folder)
		return;
	error = landlock_allow(rules, folder);
	/* If app_start() has failed, it has perhaps not created the folder. */
	if (error && (has_started || error != -ENOENT))
		log_failure(
		    error, "allow workers to write to", folder, advices);
}

static void
allow_folders(int rules, const struct options *options, bool has_started)
{
	(void)rules;
	(void)options;
	(void)has_started;
#define ALLOW_NETWORK
#define ALLOW_WRITE(folder) allow_folder(rules, (folder), has_started);
#define ALLOW_SYSCALL(name)
#include "app/sandbox.def"
#undef ALLOW_NETWORK
#undef ALLOW_WRITE
#undef ALLOW_SYSCALL
}

static void
restrict_writing(const struct options *options, bool has_started)
{
	int rules = landlock_open();
	int error = rules < 0 ? rules : 0;

	if (!error) {
		allow_folders(rules, options, has_started);
		error = landlock_enter(rules);
	}
	if (error)
		log_text(LOG_WARNING,
		    "serving without Landlock, so workers can write all files "
		    "that their user can write: %s",
		    strerror(-error));
}

/*
 * A look-up loads libraries (/etc/nsswitch.conf), which the filter forbids.
 * This name is not valid, so no host is asked for it.
 */
static void
load_resolver(void)
{
	struct addrinfo *addresses;

	if (getaddrinfo("not..valid", NULL, NULL, &addresses) == 0)
		freeaddrinfo(addresses);
}

void
grants_prepare(const struct options *options, bool has_started)
{
	if (is_granted(NETWORK))
		load_resolver();
	if (is_granted(WRITING))
		restrict_writing(options, has_started);
}

/* --- rules ---------------------------------------------------------------- */

static int
add(scmp_filter_ctx filter, const struct rule *rules, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count; i++) {
		struct scmp_arg_cmp arguments[ARGUMENTS_MAX];
		unsigned used = 0;

		while (used < ARGUMENTS_MAX && rules[i].arguments[used].mask) {
			arguments[used] = (struct scmp_arg_cmp){
			    rules[i].arguments[used].number, SCMP_CMP_MASKED_EQ,
			    rules[i].arguments[used].mask,
			    rules[i].arguments[used].value};
			used++;
		}
		error |= seccomp_rule_add_array(
		    filter, SCMP_ACT_ALLOW, rules[i].call, used, arguments);
	}
	return error;
}

/* The flags of clone3() are in memory, so a filter cannot see them. Without it
 * the C library calls clone(). */
static int
add_helpers(scmp_filter_ctx filter)
{
	int error = add(filter, helpers, COUNT(helpers));

	if (!is_declared(SCMP_SYS(clone3)))
		error |= seccomp_rule_add(
		    filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return error;
}

int
grants_add_rules(scmp_filter_ctx filter)
{
	int error = 0;

	for (const int *call = calls; *call != NO_CALL; call++)
		error |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, *call, 0);
	if (is_granted(NETWORK))
		error |= add(filter, network, COUNT(network));
	if (is_granted(WRITING))
		error |= add(filter, writing, COUNT(writing));
	if (is_granted(NETWORK) || is_granted(WRITING))
		error |= add_helpers(filter);
	return error ? -EINVAL : 0;
}

/* --- hints ---------------------------------------------------------------- */

static bool
contains(const struct rule *rules, size_t count, int call)
{
	for (size_t i = 0; i < count; i++)
		if (rules[i].call == call)
			return true;
	return false;
}

void
grants_find_line(int call, const char *name, char *line, size_t size)
{
	if (!is_granted(NETWORK) && contains(network, COUNT(network), call))
		snprintf(line, size, "ALLOW_NETWORK");
	else if (!is_granted(WRITING) &&
		 contains(writing, COUNT(writing), call))
		snprintf(line, size, "ALLOW_WRITE(folder)");
	else
		snprintf(line, size, "ALLOW_SYSCALL(%s)", name);
}
