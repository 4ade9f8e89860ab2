/*
 * The master: one loop over a signalfd, the pipe on which workers ask for
 * load, and a short tick for deadlines. It serves nothing itself.
 */
#include "master/master.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "http/router.h"
#include "master/load_manager.h"
#include "master/pool.h"
#include "master/rates.h"
#include "metrics/counters_guard.h"
#include "worker/blocking_worker.h"
#include "worker/hooks.h"
#include "worker/nonblocking_worker.h"

enum { TICK_MS = 100 };

enum master_state {
	MASTER_SERVING,
	MASTER_YIELDING, /* to a new program: USR2 from the supervisor */
	MASTER_DRAINING, /* for good */
	MASTER_ENDED
};

struct master {
	const struct master_config *config;
	const struct options *options;
	struct counters *counters;
	enum master_state state;
	int exit_status;
	int64_t drain_until; /* YIELDING and DRAINING: CLOCK_MONOTONIC ns */
	bool has_timed_out;  /* the workers were killed at that time */
	int signal_fd;
	struct channel channels[POOL_NONBLOCKING_MAX];
	struct pool pool;
	struct load_manager load;
	struct rates rates;
};

static int64_t
seconds_ns(double seconds)
{
	return (int64_t)(seconds * 1e9);
}

/* --- the life of the master ---------------------------------------------- */

static void
leave(struct master *master, enum master_state state, enum scoreboard_drain how)
{
	master->state = state;
	master->drain_until =
	    clock_now() + seconds_ns(master->options->drain_timeout);
	scoreboard_entry(&master->counters->scoreboard, SLOT_MASTER)->draining =
	    how;
	load_manager_stop(&master->load);
	pool_drain(&master->pool);
}

static void
yield(struct master *master)
{
	if (master->state == MASTER_SERVING)
		leave(master, MASTER_YIELDING, SCOREBOARD_YIELDS);
}

static void
drain(struct master *master)
{
	if (master->state == MASTER_DRAINING)
		return;
	assert(master->state != MASTER_ENDED);
	log_text(LOG_INFO, "draining");
	/* First the names, so that the workers can empty the backlogs. */
	sockets_unlink_workers(master->config->sockets);
	leave(master, MASTER_DRAINING, SCOREBOARD_DRAINS);
}

static void
end(struct master *master, int exit_status)
{
	assert(master->state != MASTER_ENDED);
	master->exit_status = exit_status;
	master->state = MASTER_ENDED;
}

/* A drain ends when the workers have, or at its time-out. */
static void
check_drain(struct master *master, int64_t now)
{
	if (!pool_has_workers(&master->pool)) {
		end(master, 0);
	} else if (now >= master->drain_until && !master->has_timed_out) {
		master->has_timed_out = true;
		log_text(LOG_WARNING,
		    "drain time-out: ending workers with requests under way");
		pool_kill(&master->pool, SIGKILL);
	}
}

/* --- children ------------------------------------------------------------ */

/* In the child of a nonblocking worker: keep all write ends and its own read
 * end, and close the rest. A blocking worker passes no connections. */
static void
close_unused(const struct master *master, unsigned slot, bool is_blocking)
{
	const struct sockets *sockets = master->config->sockets;

	close(master->signal_fd);
	close(master->load.orders);
	close(is_blocking ? sockets->nonblocking.fd : sockets->blocking.fd);
	for (unsigned i = 0; i < master->pool.nonblocking_count; i++) {
		if (is_blocking)
			close(master->channels[i].out);
		if (SLOT_WORKER + i != slot)
			close(master->channels[i].in);
	}
}

static _Noreturn void
run_worker(void *context, const struct child *child)
{
	const struct master *master = context;
	bool is_blocking = pool_is_blocking(&master->pool, child->slot);
	const struct sockets *sockets = master->config->sockets;
	struct service service = *master->config->service;
	struct worker_config config = {
	    .service = &service,
	    .listen_fd =
		is_blocking ? sockets->blocking.fd : sockets->nonblocking.fd,
	    .slot = child->slot,
	    .channels = master->channels,
	    .worker_count = master->pool.nonblocking_count,
	    .max_requests = master->options->max_requests,
	    .retry_ns = child_backoff_ns(child),
	    .dispatch = router_dispatch,
	    .writable_fd = -1,
	};

	close_unused(master, child->slot, is_blocking);
	child_exit(child, master->counters,
	    hooks_run_worker(&config, &service,
		is_blocking ? blocking_worker_run : nonblocking_worker_run));
}

