/*
 * The loop of a nonblocking worker: its start, its events and its timers.
 */
#include "worker/nonblocking_worker.h"

#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/counters.h"
#include "worker/nonblocking.h"

enum {
	CONNECTIONS_MAX = 1024,
	CONNECTIONS_MIN = 64,
	FDS_RESERVED = 64, /* of RLIMIT_NOFILE, for all but connections */
	RETRY_MS = 20,     /* between tries to begin a drain */
};

/* --- events -------------------------------------------------------------- */

static void
handle_listen(void *context, struct event_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	accept_one(context);
}

static void
handle_channel(void *context, struct event_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	accept_passed(context);
}

static void
handle_signal(void *context, struct event_source *source, uint32_t events)
{
	struct nonblocking_worker *self = context;

	(void)source;
	(void)events;
	worker_read_signal(&self->worker);
	/* The socket has no name any more: accept what waits in its backlog. */
	if (worker_pool_is_draining(&self->worker))
		while (accept_one(self))
			;
}

/* --- the loop ------------------------------------------------------------ */

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When the next timer is due, CLOCK_MONOTONIC ns; INT64_MAX: never. */
static int64_t
next_due(const struct nonblocking_worker *self)
{
	const struct conns *conns = &self->conns;
	const struct conn *partial = conns_first(conns, CONN_PARTIAL);
	const struct conn *delayed = conns_first(conns, CONN_DELAYED);
	int64_t due = INT64_MAX;

	if (partial)
		due = earlier(due, partial->due);
	if (delayed)
		due = earlier(due, delayed->due);
	if (self->listen_at)
		due = earlier(due, self->listen_at);
	if (self->worker.config->each_second)
		due = earlier(due, self->second_at);
	if (self->worker.life.state == LIFE_DRAINING)
		due = earlier(due, drain_due(self));
	return due;
}

/* The same as a time-out for epoll_wait(), rounded up. */
static int
next_timeout(const struct nonblocking_worker *self)
{
	int64_t due = next_due(self);
	int64_t now;

	if (self->worker.life.state == LIFE_LEAVING)
		return RETRY_MS;
	if (due == INT64_MAX)
		return -1;
	now = clock_now();
	return due <= now
		   ? 0
		   : (int)((due - now + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS);
}

static void
run_timers(struct nonblocking_worker *self)
{
	const struct worker_config *config = self->worker.config;
	struct conn *conn;
	int64_t now;

	if (next_due(self) == INT64_MAX)
		return;
	now = clock_now();
	if (config->each_second && self->second_at <= now) {
		self->second_at = now + CLOCK_NS_PER_SECOND;
		config->each_second(config->context);
	}
	while ((conn = conns_first(&self->conns, CONN_DELAYED)) &&
	       conn->due <= now)
		serve_resume(self, conn);
	while ((conn = conns_first(&self->conns, CONN_PARTIAL)) &&
	       conn->due <= now)
		serve_drop(self, conn);
	if (self->listen_at && self->listen_at <= now)
		accept_start(self);
}

/* Move on in the worker's life. Returns whether it goes on. */
static bool
goes_on(struct nonblocking_worker *self)
{
	worker_check_max_requests(&self->worker);
	if (self->worker.life.state == LIFE_LEAVING)
		drain_begin(self);
	if (self->worker.life.state == LIFE_DRAINING)
		drain_step(self);
	return self->worker.life.state != LIFE_ENDED;
}

static int
run(struct nonblocking_worker *self)
{
	while (goes_on(self)) {
		/* Where nginx waits for this CPU, it goes first and has more
		 * to ask: a tenth of all CPU time at 64 connections. */
		sched_yield();
		if (events_wait(&self->events, next_timeout(self)) < 0)
			return WORKER_FAILED;
		run_timers(self);
	}
	return self->worker.life.exit_code;
}

/* --- beginning ----------------------------------------------------------- */

static size_t
connections_allowed(const struct worker_config *config)
{
	const rlim_t reserved = FDS_RESERVED + config->worker_count;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur > CONNECTIONS_MAX + reserved)
		return CONNECTIONS_MAX;
	return limit.rlim_cur > reserved + CONNECTIONS_MIN
		   ? (size_t)(limit.rlim_cur - reserved)
		   : CONNECTIONS_MIN;
}

static int
open_channel(struct nonblocking_worker *self)
{
	const struct worker_config *config = self->worker.config;

	if (config->worker_count == 0)
		return 0;
	self->channel = &config->channels[config->slot - SLOT_WORKER];
	return events_add(
	    &self->events, self->channel->in, EPOLLIN, &self->channel_source);
}

static int
open_all(struct nonblocking_worker *self, const struct worker_config *config)
{
	size_t max = connections_allowed(config);
	int error = worker_open(&self->worker, config, (unsigned)max);

	/*
	 * A worker that wakes up does not take the CPU from nginx before nginx
	 * has passed on all that it has: fewer switches, more requests each.
	 */
	if (config->slot >= SLOT_WORKER)
		sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
	self->affinity = (struct affinity){
	    .scoreboard = &config->service->counters->scoreboard,
	    .slot = config->slot,
	    .worker_count = config->worker_count,
	    .connections_max = max / 2,
	};
	self->listen_source =
	    (struct event_source){.handle = handle_listen, .is_last = true};
	self->signal_source =
	    (struct event_source){.handle = handle_signal, .is_last = true};
	self->channel_source =
	    (struct event_source){.handle = handle_channel, .is_last = true};
	if (!error)
		error = conns_open(&self->conns, max);
	if (!error)
		error = events_open(&self->events, self);
	if (!error)
		error = events_add(&self->events, self->worker.signal_fd,
		    EPOLLIN, &self->signal_source);
	return error ? error : open_channel(self);
}

int
nonblocking_worker_run(const struct worker_config *config)
{
	static struct nonblocking_worker self;
	int error = open_all(&self, config);

	if (error) {
		log_text(
		    LOG_ERROR, "worker cannot start: %s", strerror(-error));
		return WORKER_FAILED;
	}
	accept_start(&self);
	worker_enter_sandbox(&self.worker);
	return run(&self);
}
