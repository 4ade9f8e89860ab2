#include "master/pool.h"

#include <assert.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/collectors/cgroup.h"
#include "metrics/counters.h"
#include "metrics/registry.h"

enum {
	NONBLOCKING_MIN = 2,
	BLOCKING_MIN = 8,
	BLOCKING_FOR_EACH_CPU = 4,
};

/* Give up when so many for each worker died before they served, in GIVE_UP_NS.
 */
enum { FAILURES_MAX = 5 };
static const int64_t GIVE_UP_NS = 60000000000;

/* --- how many ------------------------------------------------------------ */

/* `each` workers for each CPU that the cgroup allows, within these bounds. */
static unsigned
for_each_cpu(double each, unsigned min, unsigned max)
{
	struct cgroup cgroup;
	double count;

	cgroup_read("", &cgroup);
	if (cgroup.cpu_error) {
		log_text(LOG_WARNING,
		    "cannot read the CPU limit: %s; starting %u workers",
		    strerror(-cgroup.cpu_error), min);
		return min;
	}
	count = each * cgroup.cpu_limit_cores + 0.5;
	return count < min ? min : count > max ? max : (unsigned)count;
}

unsigned
pool_nonblocking_count(const struct options *options)
{
	return options->workers
		   ? (unsigned)options->workers
		   : for_each_cpu(1, NONBLOCKING_MIN, POOL_NONBLOCKING_MAX);
}

unsigned
pool_blocking_count(const struct options *options)
{
	return options->blocking_workers ? (unsigned)options->blocking_workers
					 : for_each_cpu(BLOCKING_FOR_EACH_CPU,
					       BLOCKING_MIN, POOL_BLOCKING_MAX);
}

static unsigned
worker_count(const struct pool *pool)
{
	return pool->nonblocking_count + pool->blocking_count;
}

bool
pool_is_blocking(const struct pool *pool, unsigned slot)
{
	return slot >= SLOT_WORKER + pool->nonblocking_count;
}

/* --- starting ------------------------------------------------------------ */

static void
count(const struct pool *pool, enum registry_value value)
{
	counters_add(counters_values(pool->counters, SLOT_MASTER), value, 1);
}

static void
start(struct pool *pool, struct child *child)
{
	struct scoreboard *scoreboard = &pool->counters->scoreboard;

	struct scoreboard_entry *entry =
	    scoreboard_entry(scoreboard, child->slot);

	entry->kind = pool_is_blocking(pool, child->slot)
			  ? SCOREBOARD_BLOCKING
			  : SCOREBOARD_NONBLOCKING;
	entry->unready = SCOREBOARD_STARTING; /* until it says otherwise */
	if (child_start(child, pool->counters, pool->run, pool->context))
		count(pool, REGISTRY_WORKER_STARTS);
}

void
pool_start(struct pool *pool)
{
	for (unsigned i = 0; i < worker_count(pool); i++) {
		struct child *child = &pool->workers[i];

		*child = (struct child){
		    .role = "worker", .number = i, .slot = SLOT_WORKER + i};
		if (pool_is_blocking(pool, child->slot)) {
			child->role = "blocking worker";
			child->number -= pool->nonblocking_count;
		}
		start(pool, child);
	}
}

/* --- ending -------------------------------------------------------------- */

/* Whether any worker that lives has served. */
static bool
is_serving(const struct pool *pool)
{
	const struct scoreboard *scoreboard = &pool->counters->scoreboard;

	for (unsigned i = 0; i < worker_count(pool); i++) {
		const struct child *child = &pool->workers[i];

		if (child->pid &&
		    scoreboard_entry(scoreboard, child->slot)->served > 0)
			return true;
	}
	return false;
}

/* A worker died before it served. Too many of these in a minute: give up. */
static void
note_failure(struct pool *pool, int64_t now)
{
	if (now - pool->failing_since > GIVE_UP_NS) {
		pool->failing_since = now;
		pool->failures = 0;
	}
	if (++pool->failures < FAILURES_MAX * worker_count(pool))
		return;
	log_text(LOG_ERROR,
	    "giving up: %u workers died within %lld s before they served "
	    "anything; the lines above say how",
	    pool->failures, (long long)(GIVE_UP_NS / CLOCK_NS_PER_SECOND));
	pool->state = POOL_FAILED;
}

