#include "master/child.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/title.h"
#include "metrics/app_metrics.h"
#include "metrics/busy_time.h"
#include "worker/exchange.h"
#include "worker/sandbox.h"
#include "worker/stack_log.h"
#include "worker/worker.h"

static const int64_t YOUNG_NS = 10000000000;
static const int64_t LATE_NS = 10000000000;
static const int64_t BACKOFF_NS = 100000000;
static const int64_t BACKOFF_MAX_NS = 5000000000;
static const int64_t GRACE_NS = 100000000;

/* The scoreboard's fields of one process, ready for the next one. */
static void
reset_entry(struct scoreboard_entry *entry)
{
	entry->pid = 0;
	entry->request_started = 0;
	entry->stopped = 0;
	entry->connections = 0;
	entry->served = 0;
	entry->draining = 0;
	entry->refused_call = 0;
	entry->exits_on_purpose = 0;
	memset(entry->request_id, 0, sizeof(entry->request_id));
	memset(entry->path, 0, sizeof(entry->path));
}

/* What ps(1) shows: a title, and the name (comm), cut to 15 characters. */
static void
set_names(const struct child *child)
{
	prctl(PR_SET_NAME, child->role);
	if (child->slot >= SLOT_WORKER)
		title_set("%s %u", child->role, child->number);
	else
		title_set("%s", child->role);
}

bool
child_start(struct child *child, const struct counters *counters,
    void (*run)(void *context, const struct child *child), void *context)
{
	struct scoreboard_entry *entry =
	    scoreboard_entry(&counters->scoreboard, child->slot);
	pid_t parent = getpid();

	assert(child->state == CHILD_ABSENT);
	reset_entry(entry);
	app_metrics_reset(counters, child->slot);
	child->start_at = 0;
	child->is_late = false;
	child->slow = 0;
	child->overdue = 0;
	child->asked_at = 0;
	/* Before fork(): no request of the child is older than that. */
	child->started_at = clock_now();
	child->pid = fork();
	if (child->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		set_names(child);
		if (getppid() != parent) /* it died before we asked */
			_exit(WORKER_FAILED);
		run(context, child);
		_exit(WORKER_FAILED);
	}
	if (child->pid < 0) {
		log_text(LOG_ERROR, "cannot fork: %s", strerror(errno));
		child->pid = 0;
		child->start_at = clock_now() + CLOCK_NS_PER_SECOND;
		return false;
	}
	child->state = CHILD_RUNNING;
	entry->pid = child->pid;
	LOG(LOG_INFO, "started", LOG_STRING("role", child->role),
	    LOG_NUMBER("number", child->number),
	    LOG_NUMBER("child", child->pid));
	return true;
}

void
child_suspended(
    struct child *child, const struct counters *counters, bool is_suspended)
{
	assert(child->state != CHILD_ABSENT);
	if (child->state == CHILD_KILLED)
		return;
	child->state = is_suspended ? CHILD_SUSPENDED : CHILD_RUNNING;
	child->suspended_at = clock_now();
	scoreboard_entry(&counters->scoreboard, child->slot)->stopped =
	    is_suspended;
}

_Noreturn void
child_exit(
    const struct child *child, const struct counters *counters, int status)
{
	scoreboard_entry(&counters->scoreboard, child->slot)->exits_on_purpose =
	    1;
	exit(status);
}

static enum child_end
why_ended(
    const struct child *child, const struct scoreboard_entry *entry, int status)
{
	if (child->state == CHILD_KILLED)
		return CHILD_DEADLINE;
	if (!WIFEXITED(status) || !entry->exits_on_purpose)
		return CHILD_CRASHED;
	switch (WEXITSTATUS(status)) {
	case WORKER_DRAINED:
		return CHILD_DRAINED;
	case WORKER_RECYCLED:
		return CHILD_RECYCLED;
	case WORKER_NOT_STARTED:
		return CHILD_NOT_STARTED;
	default:
		return CHILD_CRASHED;
	}
}

/* Also called by a library, or by a sanitizer after its report. */
static void
log_exit(const struct child *child, struct scoreboard_entry *entry, int status)
{
	bool is_busy = entry->request_started != 0;
	char sentence[128];

	snprintf(sentence, sizeof(sentence),
	    "exit(%d) was called outside of the pool's code: hooks and "
	    "handlers must return; a sanitizer's report does this, too",
	    WEXITSTATUS(status));
	LOG(LOG_ERROR, sentence, LOG_STRING("role", child->role),
	    LOG_NUMBER("number", child->number),
	    LOG_NUMBER("child", child->pid),
	    LOG_STRING("endpoint", exchange_endpoint_name(entry)),
	    LOG_STRING("request_id", is_busy ? entry->request_id : ""));
}

static void
log_refused_call(const struct child *child, struct scoreboard_entry *entry)
{
	bool is_busy = entry->request_started != 0;
	struct sandbox_refusal refusal;

	sandbox_explain(entry->refused_call, child->slot, &refusal);
	LOG(LOG_ERROR, refusal.sentence, LOG_STRING("role", child->role),
	    LOG_NUMBER("number", child->number),
	    LOG_NUMBER("child", child->pid),
	    LOG_STRING("system_call", refusal.call),
	    LOG_STRING("endpoint", exchange_endpoint_name(entry)),
	    LOG_STRING("request_id", is_busy ? entry->request_id : ""));
}

