/*
 * The supervisor does as little as it can, so that it has little to die of. It
 * holds what must outlive the master: the sockets and the counter file.
 */
#include "master/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/child.h"
#include "base/clock.h"
#include "http/request_metrics.h"
#include "master/gateway_log.h"
#include "master/listener.h"
#include "base/log.h"
#include "metrics/busy_time.h"
#include "metrics/registry.h"
#include "metrics/collectors/listen_backlog.h"
#include "metrics/counters_guard.h"
#include "master/metrics_process.h"
#include "master/orphans.h"
#include "master/master.h"
#include "master/pool.h"
#include "master/upgrade.h"
#include "http/router.h"
#include "service.h"

enum { TICK_MS = 100, FAILURES_MAX = 10 };

enum supervisor_state {
	SUPERVISOR_SERVING,
	SUPERVISOR_LEAVING, /* TERM, QUIT or INT has come */
	SUPERVISOR_ENDED    /* the master has, for good */
};

struct supervisor {
	const struct options *options;
	struct counters counters;
	struct gateway_log gateway_log;
	struct service service;
	struct sockets sockets;
	struct master_config master_config;
	int signals;
	struct child master;
	struct child metrics;
	struct upgrade upgrade;
	enum supervisor_state state;
	int exit_status;
};

/* --- children ---------------------------------------------------------- */

static _Noreturn void
run_master(void *context, const struct child *child)
{
	struct supervisor *supervisor = context;

	close(supervisor->signals);
	close(supervisor->sockets.metrics.fd);
	child_exit(child, &supervisor->counters,
	    master_run(&supervisor->master_config));
}

static _Noreturn void
run_metrics(void *context, const struct child *child)
{
	struct supervisor *supervisor = context;

	/* Ctrl-C reaches the others. The supervisor ends this process last. */
	setsid();
	close(supervisor->signals);
	close(supervisor->sockets.nonblocking.fd);
	close(supervisor->sockets.blocking.fd);
	child_exit(child, &supervisor->counters,
	    metrics_process_run(
		&supervisor->service, supervisor->sockets.metrics.fd));
}

static void
end(struct supervisor *supervisor, int exit_status)
{
	assert(supervisor->state != SUPERVISOR_ENDED);
	supervisor->exit_status = exit_status;
	supervisor->state = SUPERVISOR_ENDED;
}

/* No worker is left: execute the new program, or go on with this one. */
static void
replace_program(struct supervisor *supervisor)
{
	child_stop(&supervisor->metrics, SIGTERM);
	counters_guard_save(&supervisor->counters);
	upgrade_exec(&supervisor->upgrade, &supervisor->sockets);
	child_schedule(&supervisor->metrics, false);
	child_schedule(&supervisor->master, false);
}

/* The new program works: drain the workers of this one. */
static void
yield(struct supervisor *supervisor)
{
	supervisor->master.start_at = 0;
	if (supervisor->master.pid)
		kill(supervisor->master.pid, SIGUSR2);
	else
		replace_program(supervisor);
}

/* The master has ended: by itself, so all is over, or by a signal. */
static void
master_ended(struct supervisor *supervisor, int status)
{
	struct child *master = &supervisor->master;
	bool is_serving =
	    scoreboard_has_served(&supervisor->counters.scoreboard);
	bool served;

	child_exited(master, &supervisor->counters, status, &served);
	if (supervisor->upgrade.state == UPGRADE_YIELDING) {
		orphans_reap(&supervisor->counters, supervisor->metrics.pid);
		replace_program(supervisor);
		return;
	}
	if (WIFEXITED(status) || supervisor->state == SUPERVISOR_LEAVING) {
		end(supervisor, WIFEXITED(status) ? WEXITSTATUS(status) : 1);
		return;
	}
	orphans_reap(&supervisor->counters, supervisor->metrics.pid);
	child_schedule(master, !is_serving);
	if (master->failures >= FAILURES_MAX) {
		log_text(LOG_ERROR,
		    "giving up: the master died %d times before a worker "
		    "served anything; the lines above say how",
		    master->failures);
		end(supervisor, 1);
	}
}

