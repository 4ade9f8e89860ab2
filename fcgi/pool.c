/*
 * The master: starts workers and the observer, and replaces what dies. It
 * serves nothing itself. Everything happens in one loop over a signalfd, the
 * pipe on which workers ask for load, and a short tick for deadlines.
 *
 * Signals: TERM and QUIT drain, INT leaves now, HUP replaces the workers one
 * after another; it sends USR2 to a worker that is stuck. The children die with
 * the master (PR_SET_PDEATHSIG).
 */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "counters.h"
#include "listener.h"
#include "load.h"
#include "log.h"
#include "metrics/catalog.h"
#include "metrics/cgroup.h"
#include "metrics/queue.h"
#include "observer.h"
#include "router.h"
#include "service.h"
#include "version.h"
#include "worker.h"

enum { TICK_MS = 100, WORKERS_MIN = 2, WORKERS_MAX = 256 };

/*
 * A worker that dies young, before it served: wait 0.1 s, doubled up to 5 s,
 * and give up when so many for each worker have died within GIVE_UP_NS.
 */
enum { FAILURES_MAX = 5 };
static const int64_t YOUNG_NS = 10000000000;
static const int64_t BACKOFF_NS = 100000000;
static const int64_t BACKOFF_MAX_NS = 5000000000;
static const int64_t GIVE_UP_NS = 60000000000;

/*
 * Whoever has been at one request for so long gives its connections away: more
 * than the 0.1 s for which a container may be throttled at a time.
 */
static const int64_t STUCK_NS = 250000000;

/* One child: a worker, or the observer, by the slot it counts in. */
struct child {
	pid_t pid; /* 0: none */
	unsigned slot;
	int64_t started_at;
	int failures;       /* in a row, without having served */
	int64_t start_at;   /* while there is none: when to start one */
	int64_t stopped_at; /* 0: it runs */
	bool is_over_deadline;
};

struct pool {
	const struct options *options;
	struct service service;
	struct store store;
	int listen_fd;
	int metrics_fd;
	int load_fds[2];
	struct handover handovers[WORKERS_MAX];
	int signals;
	unsigned worker_count;
	struct child observer;
	struct child workers[WORKERS_MAX];
	pid_t load;
	int64_t claimed_at;    /* a load that was not asked for yet; 0: none */
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
	store_add(store_cells(&pool->store, STORE_MASTER), cell, 1);
}

static const char *
role(const struct child *child)
{
	return child->slot == STORE_OBSERVER ? "observer" : "worker";
}

static long long
number(const struct child *child)
{
	return child->slot == STORE_OBSERVER
		   ? 0
		   : (long long)child->slot - STORE_WORKER;
}

/* In the child: keep what it gives to others by, and its own. */
static void
close_handovers(const struct pool *pool, const struct child *child)
{
	for (unsigned i = 0; i < pool->worker_count; i++) {
		if (child->slot != STORE_WORKER + i)
			close(pool->handovers[i].in);
		if (child->slot == STORE_OBSERVER)
			close(pool->handovers[i].out);
	}
}

/* In the child: never returns. */
static _Noreturn void
run_child(struct pool *pool, const struct child *child, pid_t master)
{
	const bool is_observer = child->slot == STORE_OBSERVER;
	const struct worker_config config = {
	    .service = &pool->service,
	    .listen_fd = is_observer ? pool->metrics_fd : pool->listen_fd,
	    .slot = child->slot,
	    .handovers = pool->handovers,
	    .worker_count = is_observer ? 0 : pool->worker_count,
	    .max_requests = is_observer ? 0 : pool->options->max_requests,
	    .dispatch = is_observer ? observer_dispatch : router_dispatch,
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, role(child));
	if (getppid() != master) /* it died before we asked */
		_exit(WORKER_FAILED);
	close(pool->signals);
	close(pool->load_fds[0]);
	close(is_observer ? pool->listen_fd : pool->metrics_fd);
	close_handovers(pool, child);
	exit(worker_run(&config));
}

