#include "worker/blocking_worker.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "options.h"
#include "worker/events.h"
#include "worker/exchange.h"

/* How long a connection may take to send its request. */
static const int64_t REQUEST_NS = 5000000000;

/*
 * A request may wait for half of --request-timeout, and for at least this: the
 * master may be replaced, and the workers after it.
 */
static const int64_t QUEUE_MIN_NS = 2000000000;

/* How long to serve without a look at signals. */
static const int64_t TURN_NS = 10000000;

/*
 * If a worker is off the CPU for this long, nginx can run. With handlers of
 * 0.1 ms it cannot: the other workers fill the CPUs.
 */
static const int64_t WAIT_NS = 500000;

/* Without accepting, where there are no descriptors or no memory. */
enum { PAUSE_MS = 10 };

/* How often an unready worker checks whether requests are its to answer. */
enum { UNREADY_STEP_MS = 20 };

struct blocking_worker {
	struct worker worker;
	struct events events;
	struct event_source listen_source;
	struct event_source signal_source;
	struct connection connection;
	struct exchange exchange;
	int64_t queue_max_ns; /* see exchange_begin() */
	bool was_busy; /* so the next connection has perhaps waited for it */
};

/* Wait until the request is here whole. Returns whether it is. */
static bool
receive(struct connection *connection)
{
	int64_t until = clock_now() + REQUEST_NS;
	enum connection_status status = connection_read(connection);

	while (status == CONNECTION_WAITING || status == CONNECTION_PARTIAL) {
		struct pollfd pollfd = {.fd = connection->fd, .events = POLLIN};
		int64_t left = until - clock_now();

		if (left <= 0)
			return false;
		poll(&pollfd, 1, (int)(left / CLOCK_NS_PER_MS) + 1);
		status = connection_read(connection);
	}
	return status == CONNECTION_REQUEST;
}

/* Whether nginx has closed the connection: its client left in the queue. */
static bool
is_abandoned(const struct connection *connection)
{
	struct pollfd pollfd = {.fd = connection->fd};

	return poll(&pollfd, 1, 0) > 0 && (pollfd.revents & POLLHUP);
}