static void
child_changed(struct supervisor *supervisor, struct child *child, int status)
{
	bool served;

	if (WIFSTOPPED(status) || WIFCONTINUED(status)) {
		child_suspended(
		    child, &supervisor->counters, WIFSTOPPED(status));
	} else if (child == &supervisor->master) {
		master_ended(supervisor, status);
	} else {
		enum child_end end =
		    child_exited(child, &supervisor->counters, status, &served);

		child_schedule(child, end == CHILD_CRASHED && !served);
	}
}

static void
reap(struct supervisor *supervisor)
{
	int status;
	pid_t pid;

	while (supervisor->state != SUPERVISOR_ENDED &&
	       (pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) >
		   0) {
		if (pid == supervisor->master.pid)
			child_changed(supervisor, &supervisor->master, status);
		else if (pid == supervisor->metrics.pid)
			child_changed(supervisor, &supervisor->metrics, status);
		else if (pid == supervisor->upgrade.trial &&
			 upgrade_tried(&supervisor->upgrade, status))
			yield(supervisor);
	}
}

/* Start what is missing; kill what is stuck or was stopped for too long. */
static void
check_children(struct supervisor *supervisor, int64_t now)
{
	struct child *metrics = &supervisor->metrics;
	int64_t limit = (int64_t)(supervisor->options->request_timeout * 1e9);

	if (child_is_due(metrics, now))
		child_start(
		    metrics, &supervisor->counters, run_metrics, supervisor);
	if (child_is_due(&supervisor->master, now))
		child_start(&supervisor->master, &supervisor->counters,
		    run_master, supervisor);
	upgrade_tick(&supervisor->upgrade, now);
	child_check_deadline(metrics, &supervisor->counters, limit, now);
	child_check_deadline(
	    &supervisor->master, &supervisor->counters, limit, now);
}

/* --- signals and the loop ----------------------------------------------- */

static void
handle_hup(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;

	if (supervisor->state != SUPERVISOR_SERVING ||
	    upgrade->state == UPGRADE_YIELDING)
		return;
	if (upgrade_is_due(upgrade))
		upgrade_try(upgrade);
	else if (supervisor->master.pid)
		kill(supervisor->master.pid, SIGHUP);
}

static void
handle_signal(struct supervisor *supervisor)
{
	struct signalfd_siginfo info;
	int number;

	if (read(supervisor->signals, &info, sizeof(info)) != sizeof(info))
		return;
	number = (int)info.ssi_signo;
	if (number == SIGCHLD) {
		reap(supervisor);
		return;
	}
	if (number == SIGUSR1 || number == SIGUSR2) {
		LOG(LOG_INFO,
		    "signal ignored: logs go to standard error, so there is no "
		    "file to reopen",
		    LOG_STRING("signal", strsignal(number)));
		return;
	}
	if (number == SIGHUP) {
		handle_hup(supervisor);
		return;
	}
	supervisor->state = SUPERVISOR_LEAVING;
	upgrade_cancel(&supervisor->upgrade);
	if (supervisor->master.pid)
		kill(supervisor->master.pid, number);
	else
		end(supervisor, 0);
}

static void
run(struct supervisor *supervisor)
{
	struct pollfd signals = {.fd = supervisor->signals, .events = POLLIN};

	while (supervisor->state != SUPERVISOR_ENDED) {
		check_children(supervisor, clock_now());
		if (poll(&signals, 1, TICK_MS) > 0)
			handle_signal(supervisor);
	}
}

/* --- beginning and end --------------------------------------------------- */