static void
start(struct pool *pool, struct child *child)
{
	struct store_state *state = store_state(&pool->store, child->slot);
	pid_t master = getpid();

	memset((void *)state, 0, sizeof(*state));
	child->start_at = 0;
	child->stopped_at = 0;
	child->is_over_deadline = false;
	child->pid = fork();
	if (child->pid == 0)
		run_child(pool, child, master);
	if (child->pid < 0) {
		log_text(LOG_ERROR, "cannot fork: %s", strerror(errno));
		child->pid = 0;
		child->start_at = clock_now() + CLOCK_NS_PER_SECOND;
		return;
	}
	state->pid = child->pid;
	child->started_at = clock_now();
	if (child->slot != STORE_OBSERVER)
		count(pool, CATALOG_WORKER_STARTS);
	LOG(LOG_INFO, "started", LOG_STRING("role", role(child)),
	    LOG_NUMBER("number", number(child)),
	    LOG_NUMBER("child", child->pid));
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
		    store_state(&pool->store, pool->workers[i].slot)->served >
			0)
			return true;
	return false;
}

static enum catalog_cell
exit_reason(const struct child *child, int status)
{
	if (child->is_over_deadline)
		return CATALOG_EXITS_DEADLINE;
	if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_DRAINED)
		return CATALOG_EXITS_DRAINED;
	if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_RECYCLED)
		return CATALOG_EXITS_RECYCLED;
	return CATALOG_EXITS_CRASHED;
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

/* Decide when the next one starts in place of a child that ended. */
static void
schedule(struct pool *pool, struct child *child, bool crashed, bool served)
{
	int64_t now = clock_now();
	int64_t wait;

	child->start_at = now;
	if (!crashed || served) {
		child->failures = 0;
		return;
	}
	wait = BACKOFF_NS << (child->failures < 10 ? child->failures : 10);
	child->failures++;
	child->start_at = now + (wait < BACKOFF_MAX_NS ? wait : BACKOFF_MAX_NS);
	/* While others serve, somebody kills on purpose; nothing is broken. */
	if (!is_serving(pool) && note_failure(pool, now))
		give_up(pool);
}

