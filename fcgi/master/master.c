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
#include "metrics/counters_guard.h"
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

struct master {
	const struct master_config *config;
	const struct options *options;
	struct counters *counters;
	struct channel channels[WORKERS_MAX];
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
count(struct master *master, enum registry_value cell)
{
	counters_add(counters_values(master->counters, SLOT_MASTER), cell, 1);
}

/* In the child: keep what it gives to others by, and its own. */
static void
close_channels(const struct master *master, const struct child *child)
{
	for (unsigned i = 0; i < master->worker_count; i++)
		if (i != child->number)
			close(master->channels[i].in);
}

static _Noreturn void
run_worker(void *context, const struct child *child)
{
	struct master *master = context;
	const struct worker_config config = {
	    .service = master->config->service,
	    .listen_fd = master->config->listen_fd,
	    .slot = child->slot,
	    .channels = master->channels,
	    .worker_count = master->worker_count,
	    .max_requests = master->options->max_requests,
	    .dispatch = router_dispatch,
	    .writable_fd = -1,
	};

	close(master->signals);
	close(master->load.orders);
	close_channels(master, child);
	exit(worker_run(&config));
}

static void
start(struct master *master, struct child *child)
{
	if (!child_start(child, master->counters, run_worker, master))
		return;
	count(master, REGISTRY_WORKER_STARTS);
}

/*
 * One more worker died before it served. True when there were so many in a
 * short time, for so many workers, that it is time to give up.
 */
static bool
note_failure(struct master *master, int64_t now)
{
	if (now - master->failing_since > GIVE_UP_NS) {
		master->failing_since = now;
		master->failures = 0;
	}
	return ++master->failures >= FAILURES_MAX * master->worker_count;
}

/* Whether any worker that lives has served. */
static bool
is_serving(const struct master *master)
{
	for (unsigned i = 0; i < master->worker_count; i++)
		if (master->workers[i].pid &&
		    scoreboard_entry(
			&master->counters->scoreboard, master->workers[i].slot)
			    ->served > 0)
			return true;
	return false;
}

static void
give_up(struct master *master)
{
	log_text(LOG_ERROR,
	    "giving up: %u workers died within %lld s before they served "
	    "anything; the lines above say how",
	    master->failures, (long long)(GIVE_UP_NS / CLOCK_NS_PER_SECOND));
	master->exit_status = 1;
	master->is_done = true;
}

static void
worker_ended(struct master *master, struct child *child, int status)
{
	bool served;
	pid_t pid = child->pid;
	enum child_end end =
	    child_ended(child, master->counters, status, &served);
	bool failed = end == CHILD_CRASHED && !served;
	int64_t leaver = pid;

	count(master, REGISTRY_EXITS_DRAINED + end);
	atomic_compare_exchange_strong(
	    &scoreboard_entry(&master->counters->scoreboard, SLOT_MASTER)
		 ->leaver,
	    &leaver, 0);
	child_schedule(child, failed);
	/* Other workers are serving, so this is not a startup failure. */
	if (failed && !is_serving(master) && note_failure(master, clock_now()))
		give_up(master);
}

static struct child *
find_child(struct master *master, pid_t pid)
{
	for (unsigned i = 0; i < master->worker_count; i++)
		if (master->workers[i].pid == pid)
			return &master->workers[i];
	return NULL;
}

/* Reap exits; record stops and continues. */
static void
reap(struct master *master)
{
	int status;
	pid_t pid;

	while (!master->is_done &&
	       (pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) >
		   0) {
		bool is_stopped = WIFSTOPPED(status);
		bool has_ended = !is_stopped && !WIFCONTINUED(status);
		struct child *child = find_child(master, pid);

		if (pid == master->load.pid && has_ended)
			load_manager_ended(&master->load, status);
		if (child && has_ended)
			worker_ended(master, child, status);
		else if (child)
			child_stopped(child, master->counters, is_stopped);
	}
}

static void
kill_children(const struct master *master, int signal)
{
	for (unsigned i = 0; i < master->worker_count; i++)
		if (master->workers[i].pid)
			kill(master->workers[i].pid, signal);
}

/* --- what the tick looks after ------------------------------------------ */

/*
 * Tell a worker that a request has kept it for long, until it has nothing left
 * to give away: nobody may have been there to take it.
 */
static void
check_stuck(const struct master *master, const struct child *child, int64_t now)
{
	int64_t started = child_request_started(child, master->counters, now);

	if (master->worker_count > 1 && child->pid && started &&
	    now - started > STUCK_NS &&
	    scoreboard_entry(&master->counters->scoreboard, child->slot)
		    ->relieved != started)
		kill(child->pid, SIGUSR2);
}

/* HUP: tell the next worker to go once the one before was replaced. */
static void
replace_next(struct master *master)
{
	struct child *child;

	if (!master->is_replacing)
		return;
	if (master->replacing > 0) {
		const struct child *before =
		    &master->workers[master->replacing - 1];

		if (before->pid == 0 ||
		    before->pid == master->replaced_pid) /* not gone yet */
			return;
	}
	if (master->replacing == master->worker_count) {
		master->is_replacing = false;
		log_text(LOG_INFO, "all workers replaced");
		return;
	}
	child = &master->workers[master->replacing++];
	master->replaced_pid = child->pid;
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
sample_cpu(struct scoreboard_entry *state, const struct cgroup *before,
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
sample(struct master *master, int64_t now)
{
	struct scoreboard_entry *state =
	    scoreboard_entry(&master->counters->scoreboard, SLOT_MASTER);
	struct cgroup before = master->sampled_cgroup;
	uint64_t requests = 0;
	double elapsed = (double)(now - master->sampled_at) / 1e9;

	if (elapsed < 1)
		return;
	for (unsigned i = 0; i < master->counters->registry->key_capacity; i++)
		if (master->counters->keys[i])
			requests += counters_sum(master->counters,
			    master->counters->registry->fixed_count + i);
	cgroup_read("", &master->sampled_cgroup);
	if (master->sampled_at) {
		state->request_rate =
		    (int64_t)((double)(requests - master->sampled_requests) *
			      1000 / elapsed);
		sample_cpu(state, &before, &master->sampled_cgroup, elapsed);
	} else {
		state->cpu_usage = -1; /* not yet */
	}
	master->sampled_at = now;
	master->sampled_requests = requests;
}

/* Draining ends when the workers have, or at the time-out. */
static void
check_drain(struct master *master, int64_t now)
{
	bool any = false;

	for (unsigned i = 0; i < master->worker_count; i++)
		any |= master->workers[i].pid != 0;
	if (any && now >= master->drain_by) {
		log_text(LOG_WARNING,
		    "drain time-out: ending workers with requests under way");
		kill_children(master, SIGKILL);
	}
	if (!any)
		master->is_done = true;
}

static void
tick(struct master *master)
{
	int64_t now = clock_now();

	counters_guard_tick(master->counters, now);
	for (unsigned i = 0; i < master->worker_count; i++) {
		struct child *child = &master->workers[i];

		check_stuck(master, child, now);
		child_check_deadline(child, master->counters,
		    seconds_ns(master->options->request_timeout), now);
		if (!master->drain_by && child_is_due(child, now))
			start(master, child);
	}
	replace_next(master);
	load_manager_check(&master->load, now);
	sample(master, now);
	if (master->drain_by)
		check_drain(master, now);
}

/* --- signals and the loop ----------------------------------------------- */

static void
drain(struct master *master)
{
	if (master->drain_by)
		return;
	log_text(LOG_INFO, "draining");
	master->drain_by =
	    clock_now() + seconds_ns(master->options->drain_timeout);
	/* First the name, so that the workers can empty the queue. */
	listener_unlink(master->options->socket, master->config->socket);
	scoreboard_entry(&master->counters->scoreboard, SLOT_MASTER)->draining =
	    1;
	load_manager_stop(&master->load);
	kill_children(master, SIGTERM);
}

static void
handle_signal(struct master *master)
{
	struct signalfd_siginfo info;

	if (read(master->signals, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		reap(master);
		break;
	case SIGTERM:
	case SIGQUIT:
		drain(master);
		break;
	case SIGINT:
		log_text(LOG_INFO, "leaving at once");
		master->is_done = true;
		break;
	case SIGHUP:
		if (master->drain_by)
			break;
		log_text(LOG_INFO, "replacing the workers");
		master->is_replacing = true;
		master->replacing = 0;
		break;
	default:
		break;
	}
}

static void
run(struct master *master)
{
	struct pollfd fds[] = {
	    {.fd = master->signals, .events = POLLIN},
	    {.fd = master->load.orders, .events = POLLIN},
	};

	tick(master); /* who reads the file learns at once of all processes */
	while (!master->is_done) {
		if (poll(fds, 2, TICK_MS) > 0) {
			if (fds[0].revents)
				handle_signal(master);
			if (fds[1].revents)
				load_manager_order(&master->load);
		}
		tick(master);
	}
}

/* --- beginning and end --------------------------------------------------- */

unsigned
master_worker_count(const struct options *options)
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
open_channels(struct master *master)
{
	for (unsigned i = 0; i < master->worker_count; i++) {
		int error = channel_open(&master->channels[i]);

		if (!error)
			continue;
		log_text(LOG_ERROR,
		    "cannot open two descriptors for each of %u workers: %s; "
		    "raise ulimit -n, or lower --workers",
		    master->worker_count, strerror(-error));
		return error;
	}
	return 0;
}

/* The supervisor has blocked the signals; USR1 and USR2 are not for us. */
static int
open_signals(struct master *master)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	master->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return master->signals < 0 ? -errno : 0;
}

/* Tell all workers to leave now, and kill those that do not. */
static void
end_workers(struct master *master)
{
	int64_t patience = clock_now() + CLOCK_NS_PER_SECOND;
	const struct timespec step = {.tv_nsec = 2000000};
	bool is_killed = false;
	pid_t pid;

	kill_children(master, SIGINT);
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		struct child *child = pid > 0 ? find_child(master, pid) : NULL;

		/* Its pid may be another process's from now on. */
		if (child)
			child->pid = 0;
		if (pid > 0)
			continue;
		if (!is_killed && clock_now() > patience) {
			kill_children(master, SIGKILL);
			is_killed = true;
		}
		nanosleep(&step, NULL);
	}
}

/* What a master that was killed has left in the scoreboard. */
static void
forget_predecessor(const struct master *master)
{
	struct scoreboard_entry *state =
	    scoreboard_entry(&master->counters->scoreboard, SLOT_MASTER);

	state->load_pid = 0;
	state->load_ticket = 0;
	state->leaver = 0;
	state->request_rate = 0;
	state->cpu_usage = -1;
	state->cpu_throttled = -1;
	state->cpu_throttled_share = -1;
}

int
master_run(const struct master_config *config)
{
	static struct master master;
	const struct options *options = config->service->options;

	master.config = config;
	master.options = options;
	master.counters = config->service->counters;
	master.worker_count = config->worker_count;
	master.load = (struct load_manager){
	    .options = options,
	    .counters = master.counters,
	    .orders = config->load_orders,
	};
	forget_predecessor(&master);
	if (open_signals(&master) < 0 || open_channels(&master) < 0)
		return 1;
	LOG(LOG_INFO, "serving", LOG_STRING("version", version_number),
	    LOG_STRING("socket", options->socket),
	    LOG_NUMBER("workers", master.worker_count));
	for (unsigned i = 0; i < master.worker_count; i++) {
		master.workers[i] = (struct child){
		    .role = "worker", .number = i, .slot = SLOT_WORKER + i};
		start(&master, &master.workers[i]);
	}
	run(&master);
	load_manager_stop(&master.load);
	end_workers(&master);
	return master.exit_status;
}