static void
sleep_for(int64_t ns)
{
	struct timespec time = {
	    .tv_sec = ns / CLOCK_NS_PER_SECOND,
	    .tv_nsec = ns % CLOCK_NS_PER_SECOND,
	};

	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

static void
answer(struct blocking_worker *self)
{
	exchange_begin(&self->worker, &self->connection, &self->exchange,
	    self->queue_max_ns);
	if (self->exchange.response.delay_ns > 0)
		sleep_for(self->exchange.response.delay_ns);
	exchange_end(&self->worker, &self->connection, &self->exchange);
}

/* How long this worker was not on a CPU, in ns; only a difference counts. */
static int64_t
time_off_cpu(void)
{
	return clock_now() - clock_read(CLOCK_THREAD_CPUTIME_ID);
}

/* Serve one connection. Returns whether there may be another. */
static bool
accept_one(struct blocking_worker *self)
{
	struct worker *worker = &self->worker;
	struct connection *connection = &self->connection;
	int fd = accept4(worker->config->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	int64_t off_cpu;

	if (fd < 0) {
		if (errno != EAGAIN) /* no descriptors, or no memory */
			sleep_for(PAUSE_MS * CLOCK_NS_PER_MS);
		return false;
	}
	if (connection_open(connection, fd) < 0)
		return true;
	worker->entry->connections = 1;
	off_cpu = time_off_cpu();
	if (receive(connection) &&
	    !(self->was_busy && is_abandoned(connection)))
		answer(self);
	connection_close(connection);
	worker->entry->connections = 0;
	worker_check_max_requests(worker);
	/* nginx passes the response on before this worker takes more. On busy
	 * CPUs responses would otherwise wait while requests are served. */
	if (time_off_cpu() - off_cpu < WAIT_NS)
		sched_yield();
	return true;
}

static void
handle_listen(void *context, struct event_source *source, uint32_t events)
{
	struct blocking_worker *self = context;
	int64_t until = clock_now() + TURN_NS;
	bool has_more = accept_one(self);

	(void)source;
	(void)events;
	/* What waits is served at once; signals come after that. */
	while (has_more && self->worker.life.state == LIFE_SERVING &&
	       clock_now() < until) {
		self->was_busy = true;
		has_more = accept_one(self);
	}
	self->was_busy = has_more;
}

static void
handle_signal(void *context, struct event_source *source, uint32_t events)
{
	struct blocking_worker *self = context;

	(void)source;
	(void)events;
	worker_read_signal(&self->worker);
}

static int
run(struct blocking_worker *self)
{
	struct worker *worker = &self->worker;

	while (worker->life.state == LIFE_SERVING)
		if (events_wait(&self->events, -1) < 0)
			return WORKER_FAILED;
	worker->entry->draining = 1;
	/* The socket has no name any more: serve what waits in its backlog. */
	if (worker_pool_is_draining(worker))
		while (worker->life.state != LIFE_ENDED && accept_one(self))
			worker_read_signal(worker);
	return worker->life.exit_code;
}

static bool
others_serve(const struct worker *worker)
{
	return scoreboard_kind_is_served(
	    &worker->config->service->counters->scoreboard,
	    (enum scoreboard_kind)worker->entry->kind);
}

/*
 * Close the connections that others passed to this slot. A blocking worker
 * keeps no connection; nginx comes again by a new one.
 */
static void
close_passed(const struct worker_config *config)
{
	unsigned index = config->slot - SLOT_WORKER;
	int fd;

	/* Only nonblocking workers have a channel. */
	while (index < config->worker_count &&
	       (fd = channel_receive(&config->channels[index])) >= 0)
		close(fd);
}

/*
 * The listening socket is in no epoll here. It would wake this worker in the
 * place of one that can serve the request.
 */
static int
run_unready(struct blocking_worker *self)
{
	struct worker *worker = &self->worker;
	int64_t until = clock_now() + worker->config->retry_ns;

	while (worker->life.state == LIFE_SERVING && clock_now() < until) {
		close_passed(worker->config);
		while (clock_now() < until && !others_serve(worker) &&
		       accept_one(self))
			;
		sleep_for(UNREADY_STEP_MS * CLOCK_NS_PER_MS);
		worker_read_signal(worker);
	}
	if (worker->life.state == LIFE_SERVING)
		return WORKER_NOT_STARTED;
	while (worker_pool_is_draining(worker) &&
	       worker->life.state != LIFE_ENDED && accept_one(self))
		worker_read_signal(worker);
	return worker->life.exit_code;
}

static int
open_all(struct blocking_worker *self, const struct worker_config *config)
{
	double timeout = config->service->options->request_timeout;
	int error = worker_open(&self->worker, config, 1);

	self->connection.fd = -1;
	self->queue_max_ns = (int64_t)(timeout / 2 * 1e9);
	if (self->queue_max_ns < QUEUE_MIN_NS)
		self->queue_max_ns = QUEUE_MIN_NS;
	self->listen_source = (struct event_source){.handle = handle_listen};
	self->signal_source =
	    (struct event_source){.handle = handle_signal, .is_last = true};
	if (!error)
		error = events_open(&self->events, self);
	return error ? error
		     : events_add(&self->events, self->worker.signal_fd,
			   EPOLLIN, &self->signal_source);
}

static int
fail(int error)
{
	log_text(
	    LOG_ERROR, "blocking worker cannot start: %s", strerror(-error));
	return WORKER_FAILED;
}

int
blocking_worker_run(const struct worker_config *config)
{
	static struct blocking_worker self;
	int error = open_all(&self, config);

	/* Exclusive: a new connection wakes one of the free workers. */
	if (!error)
		error = events_add(&self.events, config->listen_fd,
		    EPOLLIN | EPOLLEXCLUSIVE, &self.listen_source);
	if (error)
		return fail(error);
	worker_enter_sandbox(&self.worker);
	return run(&self);
}

int
blocking_worker_run_unready(const struct worker_config *config)
{
	static struct blocking_worker self;
	int error = open_all(&self, config);

	if (error)
		return fail(error);
	worker_enter_sandbox(&self.worker);
	return run_unready(&self);
}
