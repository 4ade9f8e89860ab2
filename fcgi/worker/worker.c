#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "base/log.h"
#include "fastcgi/connection.h"
#include "http/cgi.h"
#include "metrics/busy_time.h"
#include "worker/sandbox.h"
#include "worker/stack_log.h"

static int
open_signals(struct worker *worker)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGINT);
	worker->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return worker->signal_fd < 0 ? -errno : 0;
}

int
worker_open(struct worker *worker, const struct worker_config *config,
    unsigned connections_max)
{
	const struct counters *counters = config->service->counters;
	int error;

	config->service->counters->own_slot = config->slot;
	worker->config = config;
	worker->entry = scoreboard_entry(&counters->scoreboard, config->slot);
	worker->busy_time = busy_time_place(counters, config->slot);
	log_request_id(worker->entry->request_id);
	error = connection_init(connections_max, cgi_body_max);
	return error ? error : open_signals(worker);
}

/* What libraries do once, such as json-c's reading of a seed, is done here. */
static void
warm_up(void)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "seed", json_object_new_int(0));
	json_object_put(object);
}

void
worker_enter_sandbox(const struct worker *worker)
{
	int error;

	warm_up();
	stack_log_open(worker->entry);
	error = sandbox_enter(worker->config);
	if (error)
		log_text(LOG_WARNING, "serving without a seccomp filter: %s",
		    strerror(-error));
}

void
worker_read_signal(struct worker *worker)
{
	struct signalfd_siginfo signal;

	if (read(worker->signal_fd, &signal, sizeof(signal)) != sizeof(signal))
		return;
	life_leave(&worker->life, WORKER_DRAINED, clock_now());
	if (signal.ssi_signo == SIGINT)
		life_end(&worker->life, clock_now());
}

void
worker_check_max_requests(struct worker *worker)
{
	long max = worker->config->max_requests;

	if (max > 0 && worker->served >= max)
		life_leave(&worker->life, WORKER_RECYCLED, clock_now());
}

static int
pool_drain_state(const struct worker *worker)
{
	const struct counters *counters = worker->config->service->counters;

	return scoreboard_entry(&counters->scoreboard, SLOT_MASTER)->draining;
}

bool
worker_pool_is_leaving(const struct worker *worker)
{
	return pool_drain_state(worker) != SCOREBOARD_STAYS;
}

bool
worker_pool_is_draining(const struct worker *worker)
{
	return pool_drain_state(worker) == SCOREBOARD_DRAINS;
}
