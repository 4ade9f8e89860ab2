/*
 * The master: starts workers, and replaces what dies. It serves nothing itself.
 * Everything happens in one loop over a signalfd, the pipe on which workers ask
 * for load, and a short tick for deadlines.
 *
 * Signals: TERM and QUIT drain, INT leaves now, HUP replaces the workers one
 * after another; it sends USR2 to a worker that is stuck. The workers die with
 * the master.
 */
#include "master/master.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "master/child.h"
#include "base/clock.h"
#include "worker/channel.h"
#include "master/load_manager.h"
#include "base/log.h"
#include "metrics/registry.h"
#include "metrics/collectors/cgroup.h"
#include "metrics/shm_guard.h"
#include "http/router.h"
#include "base/version.h"
#include "worker/worker.h"

enum { TICK_MS = 100, WORKERS_MIN = 2, WORKERS_MAX = 256 };

/* Give up when so many for each worker died before they served, in GIVE_UP_NS.
 */
enum { FAILURES_MAX = 5 };
static const int64_t GIVE_UP_NS = 60000000000;

/*
 * Whoever has been at one request for so long gives its connections away: more
 * than the 0.1 s for which a container may be throttled at a time.
 */
static const int64_t STUCK_NS = 250000000;

struct pool {
	const struct pool_config *config;
	const struct options *options;
	struct store *store;
	struct handover handovers[WORKERS_MAX];
	int signals;
	unsigned worker_count;
	struct child workers[WORKERS_MAX];
	struct load_manager load;
	int64_t drain_by;      /* 0: not draining */
	bool is_replacing;     /* HUP: workers are being replaced, */
	unsigned replacing;    /* this one next, */
	pid_t replaced_pid;    /* when this one has gone */
	int64_t failing_since; /* workers died that had not served, */
	unsigned failures;     /* so many of them */
	int64_t sampled_at;
	uint64_t sampled_requests;
	struct cgroup sampled_cgroup;
	int exit_status;
	bool is_done;
};

static int64_t
seconds_ns(double seconds)
{
	return (int64_t)(seconds * 1e9);
}

/* --- children ---------------------------------------------------------- */

static void
count(struct pool *pool, enum catalog_cell cell)
{
	store_add(store_cells(pool->store, STORE_MASTER), cell, 1);
}

/* In the child: keep what it gives to others by, and its own. */
static void
close_handovers(const struct pool *pool, const struct child *child)
{
	for (unsigned i = 0; i < pool->worker_count; i++)
		if (i != child->number)
			close(pool->handovers[i].in);
}

static _Noreturn void
run_worker(void *context, const struct child *child)
{
	struct pool *pool = context;
	const struct worker_config config = {
	    .service = pool->config->service,
	    .listen_fd = pool->config->listen_fd,
	    .slot = child->slot,
	    .handovers = pool->handovers,
	    .worker_count = pool->worker_count,
	    .max_requests = pool->options->max_requests,
	    .dispatch = router_dispatch,
	    .writable_fd = -1,
	};

	close(pool->signals);
	close(pool->load.orders);
	close_handovers(pool, child);
	exit(worker_run(&config));
}

static void
start(struct pool *pool, struct child *child)
{
	if (!child_start(child, pool->store, run_worker, pool))
		return;
	count(pool, CATALOG_WORKER_STARTS);
}

/*
 * One more worker died before it served. True when there were so many in a
 * short time, for so many workers, that it is time to give up.
 */
static bool
note_failure(struct pool *pool, int64_t now)
{
	if (now - pool->failing_since > GIVE_UP_NS) {
		pool->failing_since = now;
		pool->failures = 0;
	}
	return ++pool->failures >= FAILURES_MAX * pool->worker_count;
}

/* Whether any worker that lives has served. */
static bool
is_serving(const struct pool *pool)
{
	for (unsigned i = 0; i < pool->worker_count; i++)
		if (pool->workers[i].pid &&
		    store_state(pool->store, pool->workers[i].slot)->served > 0)
			return true;
	return false;
}