static void
reap_exit(struct pool *pool, struct child *child, int status)
{
	struct scoreboard *scoreboard = &pool->counters->scoreboard;
	int64_t leaver = child->pid;
	bool served;
	enum child_end end =
	    child_exited(child, pool->counters, status, &served);
	bool failed = end == CHILD_CRASHED && !served;

	count(pool, REGISTRY_EXITS_DRAINED + end);
	atomic_compare_exchange_strong(
	    &scoreboard_entry(scoreboard, SLOT_MASTER)->leaver, &leaver, 0);
	if (end == CHILD_NOT_STARTED)
		child_schedule_retry(child);
	else
		child_schedule(child, failed);
	/* Other workers are serving, so this is not a startup failure. */
	if (failed && !is_serving(pool))
		note_failure(pool, clock_now());
}

static struct child *
find(struct pool *pool, pid_t pid)
{
	for (unsigned i = 0; i < worker_count(pool); i++)
		if (pool->workers[i].pid == pid)
			return &pool->workers[i];
	return NULL;
}

void
pool_reap(struct pool *pool, pid_t pid, int status)
{
	struct child *child = find(pool, pid);

	if (!child)
		return;
	if (WIFSTOPPED(status) || WIFCONTINUED(status))
		child_suspended(child, pool->counters, WIFSTOPPED(status));
	else
		reap_exit(pool, child, status);
}

bool
pool_has_workers(const struct pool *pool)
{
	for (unsigned i = 0; i < worker_count(pool); i++)
		if (pool->workers[i].pid)
			return true;
	return false;
}

void
pool_kill(const struct pool *pool, int signal)
{
	for (unsigned i = 0; i < worker_count(pool); i++)
		if (pool->workers[i].pid)
			kill(pool->workers[i].pid, signal);
}

void
pool_end(struct pool *pool)
{
	int64_t patience = clock_now() + CLOCK_NS_PER_SECOND;
	const struct timespec step = {.tv_nsec = 2000000};
	bool is_killed = false;
	pid_t pid;

	pool_kill(pool, SIGINT);
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		struct child *child = pid > 0 ? find(pool, pid) : NULL;

		/* Its pid may be another process's from now on. */
		if (child)
			child->pid = 0;
		if (pid > 0)
			continue;
		if (!is_killed && clock_now() > patience) {
			pool_kill(pool, SIGKILL);
			is_killed = true;
		}
		nanosleep(&step, NULL);
	}
}

/* --- replacing and draining ---------------------------------------------- */

/* Tell the next worker to leave once the one before it was replaced. */
static void
replace_next(struct pool *pool)
{
	const struct child *child;

	if (pool->replace_next > 0) {
		const struct child *before =
		    &pool->workers[pool->replace_next - 1];

		if (before->pid == 0 || before->pid == pool->replaced_pid ||
		    scoreboard_entry(&pool->counters->scoreboard, before->slot)
			->unready)
			return; /* not replaced yet */
	}
	if (pool->replace_next == worker_count(pool)) {
		pool->state = POOL_STEADY;
		log_text(LOG_INFO, "all workers replaced");
		return;
	}
	child = &pool->workers[pool->replace_next++];
	pool->replaced_pid = child->pid;
	if (child->pid)
		kill(child->pid, SIGTERM);
}

void
pool_replace(struct pool *pool)
{
	if (pool->state != POOL_STEADY && pool->state != POOL_REPLACING)
		return;
	log_text(LOG_INFO, "replacing the workers");
	pool->state = POOL_REPLACING;
	pool->replace_next = 0;
}

void
pool_drain(struct pool *pool)
{
	assert(pool->state != POOL_FAILED);
	pool->state = POOL_DRAINING;
	pool_kill(pool, SIGTERM);
}

void
pool_tick(struct pool *pool, int64_t now)
{
	for (unsigned i = 0; i < worker_count(pool); i++) {
		struct child *child = &pool->workers[i];

		child_check_start(child, pool->counters, now);
		if (pool->slow_ns)
			child_check_slow(
			    child, pool->counters, pool->slow_ns, now);
		child_check_deadline(
		    child, pool->counters, pool->request_timeout_ns, now);
		if (pool->state != POOL_DRAINING && child_is_due(child, now))
			start(pool, child);
	}
	if (pool->state == POOL_REPLACING)
		replace_next(pool);
}