static void
child_ended(struct pool *pool, struct child *child, int status)
{
	static const char *const reasons[] = {
	    "drained", "recycled", "crashed", "deadline"};
	enum catalog_cell reason = exit_reason(child, status);
	struct store_state *state = store_state(&pool->store, child->slot);
	bool crashed = reason == CATALOG_EXITS_CRASHED;
	bool served = state->served > 0 || state->request_started != 0 ||
		      clock_now() - child->started_at > YOUNG_NS;

	LOG(crashed ? LOG_WARNING : LOG_INFO, "ended",
	    LOG_STRING("role", role(child)),
	    LOG_NUMBER("number", number(child)),
	    LOG_NUMBER("child", child->pid),
	    LOG_STRING("reason", reasons[reason - CATALOG_EXITS_DRAINED]),
	    LOG_NUMBER("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0),
	    LOG_STRING("signal",
		WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : ""),
	    LOG_STRING(
		"request_id", state->request_started ? state->request_id : ""));
	if (child->slot != STORE_OBSERVER)
		count(pool, reason);
	memset((void *)state, 0, sizeof(*state));
	child->pid = 0;
	schedule(pool, child, crashed, served);
}

static struct child *
find_child(struct pool *pool, pid_t pid)
{
	if (pool->observer.pid == pid)
		return &pool->observer;
	for (unsigned i = 0; i < pool->worker_count; i++)
		if (pool->workers[i].pid == pid)
			return &pool->workers[i];
	return NULL;
}

/* Remember the load's process; the metrics count its CPU time too. */
static void
set_load(struct pool *pool, pid_t pid)
{
	pool->load = pid;
	store_state(&pool->store, STORE_MASTER)->load_pid = pid;
}

static void
load_ended(struct pool *pool, int status)
{
	LOG(LOG_INFO, "load ended",
	    LOG_STRING("signal",
		WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : ""));
	set_load(pool, 0);
	atomic_store(
	    &store_cells(&pool->store, STORE_MASTER)[CATALOG_LOAD_ACTIVE], 0);
}

/* Hear of every child that ended, was stopped or goes on. */
static void
reap(struct pool *pool)
{
	int status;
	pid_t pid;

	while (!pool->is_done && (pid = waitpid(-1, &status,
				      WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		struct child *child = find_child(pool, pid);

		if (pid == pool->load && !WIFSTOPPED(status) &&
		    !WIFCONTINUED(status))
			load_ended(pool, status);
		if (!child)
			continue;
		if (WIFSTOPPED(status) || WIFCONTINUED(status)) {
			child->stopped_at =
			    WIFSTOPPED(status) ? clock_now() : 0;
			store_state(&pool->store, child->slot)->stopped =
			    WIFSTOPPED(status);
		} else {
			child_ended(pool, child, status);
		}
	}
}

static void
kill_children(const struct pool *pool, int signal)
{
	for (unsigned i = 0; i < pool->worker_count; i++)
		if (pool->workers[i].pid)
			kill(pool->workers[i].pid, signal);
}

/* --- load -------------------------------------------------------------- */

static void
stop_load(struct pool *pool)
{
	if (pool->load) {
		kill(pool->load, SIGKILL);
		waitpid(pool->load, NULL, 0);
		log_text(LOG_INFO, "load stopped");
	}
	set_load(pool, 0);
}

/* In the child: never returns. */
static _Noreturn void
run_load(struct pool *pool, const struct load *load)
{
	prctl(PR_SET_NAME, "load");
	close(pool->listen_fd);
	close(pool->metrics_fd);
	close(pool->signals);
	load_burn(load);
}

/* A worker asks for load, or for its end (one of no seconds). */
static void
change_load(struct pool *pool)
{
	struct load load;
	pid_t pid;

	if (read(pool->load_fds[0], &load, sizeof(load)) != sizeof(load))
		return;
	stop_load(pool);
	if (load.seconds <= 0)
		return;
	pid = fork();
	if (pid == 0)
		run_load(pool, &load);
	if (pid < 0) {
		log_text(LOG_ERROR, "cannot fork: %s", strerror(errno));
		atomic_store(&store_cells(&pool->store,
				 STORE_MASTER)[CATALOG_LOAD_ACTIVE],
		    0);
		return;
	}
	set_load(pool, pid);
	LOG(LOG_INFO, "load raised", LOG_NUMBER("child", pid),
	    LOG_NUMBER("milliseconds", (long long)(load.seconds * 1000)),
	    LOG_NUMBER("millicores", (long long)(load.cpu_cores * 1000)));
}

/* --- what the tick looks after ------------------------------------------ */

/* When the request that a child is at began; 0: it is at none. */
static int64_t
request_started(const struct pool *pool, const struct child *child)
{
	return atomic_load_explicit(
	    &store_state(&pool->store, child->slot)->request_started,
	    memory_order_acquire);
}

/*
 * Tell a worker that a request has kept it for long, until it has nothing left
 * to give away: nobody may have been there to take it.
 */
static void
check_stuck(const struct pool *pool, const struct child *child, int64_t now)
{
	int64_t started = request_started(pool, child);

	if (pool->worker_count > 1 && child->pid && started &&
	    now - started > STUCK_NS &&
	    store_state(&pool->store, child->slot)->relieved != started)
		kill(child->pid, SIGUSR2);
}

/* Kill a worker whose request, or whose stop, is over the deadline. */
static void
check_deadline(struct pool *pool, struct child *child, int64_t now)
{
	const struct store_state *state =
	    store_state(&pool->store, child->slot);
	int64_t started = request_started(pool, child);
	int64_t limit = seconds_ns(pool->options->request_timeout);
	const char *parameter;

	if (!child->pid || child->is_over_deadline)
		return;
	if (!(started && now - started > limit) &&
	    !(child->stopped_at && now - child->stopped_at > limit))
		return;
	child->is_over_deadline = true;
	LOG(LOG_ERROR, "over its deadline: killed",
	    LOG_STRING("role", role(child)),
	    LOG_NUMBER("number", number(child)),
	    LOG_NUMBER("child", child->pid),
	    LOG_STRING("endpoint", started ? router_endpoint_name(router_find(
						 state->path, &parameter))
					   : ""),
	    LOG_STRING("request_id", started ? state->request_id : ""));
	kill(child->pid, SIGKILL);
}

static void
start_due(struct pool *pool, struct child *child, int64_t now)
{
	if (!child->pid && child->start_at && child->start_at <= now &&
	    (!pool->drain_by || child->slot == STORE_OBSERVER))
		start(pool, child);
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

/*
 * A worker that was killed between claiming the load and asking for it leaves
 * the claim behind: take it back when nothing came of it.
 */
static void
check_load(struct pool *pool, int64_t now)
{
	_Atomic uint64_t *active =
	    &store_cells(&pool->store, STORE_MASTER)[CATALOG_LOAD_ACTIVE];

	if (!*active || pool->load)
		pool->claimed_at = 0;
	else if (!pool->claimed_at)
		pool->claimed_at = now;
	else if (now - pool->claimed_at > CLOCK_NS_PER_SECOND)
		*active = 0;
}

/* Once a second: the rates that /live tells. */
static void
sample(struct pool *pool, int64_t now)
{
	struct store_state *state = store_state(&pool->store, STORE_MASTER);
	struct cgroup before = pool->sampled_cgroup;
	uint64_t requests = 0;
	double elapsed = (double)(now - pool->sampled_at) / 1e9;

	if (elapsed < 1)
		return;
	for (unsigned i = 0; i < pool->store.catalog->key_capacity; i++)
		if (pool->store.keys[i])
			requests += store_sum(
			    &pool->store, pool->store.catalog->fixed_count + i);
	cgroup_read("", &pool->sampled_cgroup);
	if (pool->sampled_at) {
		state->request_rate =
		    (int64_t)((double)(requests - pool->sampled_requests) *
			      1000 / elapsed);
		state->cpu_usage =
		    (int64_t)((double)(pool->sampled_cgroup.cpu_usage_ns -
				       before.cpu_usage_ns) /
			      elapsed);
		state->cpu_throttled =
		    (int64_t)((double)(pool->sampled_cgroup.cpu_throttled_ns -
				       before.cpu_throttled_ns) /
			      elapsed);
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

	check_deadline(pool, &pool->observer, now);
	start_due(pool, &pool->observer, now);
	for (unsigned i = 0; i < pool->worker_count; i++) {
		check_stuck(pool, &pool->workers[i], now);
		check_deadline(pool, &pool->workers[i], now);
		start_due(pool, &pool->workers[i], now);
	}
	replace_next(pool);
	check_load(pool, now);
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
	store_state(&pool->store, STORE_MASTER)->draining = 1;
	/* First the name, so that the workers can empty the queue. */
	unlink(pool->options->socket);
	stop_load(pool);
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
	    {.fd = pool->load_fds[0], .events = POLLIN},
	};

	while (!pool->is_done) {
		if (poll(fds, 2, TICK_MS) > 0) {
			if (fds[0].revents)
				handle_signal(pool);
			if (fds[1].revents)
				change_load(pool);
		}
		tick(pool);
	}
}

/* --- beginning and end --------------------------------------------------- */

static unsigned
default_workers(void)
{
	struct cgroup cgroup;

	cgroup_read("", &cgroup);
	if (cgroup.cpu_limit_cores < WORKERS_MIN)
		return WORKERS_MIN;
	return cgroup.cpu_limit_cores > WORKERS_MAX
		   ? WORKERS_MAX
		   : (unsigned)(cgroup.cpu_limit_cores + 0.5);
}

/* Signals arrive through a descriptor; SIGPIPE as an error of write(). */
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
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	pool->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return pool->signals < 0 ? -errno : 0;
}

static int
open_store(struct pool *pool, const struct store_catalog *catalog)
{
	struct store_state *state;
	int error = store_open(&pool->store, pool->options->metrics_file,
	    catalog, pool->worker_count);

	if (error)
		return error;
	counters_declare(&pool->store);
	log_count_dropped(
	    &store_cells(&pool->store, STORE_MASTER)[CATALOG_LOG_DROPPED]);
	state = store_state(&pool->store, STORE_MASTER);
	state->pid = getpid();
	state->started = clock_wall();
	count(pool, CATALOG_STARTS);
	return 0;
}

static int
open_all(struct pool *pool, const struct store_catalog *catalog)
{
	const struct options *options = pool->options;
	int error = open_signals(pool);

	if (!error)
		error = open_store(pool, catalog);
	if (error)
		return error;
	for (unsigned i = 0; i < pool->worker_count; i++)
		if ((error = handover_open(&pool->handovers[i])) < 0) {
			log_text(LOG_ERROR,
			    "cannot open two descriptors for each of %u "
			    "workers: %s; raise ulimit -n, or lower --workers",
			    pool->worker_count, strerror(-error));
			return error;
		}
	pool->listen_fd = listener_open(options->socket);
	if (pool->listen_fd < 0)
		return pool->listen_fd;
	pool->metrics_fd = listener_open(options->metrics_socket);
	if (pool->metrics_fd < 0) {
		unlink(options->socket);
		return pool->metrics_fd;
	}
	if (pipe2(pool->load_fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	pool->service = (struct service){
	    .options = options,
	    .store = &pool->store,
	    .load_request_fd = pool->load_fds[1],
	    .queue_fd = queue_open(),
	};
	store_state(&pool->store, STORE_MASTER)->listen_inode =
	    listener_inode(pool->listen_fd);
	return 0;
}

/* Tell all children to leave now, and end those that do not. */
static void
end_children(struct pool *pool)
{
	int64_t patience = clock_now() + CLOCK_NS_PER_SECOND;
	bool is_killed = false;
	pid_t pid;

	kill_children(pool, SIGINT);
	if (pool->observer.pid)
		kill(pool->observer.pid, SIGINT);
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		struct timespec step = {.tv_nsec = 2000000};

		if (pid > 0)
			continue;
		if (!is_killed && clock_now() > patience) {
			kill_children(pool, SIGKILL);
			if (pool->observer.pid)
				kill(pool->observer.pid, SIGKILL);
			is_killed = true;
		}
		nanosleep(&step, NULL);
	}
}

static void
close_all(struct pool *pool)
{
	stop_load(pool);
	end_children(pool);
	unlink(pool->options->socket);
	unlink(pool->options->metrics_socket);
	store_close(&pool->store);
}

int
pool_run(const struct options *options, const struct store_catalog *catalog)
{
	static struct pool pool;

	pool.options = options;
	pool.worker_count =
	    options->workers ? (unsigned)options->workers : default_workers();
	router_open(options->exercise);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (open_all(&pool, catalog) < 0)
		return 1;
	LOG(LOG_INFO, "serving", LOG_STRING("version", version_number),
	    LOG_STRING("socket", options->socket),
	    LOG_NUMBER("workers", pool.worker_count));
	pool.observer.slot = STORE_OBSERVER;
	start(&pool, &pool.observer);
	for (unsigned i = 0; i < pool.worker_count; i++) {
		pool.workers[i].slot = STORE_WORKER + i;
		start(&pool, &pool.workers[i]);
	}
	run(&pool);
	close_all(&pool);
	log_text(LOG_INFO, pool.exit_status ? "ended in failure" : "ended");
	return pool.exit_status;
}