static void
give_up(struct pool *pool)
{
	log_text(LOG_ERROR,
	    "giving up: %u workers died within %lld s before they served "
	    "anything; the lines above say how",
	    pool->failures, (long long)(GIVE_UP_NS / CLOCK_NS_PER_SECOND));
	pool->exit_status = 1;
	pool->is_done = true;
}

static void
worker_ended(struct pool *pool, struct child *child, int status)
{
	bool served;
	pid_t pid = child->pid;
	enum child_end end = child_ended(child, pool->store, status, &served);
	bool failed = end == CHILD_CRASHED && !served;
	int64_t leaver = pid;

	count(pool, CATALOG_EXITS_DRAINED + end);
	atomic_compare_exchange_strong(
	    &store_state(pool->store, STORE_MASTER)->leaver, &leaver, 0);
	child_schedule(child, failed);
	/* Other workers are serving, so this is not a startup failure. */
	if (failed && !is_serving(pool) && note_failure(pool, clock_now()))
		give_up(pool);
}

static struct child *
find_child(struct pool *pool, pid_t pid)
{
	for (unsigned i = 0; i < pool->worker_count; i++)
		if (pool->workers[i].pid == pid)
			return &pool->workers[i];
	return NULL;
}

/* Reap exits; record stops and continues. */
static void
reap(struct pool *pool)
{
	int status;
	pid_t pid;

	while (!pool->is_done && (pid = waitpid(-1, &status,
				      WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		bool is_stopped = WIFSTOPPED(status);
		bool has_ended = !is_stopped && !WIFCONTINUED(status);
		struct child *child = find_child(pool, pid);

		if (pid == pool->load.pid && has_ended)
			load_manager_ended(&pool->load, status);
		if (child && has_ended)
			worker_ended(pool, child, status);
		else if (child)
			child_stopped(child, pool->store, is_stopped);
	}
}

static void
kill_children(const struct pool *pool, int signal)
{
	for (unsigned i = 0; i < pool->worker_count; i++)
		if (pool->workers[i].pid)
			kill(pool->workers[i].pid, signal);
}

/* --- what the tick looks after ------------------------------------------ */

/*
 * Tell a worker that a request has kept it for long, until it has nothing left
 * to give away: nobody may have been there to take it.
 */
static void
check_stuck(const struct pool *pool, const struct child *child, int64_t now)
{
	int64_t started = child_request_started(child, pool->store, now);

	if (pool->worker_count > 1 && child->pid && started &&
	    now - started > STUCK_NS &&
	    store_state(pool->store, child->slot)->relieved != started)
		kill(child->pid, SIGUSR2);
}

/* HUP: tell the next worker to go once the one before was replaced. */
static void
replace_next(struct pool *pool)
{
	struct child *child;

	if (!pool->is_replacing)
		return;
	if (pool->replacing > 0) {
		const struct child *before =
		    &pool->workers[pool->replacing - 1];

		if (before->pid == 0 ||
		    before->pid == pool->replaced_pid) /* not gone yet */
			return;
	}
	if (pool->replacing == pool->worker_count) {
		pool->is_replacing = false;
		log_text(LOG_INFO, "all workers replaced");
		return;
	}
	child = &pool->workers[pool->replacing++];
	pool->replaced_pid = child->pid;
	if (child->pid)
		kill(child->pid, SIGTERM);
}

/* How much a counter grew by; -1 where it went back: it is another one. */
static int64_t
growth(uint64_t before, uint64_t after)
{
	return after >= before ? (int64_t)(after - before) : -1;
}

/* What the CPU did between two readings; -1 where one of them failed. */
static void
sample_cpu(struct store_state *state, const struct cgroup *before,
    const struct cgroup *after, double elapsed)
{
	int64_t used = growth(before->cpu_usage_ns, after->cpu_usage_ns);
	int64_t throttled =
	    growth(before->cpu_throttled_ns, after->cpu_throttled_ns);
	int64_t periods = growth(before->cpu_periods, after->cpu_periods);
	int64_t throttled_periods =
	    growth(before->cpu_throttled_periods, after->cpu_throttled_periods);
	bool known = !before->cpu_error && !after->cpu_error && used >= 0 &&
		     throttled >= 0 && periods >= 0 && throttled_periods >= 0;

	state->cpu_usage = known ? (int64_t)((double)used / elapsed) : -1;
	state->cpu_throttled =
	    known ? (int64_t)((double)throttled / elapsed) : -1;
	state->cpu_throttled_share = !known ? -1
				     : periods
					 ? 1000 * throttled_periods / periods
					 : 0;
}

/* Once a second: the rates that /live tells. */
static void
sample(struct pool *pool, int64_t now)
{
	struct store_state *state = store_state(pool->store, STORE_MASTER);
	struct cgroup before = pool->sampled_cgroup;
	uint64_t requests = 0;
	double elapsed = (double)(now - pool->sampled_at) / 1e9;

	if (elapsed < 1)
		return;
	for (unsigned i = 0; i < pool->store->catalog->key_capacity; i++)
		if (pool->store->keys[i])
			requests += store_sum(
			    pool->store, pool->store->catalog->fixed_count + i);
	cgroup_read("", &pool->sampled_cgroup);
	if (pool->sampled_at) {
		state->request_rate =
		    (int64_t)((double)(requests - pool->sampled_requests) *
			      1000 / elapsed);
		sample_cpu(state, &before, &pool->sampled_cgroup, elapsed);
	} else {
		state->cpu_usage = -1; /* not yet */
	}
	pool->sampled_at = now;
	pool->sampled_requests = requests;
}

/* Draining ends when the workers have, or at the time-out. */
static void
check_drain(struct pool *pool, int64_t now)
{
	bool any = false;

	for (unsigned i = 0; i < pool->worker_count; i++)
		any |= pool->workers[i].pid != 0;
	if (any && now >= pool->drain_by) {
		log_text(LOG_WARNING,
		    "drain time-out: ending workers with requests under way");
		kill_children(pool, SIGKILL);
	}
	if (!any)
		pool->is_done = true;
}

static void
tick(struct pool *pool)
{
	int64_t now = clock_now();

	store_guard_tick(pool->store, now);
	for (unsigned i = 0; i < pool->worker_count; i++) {
		struct child *child = &pool->workers[i];

		check_stuck(pool, child, now);
		child_check_deadline(child, pool->store,
		    seconds_ns(pool->options->request_timeout), now);
		if (!pool->drain_by && child_is_due(child, now))
			start(pool, child);
	}
	replace_next(pool);
	load_manager_check(&pool->load, now);
	sample(pool, now);
	if (pool->drain_by)
		check_drain(pool, now);
}

/* --- signals and the loop ----------------------------------------------- */

static void
drain(struct pool *pool)
{
	if (pool->drain_by)
		return;
	log_text(LOG_INFO, "draining");
	pool->drain_by = clock_now() + seconds_ns(pool->options->drain_timeout);
	/* First the name, so that the workers can empty the queue. */
	listener_unlink(pool->options->socket, pool->config->socket);
	store_state(pool->store, STORE_MASTER)->draining = 1;
	load_manager_stop(&pool->load);
	kill_children(pool, SIGTERM);
}

static void
handle_signal(struct pool *pool)
{
	struct signalfd_siginfo info;

	if (read(pool->signals, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		reap(pool);
		break;
	case SIGTERM:
	case SIGQUIT:
		drain(pool);
		break;
	case SIGINT:
		log_text(LOG_INFO, "leaving at once");
		pool->is_done = true;
		break;
	case SIGHUP:
		if (pool->drain_by)
			break;
		log_text(LOG_INFO, "replacing the workers");
		pool->is_replacing = true;
		pool->replacing = 0;
		break;
	default:
		break;
	}
}

static void
run(struct pool *pool)
{
	struct pollfd fds[] = {
	    {.fd = pool->signals, .events = POLLIN},
	    {.fd = pool->load.orders, .events = POLLIN},
	};

	tick(pool); /* who reads the file learns at once of all processes */
	while (!pool->is_done) {
		if (poll(fds, 2, TICK_MS) > 0) {
			if (fds[0].revents)
				handle_signal(pool);
			if (fds[1].revents)
				load_manager_order(&pool->load);
		}
		tick(pool);
	}
}

/* --- beginning and end --------------------------------------------------- */

unsigned
pool_worker_count(const struct options *options)
{
	struct cgroup cgroup;

	if (options->workers)
		return (unsigned)options->workers;
	cgroup_read("", &cgroup);
	if (cgroup.cpu_error) {
		log_text(LOG_WARNING,
		    "cannot read the CPU limit: %s; starting %d workers",
		    strerror(-cgroup.cpu_error), WORKERS_MIN);
		return WORKERS_MIN;
	}
	if (cgroup.cpu_limit_cores < WORKERS_MIN)
		return WORKERS_MIN;
	return cgroup.cpu_limit_cores > WORKERS_MAX
		   ? WORKERS_MAX
		   : (unsigned)(cgroup.cpu_limit_cores + 0.5);
}

static int
open_handovers(struct pool *pool)
{
	for (unsigned i = 0; i < pool->worker_count; i++) {
		int error = handover_open(&pool->handovers[i]);

		if (!error)
			continue;
		log_text(LOG_ERROR,
		    "cannot open two descriptors for each of %u workers: %s; "
		    "raise ulimit -n, or lower --workers",
		    pool->worker_count, strerror(-error));
		return error;
	}
	return 0;
}

/* The supervisor has blocked the signals; USR1 and USR2 are not for us. */
static int
open_signals(struct pool *pool)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pool->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return pool->signals < 0 ? -errno : 0;
}

/* Tell all workers to leave now, and kill those that do not. */
static void
end_workers(struct pool *pool)
{
	int64_t patience = clock_now() + CLOCK_NS_PER_SECOND;
	const struct timespec step = {.tv_nsec = 2000000};
	bool is_killed = false;
	pid_t pid;

	kill_children(pool, SIGINT);
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		struct child *child = pid > 0 ? find_child(pool, pid) : NULL;

		/* Its pid may be another process's from now on. */
		if (child)
			child->pid = 0;
		if (pid > 0)
			continue;
		if (!is_killed && clock_now() > patience) {
			kill_children(pool, SIGKILL);
			is_killed = true;
		}
		nanosleep(&step, NULL);
	}
}

/* What a master that was killed has left in the scoreboard. */
static void
forget_predecessor(const struct pool *pool)
{
	struct store_state *state = store_state(pool->store, STORE_MASTER);

	state->load_pid = 0;
	state->load_ticket = 0;
	state->leaver = 0;
	state->request_rate = 0;
	state->cpu_usage = -1;
	state->cpu_throttled = -1;
	state->cpu_throttled_share = -1;
}

int
pool_run(const struct pool_config *config)
{
	static struct pool pool;
	const struct options *options = config->service->options;

	pool.config = config;
	pool.options = options;
	pool.store = config->service->store;
	pool.worker_count = config->worker_count;
	pool.load = (struct load_manager){
	    .options = options,
	    .store = pool.store,
	    .orders = config->load_orders,
	};
	forget_predecessor(&pool);
	if (open_signals(&pool) < 0 || open_handovers(&pool) < 0)
		return 1;
	LOG(LOG_INFO, "serving", LOG_STRING("version", version_number),
	    LOG_STRING("socket", options->socket),
	    LOG_NUMBER("workers", pool.worker_count));
	for (unsigned i = 0; i < pool.worker_count; i++) {
		pool.workers[i] = (struct child){
		    .role = "worker", .number = i, .slot = STORE_WORKER + i};
		start(&pool, &pool.workers[i]);
	}
	run(&pool);
	load_manager_stop(&pool.load);
	end_workers(&pool);
	return pool.exit_status;
}
