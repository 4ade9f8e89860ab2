#include "master/child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/router.h"
#include "worker/worker.h"

static const int64_t YOUNG_NS = 10000000000;
static const int64_t BACKOFF_NS = 100000000;
static const int64_t BACKOFF_MAX_NS = 5000000000;

/* The scoreboard's fields of one process, ready for the next one. */
static void
reset_state(struct scoreboard_entry *state)
{
	state->pid = 0;
	state->request_started = 0;
	state->relieved = 0;
	state->stopped = 0;
	state->connections = 0;
	state->served = 0;
	state->draining = 0;
	memset(state->request_id, 0, sizeof(state->request_id));
	memset(state->path, 0, sizeof(state->path));
}

bool
child_start(struct child *child, const struct counters *counters,
    void (*run)(void *context, const struct child *child), void *context)
{
	struct scoreboard_entry *state =
	    scoreboard_entry(&counters->scoreboard, child->slot);
	pid_t parent = getpid();

	reset_state(state);
	child->start_at = 0;
	child->stopped_at = 0;
	child->is_over_deadline = false;
	child->pid = fork();
	if (child->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, child->role);
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
	state->pid = child->pid;
	child->started_at = clock_now();
	LOG(LOG_INFO, "started", LOG_STRING("role", child->role),
	    LOG_NUMBER("number", child->number),
	    LOG_NUMBER("child", child->pid));
	return true;
}

void
child_stopped(
    struct child *child, const struct counters *counters, bool is_stopped)
{
	child->stopped_at = is_stopped ? clock_now() : 0;
	scoreboard_entry(&counters->scoreboard, child->slot)->stopped =
	    is_stopped;
}

static enum child_end
why_ended(const struct child *child, int status)
{
	if (child->is_over_deadline)
		return CHILD_DEADLINE;
	if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_DRAINED)
		return CHILD_DRAINED;
	if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_RECYCLED)
		return CHILD_RECYCLED;
	return CHILD_CRASHED;
}

enum child_end
child_ended(struct child *child, const struct counters *counters, int status,
    bool *served)
{
	static const char *const reasons[] = {
	    "drained", "recycled", "crashed", "deadline"};
	struct scoreboard_entry *state =
	    scoreboard_entry(&counters->scoreboard, child->slot);
	enum child_end end = why_ended(child, status);
	bool is_busy = state->request_started != 0;

	*served = state->served > 0 || is_busy ||
		  clock_now() - child->started_at > YOUNG_NS;
	/* The path and the id were written by the process that has ended. */
	state->request_id[sizeof(state->request_id) - 1] = '\0';
	LOG(end == CHILD_CRASHED ? LOG_WARNING : LOG_INFO, "ended",
	    LOG_STRING("role", child->role),
	    LOG_NUMBER("number", child->number),
	    LOG_NUMBER("child", child->pid), LOG_STRING("reason", reasons[end]),
	    LOG_NUMBER("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0),
	    LOG_STRING("signal",
		WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : ""),
	    LOG_STRING("request_id", is_busy ? state->request_id : ""));
	reset_state(state);
	child->pid = 0;
	child->stopped_at = 0;
	return end;
}

void
child_schedule(struct child *child, bool failed)
{
	int64_t wait = 0;

	if (failed) {
		wait = BACKOFF_NS
		       << (child->failures < 10 ? child->failures : 10);
		child->failures++;
	} else {
		child->failures = 0;
	}
	child->start_at =
	    clock_now() + (wait < BACKOFF_MAX_NS ? wait : BACKOFF_MAX_NS);
}

bool
child_is_due(const struct child *child, int64_t now)
{
	return !child->pid && child->start_at && child->start_at <= now;
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
child_check_deadline(struct child *child, const struct counters *counters,
    int64_t limit_ns, int64_t now)
{
	struct scoreboard_entry *state =
	    scoreboard_entry(&counters->scoreboard, child->slot);
	const char *parameter;
	int64_t started;

	if (!child->pid || child->is_over_deadline)
		return;
	started = child_request_started(child, counters, now);
	if (!(started && now - started > limit_ns) &&
	    !(child->stopped_at && now - child->stopped_at > limit_ns))
		return;
	child->is_over_deadline = true;
	state->path[sizeof(state->path) - 1] = '\0';
	state->request_id[sizeof(state->request_id) - 1] = '\0';
	LOG(LOG_ERROR, "over its deadline: killed",
	    LOG_STRING("role", child->role),
	    LOG_NUMBER("number", child->number),
	    LOG_NUMBER("child", child->pid),
	    LOG_STRING("endpoint", started ? router_endpoint_name(router_find(
						 state->path, &parameter))
					   : ""),
	    LOG_STRING("request_id", started ? state->request_id : ""));
	kill(child->pid, SIGKILL);
}