/* Signals arrive through a descriptor; SIGPIPE as an error of write(). */
static int
open_signals(struct supervisor *supervisor)
{
	static const int numbers[] = {
	    SIGCHLD, SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	supervisor->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return supervisor->signals < 0 ? -errno : 0;
}

static int
open_counters(struct supervisor *supervisor, const struct registry *registry)
{
	struct counters *counters = &supervisor->counters;
	struct scoreboard_entry *state;
	const char *path = supervisor->options->metrics_file;
	int error;

	counters_guard_exit_on_truncation();
	error = counters_open(counters, path, registry,
	    supervisor->master_config.nonblocking_count +
		supervisor->master_config.blocking_count);
	if (!error)
		error = counters_guard_install(counters, path);
	if (error)
		return error;
	request_metrics_declare(counters);
	busy_time_open(counters);
	log_count_dropped(
	    &counters_values(counters, SLOT_MASTER)[REGISTRY_LOG_DROPPED]);
	state = scoreboard_entry(&counters->scoreboard, SLOT_MASTER);
	state->supervisor_pid = getpid();
	state->started = clock_boot();
	counters_add(
	    counters_values(counters, SLOT_MASTER), REGISTRY_STARTS, 1);
	return 0;
}

static int
open_sockets(struct supervisor *supervisor)
{
	const struct options *options = supervisor->options;
	struct scoreboard_entry *entry =
	    scoreboard_entry(&supervisor->counters.scoreboard, SLOT_MASTER);
	int error = sockets_open(&supervisor->sockets, options);

	if (error)
		return error;
	entry->listen_inode =
	    listener_inode(supervisor->sockets.nonblocking.fd);
	entry->blocking_inode = listener_inode(supervisor->sockets.blocking.fd);
	return gateway_log_open(&supervisor->gateway_log,
	    options->metrics_socket, &supervisor->counters);
}

static int
open_all(struct supervisor *supervisor, const struct registry *registry)
{
	struct master_config *config = &supervisor->master_config;
	int error = open_signals(supervisor);
	int orders[2];

	if (!error)
		error = open_counters(supervisor, registry);
	if (!error)
		error = open_sockets(supervisor);
	if (!error && pipe2(orders, O_CLOEXEC | O_NONBLOCK) < 0)
		error = -errno;
	if (error)
		return error;
	supervisor->service = (struct service){
	    .options = supervisor->options,
	    .counters = &supervisor->counters,
	    .load_request_fd = orders[1],
	    .gateway_log = &supervisor->gateway_log,
	    .backlog_fd = listen_backlog_open(),
	};
	config->service = &supervisor->service;
	config->sockets = &supervisor->sockets;
	config->load_orders = orders[0];
	return 0;
}

static void
close_all(struct supervisor *supervisor)
{
	upgrade_cancel(&supervisor->upgrade);
	child_stop(&supervisor->master, SIGINT);
	orphans_reap(&supervisor->counters, supervisor->metrics.pid);
	child_stop(&supervisor->metrics, SIGINT);
	sockets_unlink_all(&supervisor->sockets);
	counters_guard_finish(&supervisor->counters);
	counters_close(&supervisor->counters);
}

int
supervisor_run(const struct options *options, const struct registry *registry,
    char *const argv[])
{
	static struct supervisor supervisor;

	supervisor.options = options;
	supervisor.counters.fd = -1;
	supervisor.master_config.nonblocking_count =
	    pool_nonblocking_count(options);
	supervisor.master_config.blocking_count = pool_blocking_count(options);
	supervisor.master =
	    (struct child){.role = "master", .slot = SLOT_MASTER};
	supervisor.metrics =
	    (struct child){.role = "metrics process", .slot = SLOT_METRICS};
	upgrade_init(&supervisor.upgrade, argv);
	router_open(options->exercise);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* So that workers whose master died are ours to reap. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (open_all(&supervisor, registry) < 0) {
		sockets_unlink_all(&supervisor.sockets);
		return 1;
	}
	child_schedule(&supervisor.metrics, false);
	child_schedule(&supervisor.master, false);
	run(&supervisor);
	close_all(&supervisor);
	log_text(
	    LOG_INFO, supervisor.exit_status ? "ended in failure" : "ended");
	return supervisor.exit_status;
}