/* Reap exits; record stops and continues. */
static void
reap(struct master *master)
{
	const int options = WNOHANG | WUNTRACED | WCONTINUED;
	int status;
	pid_t pid;

	while (master->pool.state != POOL_FAILED &&
	       (pid = waitpid(-1, &status, options)) > 0) {
		if (pid == master->load.pid && !WIFSTOPPED(status) &&
		    !WIFCONTINUED(status))
			load_manager_ended(&master->load, status);
		pool_reap(&master->pool, pid, status);
	}
	if (master->pool.state == POOL_FAILED)
		end(master, 1);
}

/* --- signals and the loop ------------------------------------------------ */

static void
handle_signal(struct master *master)
{
	struct signalfd_siginfo info;

	if (read(master->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		reap(master);
		break;
	case SIGTERM:
	case SIGQUIT:
		drain(master);
		break;
	case SIGUSR2:
		if ((pid_t)info.ssi_pid == getppid())
			yield(master);
		break;
	case SIGINT:
		log_text(LOG_INFO, "leaving at once");
		end(master, 0);
		break;
	case SIGHUP:
		pool_replace(&master->pool);
		break;
	default:
		break;
	}
}

static void
tick(struct master *master)
{
	int64_t now = clock_now();

	counters_guard_tick(master->counters, now);
	pool_tick(&master->pool, now);
	load_manager_check(&master->load, now);
	rates_tick(&master->rates, master->counters, now);
	if (master->state != MASTER_SERVING)
		check_drain(master, now);
}

static void
run(struct master *master)
{
	struct pollfd fds[] = {
	    {.fd = master->signal_fd, .events = POLLIN},
	    {.fd = master->load.orders, .events = POLLIN},
	};

	tick(master); /* who reads the file learns at once of all processes */
	while (master->state != MASTER_ENDED) {
		if (poll(fds, 2, TICK_MS) > 0) {
			if (fds[1].revents)
				load_manager_order(&master->load);
			if (fds[0].revents)
				handle_signal(master);
		}
		if (master->state != MASTER_ENDED)
			tick(master);
	}
}

/* --- beginning ----------------------------------------------------------- */

static int
open_channels(struct master *master)
{
	for (unsigned i = 0; i < master->pool.nonblocking_count; i++) {
		int error = channel_open(&master->channels[i]);

		if (!error)
			continue;
		log_text(LOG_ERROR,
		    "cannot open two descriptors for each of %u workers: %s; "
		    "raise ulimit -n, or lower --workers",
		    master->pool.nonblocking_count, strerror(-error));
		return error;
	}
	return 0;
}

/* The supervisor has blocked the signals; USR1 is not for us. */
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
	sigaddset(&set, SIGUSR2);
	master->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return master->signal_fd < 0 ? -errno : 0;
}

/* Clear what a master that was killed has left in the scoreboard. */
static void
forget_predecessor(const struct master *master)
{
	struct scoreboard_entry *entry =
	    scoreboard_entry(&master->counters->scoreboard, SLOT_MASTER);

	entry->load_pid = 0;
	entry->load_ticket = 0;
	entry->leaver = 0;
	rates_reset(entry);
}

static void
fill_in(struct master *master, const struct master_config *config)
{
	master->config = config;
	master->options = config->service->options;
	master->counters = config->service->counters;
	master->pool = (struct pool){
	    .counters = master->counters,
	    .nonblocking_count = config->nonblocking_count,
	    .blocking_count = config->blocking_count,
	    .request_timeout_ns = seconds_ns(master->options->request_timeout),
	    .slow_ns = seconds_ns(master->options->slow_log),
	    .run = run_worker,
	    .context = master,
	};
	master->load = (struct load_manager){
	    .options = master->options,
	    .counters = master->counters,
	    .orders = config->load_orders,
	};
}

int
master_run(const struct master_config *config)
{
	static struct master master;

	fill_in(&master, config);
	forget_predecessor(&master);
	if (open_signals(&master) < 0 || open_channels(&master) < 0)
		return 1;
	LOG(LOG_INFO, "serving", LOG_STRING("version", version_number),
	    LOG_STRING("socket", config->sockets->nonblocking.path),
	    LOG_NUMBER("workers", config->nonblocking_count),
	    LOG_NUMBER("blocking_workers", config->blocking_count));
	pool_start(&master.pool);
	run(&master);
	load_manager_stop(&master.load);
	pool_end(&master.pool);
	return master.exit_status;
}
