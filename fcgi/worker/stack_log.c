#include "worker/stack_log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stack.h"
#include "metrics/counters_guard.h"
#include "worker/exchange.h"

/* The sandbox replaces the handler of SIGSYS, and SIGBUS belongs to
 * counters_guard.h: both call stack_log_crash(). */
static const int crashes[] = {SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGSYS};

static struct scoreboard_entry *own;

/* Add these fields to the first ones: which request, and where it is. */
enum { OWN_FIELDS = 2, REQUEST_FIELDS = 4 };

static void
write_line(enum log_level level, const char *message,
    struct log_field fields[OWN_FIELDS + REQUEST_FIELDS], size_t count,
    void *context)
{
	char frames[STACK_TEXT_SIZE];

	stack_format(context, frames);
	own->request_id[sizeof(own->request_id) - 1] = '\0';
	fields[count++] = LOG_STRING("endpoint", exchange_endpoint_name(own));
	fields[count++] = LOG_STRING("request_id", own->request_id);
	fields[count++] = LOG_STRING("build_id", stack_build_id());
	fields[count++] = LOG_STRING("frames", frames);
	log_fields(level, message, fields, count);
}

/* --- crashes -------------------------------------------------------------- */

void
stack_log_crash(int number, siginfo_t *info, void *context)
{
	char address[32];
	struct log_field fields[OWN_FIELDS + REQUEST_FIELDS] = {
	    LOG_STRING("signal", sigdescr_np(number)),
	    LOG_STRING("address", address)};
	/* Only an access of memory has one. */
	bool has_address =
	    info->si_code > 0 && (number == SIGSEGV || number == SIGBUS);

	snprintf(address, sizeof(address), "0x%lx", (uintptr_t)info->si_addr);
	write_line(LOG_ERROR, "crashed", fields, has_address ? 2 : 1, context);
}

/* A crash while this one is logged ends the process without a line. */
static void
log_once(int number, siginfo_t *info, void *context)
{
	static _Thread_local bool has_begun;

	stack_escape();
	if (!has_begun) {
		has_begun = true;
		stack_log_crash(number, info, context);
	}
}

/* The signal ends the process, so its parent and a core dump see it. */
static void
on_crash(int number, siginfo_t *info, void *context)
{
	log_once(number, info, context);
	signal(number, SIG_DFL);
	if (info->si_code <= 0) /* else the instruction is repeated */
		raise(number);
}

/* --- requests that take long ---------------------------------------------- */

static void
on_question(int number, siginfo_t *info, void *context)
{
	int64_t started = atomic_load(&own->request_started);
	int saved_errno = errno;
	struct log_field fields[OWN_FIELDS + REQUEST_FIELDS] = {LOG_NUMBER(
	    "milliseconds", (clock_now() - started) / CLOCK_NS_PER_MS)};

	(void)number;
	if (!started || (info->si_code == SI_QUEUE &&
			    (int64_t)info->si_value.sival_ptr != started))
		return;
	write_line(LOG_WARNING, "slow request", fields, 1, context);
	errno = saved_errno;
}

void
stack_log_ask(pid_t child, int64_t request_started)
{
	const union sigval request = {.sival_ptr = (void *)request_started};

	sigqueue(child, STACK_LOG_SIGNAL, request);
}

/* --- installation --------------------------------------------------------- */

static void
handle(int number, const struct sigaction *action)
{
	struct sigaction found;

	if (sigaction(number, NULL, &found) == 0 && found.sa_handler == SIG_DFL)
		sigaction(number, action, NULL);
}

void
stack_log_open(struct scoreboard_entry *entry)
{
	/* Not deferred: stack_escape() needs a second signal in a handler. */
	struct sigaction crash = {.sa_sigaction = on_crash,
	    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	struct sigaction question = {.sa_sigaction = on_question,
	    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};

	own = entry;
	stack_prepare();
	stack_use_alternate();
	sigaddset(&crash.sa_mask, STACK_LOG_SIGNAL);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		handle(crashes[i], &crash);
	counters_guard_on_bus_error(log_once);
	handle(STACK_LOG_SIGNAL, &question);
}