enum child_end
child_exited(struct child *child, const struct counters *counters, int status,
    bool *served)
{
	static const char *const reasons[] = {
	    "drained", "recycled", "crashed", "deadline", "not_started"};
	struct scoreboard_entry *entry =
	    scoreboard_entry(&counters->scoreboard, child->slot);
	enum child_end end = why_ended(child, entry, status);
	bool is_busy = entry->request_started != 0;

	assert(child->state != CHILD_ABSENT);
	*served = entry->served > 0 || is_busy ||
		  clock_now() - child->started_at > YOUNG_NS;
	/* The path and the id were written by the process that has ended. */
	entry->request_id[sizeof(entry->request_id) - 1] = '\0';
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS &&
	    entry->refused_call)
		log_refused_call(child, entry);
	if (WIFEXITED(status) && !entry->exits_on_purpose)
		log_exit(child, entry, status);
	LOG(end == CHILD_CRASHED ? LOG_WARNING : LOG_INFO, "ended",
	    LOG_STRING("role", child->role),
	    LOG_NUMBER("number", child->number),
	    LOG_NUMBER("child", child->pid), LOG_STRING("reason", reasons[end]),
	    LOG_NUMBER("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0),
	    LOG_STRING("signal",
		WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : ""),
	    LOG_STRING("request_id", is_busy ? entry->request_id : ""));
	busy_time_settle(counters, child->slot);
	reset_entry(entry);
	app_metrics_reset(counters, child->slot);
	child->state = CHILD_ABSENT;
	child->pid = 0;
	return end;
}

void
child_stop(struct child *child, int signal)
{
	int64_t patience = clock_now() + CLOCK_NS_PER_SECOND;
	const struct timespec step = {.tv_nsec = 2000000};

	if (!child->pid)
		return;
	kill(child->pid, signal);
	while (waitpid(child->pid, NULL, WNOHANG) == 0) {
		if (clock_now() > patience)
			kill(child->pid, SIGKILL);
		nanosleep(&step, NULL);
	}
	child->state = CHILD_ABSENT;
	child->pid = 0;
}

int64_t
child_backoff_ns(const struct child *child)
{
	int64_t wait = BACKOFF_NS
		       << (child->failures < 10 ? child->failures : 10);

	return wait < BACKOFF_MAX_NS ? wait : BACKOFF_MAX_NS;
}

void
child_schedule(struct child *child, bool failed)
{
	child->start_at = clock_now() + (failed ? child_backoff_ns(child) : 0);
	child->failures = failed ? child->failures + 1 : 0;
}

void
child_schedule_retry(struct child *child)
{
	child->start_at = clock_now();
	child->failures++;
}

bool
child_is_due(const struct child *child, int64_t now)
{
	return child->state == CHILD_ABSENT && child->start_at &&
	       child->start_at <= now;
}

int64_t
child_request_started(
    const struct child *child, const struct counters *counters, int64_t now)
{
	int64_t started = atomic_load_explicit(
	    &scoreboard_entry(&counters->scoreboard, child->slot)
		 ->request_started,
	    memory_order_acquire);

	return started >= child->started_at && started <= now ? started : 0;
}

void
child_check_start(
    struct child *child, const struct counters *counters, int64_t now)
{
	const struct scoreboard_entry *entry =
	    scoreboard_entry(&counters->scoreboard, child->slot);

	if (child->state != CHILD_RUNNING || child->is_late ||
	    entry->unready != SCOREBOARD_STARTING ||
	    now - child->started_at <= LATE_NS)
		return;
	child->is_late = true;
	LOG(LOG_WARNING,
	    "app_start() has not returned for 10 s, and requests wait for it: "
	    "give its connects and queries a time limit",
	    LOG_STRING("role", child->role),
	    LOG_NUMBER("number", child->number),
	    LOG_NUMBER("child", child->pid));
}

void
child_check_deadline(struct child *child, const struct counters *counters,
    int64_t limit_ns, int64_t now)
{
	struct scoreboard_entry *entry =
	    scoreboard_entry(&counters->scoreboard, child->slot);
	int64_t started;
	int64_t began; /* its request, or its suspension */

	if (child->state != CHILD_RUNNING && child->state != CHILD_SUSPENDED)
		return;
	started = child_request_started(child, counters, now);
	began = child->state == CHILD_SUSPENDED ? child->suspended_at : now;
	if (started && started < began)
		began = started;
	if (now - began <= limit_ns)
		return;
	if (started && started != child->overdue) {
		child->overdue = started;
		child->asked_at = now;
		stack_log_ask(child->pid, started);
	}
	if (now - began <= limit_ns + GRACE_NS ||
	    now - child->asked_at < GRACE_NS)
		return;
	child->state = CHILD_KILLED;
	entry->request_id[sizeof(entry->request_id) - 1] = '\0';
	LOG(LOG_ERROR, "over its deadline: killed",
	    LOG_STRING("role", child->role),
	    LOG_NUMBER("number", child->number),
	    LOG_NUMBER("child", child->pid),
	    LOG_STRING(
		"endpoint", started ? exchange_endpoint_name(entry) : ""),
	    LOG_STRING("request_id", started ? entry->request_id : ""));
	kill(child->pid, SIGKILL);
}

void
child_check_slow(struct child *child, const struct counters *counters,
    int64_t limit_ns, int64_t now)
{
	int64_t started = child_request_started(child, counters, now);

	if (child->state != CHILD_RUNNING || !started ||
	    started == child->slow || now - started <= limit_ns)
		return;
	child->slow = started;
	stack_log_ask(child->pid, started);
}
