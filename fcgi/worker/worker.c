/*
 * One worker: an epoll loop over every connection that nginx keeps to it.
 *
 * A connection that has a whole request is served at once, one after another;
 * handlers do not block. A response that is due later (response_delay) parks
 * its connection on a list of timers. A connection with half a request waits in
 * edge-triggered mode, so that it costs nothing until more comes, and is closed
 * when nothing does. One that belongs to another worker is given to it
 * (affinity.h).
 */
#include "worker/worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "http/cgi.h"
#include "base/clock.h"
#include "fastcgi/connection.h"
#include "http/request_metrics.h"
#include "worker/channel.h"
#include "base/log.h"
#include "metrics/counters.h"
#include "options.h"
#include "worker/affinity.h"
#include "http/router.h"
#include "worker/sandbox.h"

enum {
	CONNECTIONS_MAX = 1024,
	CONNECTIONS_MIN = 64,
	FDS_RESERVED = 64, /* of RLIMIT_NOFILE, for all but connections */
	EVENTS = 64,
	RETRY_MS = 20, /* between tries to begin a drain */
	PAUSE_MS = 1,  /* in accepting, where there is room for no more */
};

/* How long half a request may stay half. */
static const int64_t PARTIAL_NS = 5000000000;

/* How long a draining worker still answers on its idle connections. */
static const int64_t LINGER_NS = 100000000;

enum stage { FREE, IDLE, PARTIAL, PARKED };

struct peer {
	struct connection connection;
	enum stage stage;
	int64_t due; /* PARKED, PARTIAL: when to act; IDLE: since when */
	TAILQ_ENTRY(peer) entry;

	/* the request under way, for a parked one beyond serve() */
	struct response response;
	struct request_sample count;
	int64_t started;
	bool is_head;

	pid_t nginx;       /* the process whose connection it is; 0: unknown */
	unsigned answered; /* requests; counts on where it was given */
};

TAILQ_HEAD(peers, peer);

struct worker {
	const struct worker_config *config;
	struct scoreboard_entry *state;
	int epoll;
	int signals;
	const struct channel *channel; /* what others give */
	bool is_listening;
	int64_t listen_again;   /* when to; 0: not waiting */
	int64_t each_second;    /* when to call it next */
	int64_t asked_to_leave; /* 0: not */
	int64_t drain_started;  /* 0: not draining */
	bool is_leaving;        /* at once */
	int exit_code;
	int64_t served;
	struct affinity affinity;
	struct peer *volatile current;   /* whose request is under way */
	volatile sig_atomic_t has_given; /* connections away meanwhile */
	size_t peer_count;
	size_t peer_max;
	size_t peer_used; /* of all; the others' memory was never touched */
	struct peer *all;
	struct peers free;
	struct peers idle;    /* the longest idle first */
	struct peers partial; /* the next due first, as in the next */
	struct peers parked;
};

static void
watch(const struct worker *worker, int operation, struct peer *peer,
    uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = peer};

	epoll_ctl(worker->epoll, operation, peer->connection.fd, &event);
}

/* Whether the whole pool leaves, and not only this worker. */
static bool
pool_is_draining(const struct worker *worker)
{
	const struct counters *counters = worker->config->service->counters;

	return scoreboard_entry(&counters->scoreboard, SLOT_MASTER)->draining !=
	       0;
}

/* --- the life of a peer ------------------------------------------------ */

static struct peers *
list_of(struct worker *worker, enum stage stage)
{
	switch (stage) {
	case IDLE:
		return &worker->idle;
	case PARTIAL:
		return &worker->partial;
	case PARKED:
		return &worker->parked;
	case FREE:
		break;
	}
	return &worker->free;
}

/* Move a peer to a stage's list, which is sorted by due. */
static void
move(struct worker *worker, struct peer *peer, enum stage stage, int64_t due)
{
	struct peers *list = list_of(worker, stage);
	struct peer *before;

	TAILQ_REMOVE(list_of(worker, peer->stage), peer, entry);
	peer->stage = stage;
	peer->due = due;
	before = TAILQ_LAST(list, peers);
	while (before && before->due > due)
		before = TAILQ_PREV(before, peers, entry);
	if (before)
		TAILQ_INSERT_AFTER(list, before, peer, entry);
	else
		TAILQ_INSERT_HEAD(list, peer, entry);
}

/*
 * Close a peer's connection. It may be open in another worker too, which gave
 * it to this one and has not come to closing it: it would stay in epoll then.
 */
static void
drop(struct worker *worker, struct peer *peer)
{
	watch(worker, EPOLL_CTL_DEL, peer, 0);
	connection_close(&peer->connection);
	response_release(&peer->response);
	move(worker, peer, FREE, 0);
	worker->peer_count--;
	atomic_store_explicit(&worker->state->connections,
	    (int64_t)worker->peer_count, memory_order_relaxed);
}

/* Give a connection on which nothing is under way to whom is to have it. */
static void
settle(struct worker *worker, struct peer *peer)
{
	const struct worker_config *config = worker->config;
	unsigned home;

	if (worker->asked_to_leave || pool_is_draining(worker))
		return;
	home = affinity_find(&worker->affinity, peer->nginx);
	if (home == config->slot ||
	    channel_send(
		&config->channels[home - SLOT_WORKER], peer->connection.fd) < 0)
		return;
	drop(worker, peer);
}

/* --- serving ----------------------------------------------------------- */

/*
 * A request is under way: tell the master, so that it can say what ran when it
 * has to kill us. Until conclude(), give_away() may come.
 */
static void
announce(struct worker *worker, struct peer *peer,
    const struct request *request, int64_t now)
{
	struct scoreboard_entry *state = worker->state;
	size_t length = strnlen(request->id, sizeof(state->request_id) - 1);

	memcpy(state->request_id, request->id, length);
	state->request_id[length] = '\0';
	length = strnlen(request->path, sizeof(state->path) - 1);
	memcpy(state->path, request->path, length);
	state->path[length] = '\0';
	atomic_store_explicit(
	    &state->request_started, now, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	worker->current = peer;
	atomic_signal_fence(memory_order_seq_cst);
}

static void
conclude(struct worker *worker)
{
	atomic_signal_fence(memory_order_seq_cst);
	worker->current = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(
	    &worker->state->request_started, 0, memory_order_release);
}

/* Hand the response over, and only then count it. */
static void
finish(struct worker *worker, struct peer *peer)
{
	struct response *response = &peer->response;
	char head[CGI_HEAD_SIZE];
	size_t head_length =
	    cgi_format_head(response, peer->count.endpoint, head);
	int result;

	peer->count.body_bytes = peer->is_head ? 0 : response->body_length;
	result = connection_respond(&peer->connection, head, head_length,
	    response->body, peer->count.body_bytes);
	peer->count.status = response->status;
	peer->count.duration_ns = clock_now() - peer->started;
	if (response->delay_ns == 0)
		affinity_note(&worker->affinity, peer->count.duration_ns);
	response_release(response);
	conclude(worker);
	if (result >= 0) {
		request_metrics_add(worker->config->service->counters,
		    worker->config->slot, &peer->count);
		worker->served++;
		atomic_store_explicit(&worker->state->served, worker->served,
		    memory_order_relaxed);
	}
	if (result != 0)
		drop(worker, peer);
	else if (affinity_is_due(&worker->affinity, ++peer->answered))
		settle(worker, peer);
}

/* Keep the response until it is due; the worker goes on with others. */
static void
park(struct worker *worker, struct peer *peer, int64_t due)
{
	conclude(worker);
	move(worker, peer, PARKED, due);
	/* Where we stopped reading, that would look like the peer's end. */
	watch(worker, EPOLL_CTL_MOD, peer,
	    peer->connection.close_after ? 0 : EPOLLRDHUP);
}

static void
serve(struct worker *worker, struct peer *peer)
{
	struct request request;
	int64_t now = clock_now();

	cgi_parse(peer->connection.fcgi.envp, &request);
	request.service = worker->config->service;
	if (peer->connection.body) {
		request.body = peer->connection.body;
		request.body_length = peer->connection.body_length;
	}
	peer->started = now;
	peer->is_head = request.method == METHOD_HEAD;
	peer->nginx = request.nginx_pid;
	peer->count.method = request.method;
	peer->count.queue_ns = -1;
	if (request.received_ns) {
		int64_t waited = clock_wall() - request.received_ns;

		peer->count.queue_ns = waited > 0 ? waited : 0;
	}
	announce(worker, peer, &request, now);
	response_init(&peer->response);
	peer->count.endpoint =
	    worker->config->dispatch(&request, &peer->response);
	if (peer->response.delay_ns > 0)
		park(worker, peer, now + peer->response.delay_ns);
	else
		finish(worker, peer);
}

/* Something came on a connection, or may have. */
static void
receive(struct worker *worker, struct peer *peer)
{
	int64_t now;

	switch (connection_read(&peer->connection)) {
	case CONNECTION_ENDED:
		drop(worker, peer);
		return;
	case CONNECTION_WAITING:
		if (peer->stage == PARTIAL && !peer->connection.partial) {
			watch(worker, EPOLL_CTL_MOD, peer, EPOLLIN);
			move(worker, peer, IDLE, clock_now());
		}
		return;
	case CONNECTION_PARTIAL:
		if (peer->stage == PARTIAL)
			return;
		move(worker, peer, PARTIAL, clock_now() + PARTIAL_NS);
		watch(worker, EPOLL_CTL_MOD, peer, EPOLLIN | EPOLLET);
		return;
	case CONNECTION_REQUEST:
		break;
	}
	if (peer->stage == PARTIAL)
		watch(worker, EPOLL_CTL_MOD, peer, EPOLLIN);
	now = clock_now();
	move(worker, peer, IDLE, now);
	serve(worker, peer);
}

/* A response is due: to be handed over, and the connection kept. */
static void
resume(struct worker *worker, struct peer *peer)
{
	struct request request;
	int64_t now = clock_now();

	watch(worker, EPOLL_CTL_MOD, peer, EPOLLIN);
	move(worker, peer, IDLE, now);
	cgi_parse(peer->connection.fcgi.envp, &request);
	announce(worker, peer, &request, now);
	finish(worker, peer);
}

/* Hand an idle connection back without a reset: answer what is on it. */
static void
hand_back(struct worker *worker, struct peer *peer)
{
	connection_stop_reading(&peer->connection);
	receive(worker, peer);
	if (peer->stage == IDLE || peer->stage == PARTIAL)
		drop(worker, peer);
}

/* --- accepting --------------------------------------------------------- */

static void
listen_again(struct worker *worker)
{
	struct epoll_event event = {
	    .events = EPOLLIN, .data.ptr = &worker->is_listening};

	worker->listen_again = 0;
	if (!worker->is_listening && !worker->drain_started &&
	    epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->config->listen_fd,
		&event) == 0)
		worker->is_listening = true;
}

static void
stop_listening(struct worker *worker)
{
	if (worker->is_listening)
		epoll_ctl(worker->epoll, EPOLL_CTL_DEL,
		    worker->config->listen_fd, NULL);
	worker->is_listening = false;
}

static void
pause_listening(struct worker *worker)
{
	stop_listening(worker);
	worker->listen_again = clock_now() + PAUSE_MS * CLOCK_NS_PER_MS;
}

/* A peer for the next connection, or NULL where all are in use. */
static struct peer *
free_peer(struct worker *worker)
{
	if (TAILQ_EMPTY(&worker->free) &&
	    worker->peer_used < worker->peer_max) {
		struct peer *peer = &worker->all[worker->peer_used++];

		peer->connection.fd = -1;
		TAILQ_INSERT_TAIL(&worker->free, peer, entry);
	}
	return TAILQ_FIRST(&worker->free);
}

/*
 * The same, where the one idle for longest makes room: nginx comes again. NULL
 * where all are at something.
 */
static struct peer *
make_room(struct worker *worker)
{
	struct peer *peer;

	while (!(peer = free_peer(worker))) {
		peer = TAILQ_FIRST(&worker->idle);
		if (!peer)
			peer = TAILQ_FIRST(&worker->partial);
		if (!peer)
			break;
		hand_back(worker, peer);
	}
	return peer;
}

/* Serve a connection that was accepted, or that another worker gave. */
static void
add_peer(struct worker *worker, struct peer *peer, int fd, unsigned answered)
{
	if (connection_open(&peer->connection, fd) < 0)
		return;
	response_init(&peer->response);
	peer->answered = answered;
	move(worker, peer, IDLE, clock_now());
	worker->peer_count++;
	atomic_store_explicit(&worker->state->connections,
	    (int64_t)worker->peer_count, memory_order_relaxed);
	watch(worker, EPOLL_CTL_ADD, peer, EPOLLIN);
	/* nginx sends at once, so it is mostly here already. */
	receive(worker, peer);
}

/* Accept one connection. Returns whether to try for another. */
static bool
accept_peer(struct worker *worker)
{
	struct peer *peer = make_room(worker);
	int fd;

	if (!peer) {
		pause_listening(worker);
		return false;
	}
	fd = accept4(worker->config->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EAGAIN) /* no descriptors, or no memory */
			pause_listening(worker);
		return false;
	}
	add_peer(worker, peer, fd, 0);
	return true;
}

/* Take what other workers gave; what is more than that waits for the next turn.
 */
static void
take_over(struct worker *worker)
{
	for (int taken = 0; worker->channel && taken < EVENTS; taken++) {
		int fd = channel_receive(worker->channel);
		struct peer *peer;

		if (fd < 0)
			return;
		peer = make_room(worker);
		if (peer)
			add_peer(worker, peer, fd, AFFINITY_FIRST);
		else
			close(fd); /* nginx comes again */
	}
}

/* --- being stuck -------------------------------------------------------- */

static struct worker *of_process; /* for give_away(), which is told nothing */

/* Give the idle connections to others. Returns whether none is left. */
static bool
give_idle(struct worker *worker)
{
	const struct worker_config *config = worker->config;
	struct peer *peer;

	TAILQ_FOREACH(peer, &worker->idle, entry)
	{
		unsigned slot = affinity_find_other(&worker->affinity);

		if (peer == worker->current || peer->connection.fd < 0)
			continue;
		if (slot == config->slot ||
		    channel_send(&config->channels[slot - SLOT_WORKER],
			peer->connection.fd) < 0)
			return false;
		watch(worker, EPOLL_CTL_DEL, peer, 0);
		close(peer->connection.fd);
		peer->connection.fd = -1;
		worker->state->connections--;
		worker->has_given = true;
	}
	return true;
}

/* Pass on what others gave. Returns whether none is left. */
static bool
give_given(struct worker *worker)
{
	const struct worker_config *config = worker->config;
	unsigned slot;
	int fd;

	while (
	    (slot = affinity_find_other(&worker->affinity)) != config->slot) {
		fd = channel_receive(worker->channel);
		if (fd < 0)
			return true;
		/* Where it cannot be sent, nginx comes again. */
		channel_send(&config->channels[slot - SLOT_WORKER], fd);
		close(fd);
	}
	return false;
}

/*
 * The master's SIGUSR2: a request has been under way for long. Give others the
 * connections on which none is, for something may be in them. It may come
 * anywhere in an endpoint, so make system calls and nothing else; what the
 * connections leave behind is for forget_given().
 */
static void
give_away(int signal)
{
	struct worker *worker = of_process;
	int error = errno;

	(void)signal;
	if (worker->current && give_idle(worker) && give_given(worker))
		worker->state->relieved = worker->state->request_started;
	errno = error;
}

static void
forget_given(struct worker *worker)
{
	struct peer *peer = TAILQ_FIRST(&worker->idle);

	worker->has_given = false;
	while (peer) {
		struct peer *next = TAILQ_NEXT(peer, entry);

		if (peer->connection.fd < 0)
			drop(worker, peer);
		peer = next;
	}
}

static void
install_give_away(struct worker *worker)
{
	const struct sigaction action = {
	    .sa_handler = give_away, .sa_flags = SA_RESTART};
	sigset_t set;

	of_process = worker;
	sigaction(SIGUSR2, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* --- leaving ----------------------------------------------------------- */

/*
 * Whether this worker may stop accepting. Only one worker at a time may, and
 * another one must be accepting. The master clears `leaver` when that worker
 * has exited.
 */
static bool
others_accept(const struct worker *worker)
{
	const struct counters *counters = worker->config->service->counters;
	_Atomic int64_t *leaver =
	    &scoreboard_entry(&counters->scoreboard, SLOT_MASTER)->leaver;
	int64_t nobody = 0;

	if (!atomic_compare_exchange_strong(leaver, &nobody, getpid()) &&
	    nobody != getpid())
		return false;

	for (unsigned slot = SLOT_WORKER; slot < counters->slot_count; slot++) {
		const struct scoreboard_entry *state =
		    scoreboard_entry(&counters->scoreboard, slot);

		if (state != worker->state && scoreboard_is_serving(state))
			return true;
	}
	return false;
}

/* The pool's socket has no name any more: take what is in its queue. */
static void
empty_queue(struct worker *worker)
{
	while (accept_peer(worker))
		;
}

static void
drain(struct worker *worker)
{
	worker->state->draining = 1;
	worker->drain_started = clock_now();
	stop_listening(worker);
}

/* Be asked to leave, by a signal or by having served enough. */
static void
leave(struct worker *worker, int exit_code)
{
	if (worker->asked_to_leave)
		return;
	worker->asked_to_leave = clock_now();
	worker->exit_code = exit_code;
}

/*
 * Begin to drain when that leaves nobody without an answer: parked requests may
 * keep this process for a minute, in which another worker has to accept.
 */
static void
drain_if_possible(struct worker *worker)
{
	const struct options *options = worker->config->service->options;
	int64_t patience = (int64_t)(options->drain_timeout * 1e9);

	if (pool_is_draining(worker) || TAILQ_EMPTY(&worker->parked) ||
	    others_accept(worker) ||
	    clock_now() > worker->asked_to_leave + patience)
		drain(worker);
}

/* True when nothing is left to do. */
static bool
drain_step(struct worker *worker, int64_t now)
{
	struct peer *peer;

	if (now < worker->drain_started + LINGER_NS)
		return false;
	take_over(worker);
	while ((peer = TAILQ_FIRST(&worker->idle)))
		hand_back(worker, peer);
	while ((peer = TAILQ_FIRST(&worker->partial)))
		hand_back(worker, peer);
	TAILQ_FOREACH(peer, &worker->parked, entry)
	peer->connection.close_after = true;
	return worker->peer_count == 0;
}

/* --- the loop ---------------------------------------------------------- */

static void
handle_signal(struct worker *worker)
{
	struct signalfd_siginfo signal;

	if (read(worker->signals, &signal, sizeof(signal)) != sizeof(signal))
		return;
	if (signal.ssi_signo == SIGINT)
		worker->is_leaving = true;
	leave(worker, WORKER_DRAINED);
	if (pool_is_draining(worker))
		empty_queue(worker);
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Milliseconds until something is due, -1 for never, rounded up. */
static int
next_timeout(const struct worker *worker)
{
	const struct peer *partial = TAILQ_FIRST(&worker->partial);
	const struct peer *parked = TAILQ_FIRST(&worker->parked);
	int64_t due = INT64_MAX;
	int64_t now;

	if (partial)
		due = earlier(due, partial->due);
	if (parked)
		due = earlier(due, parked->due);
	if (worker->listen_again)
		due = earlier(due, worker->listen_again);
	if (worker->config->each_second)
		due = earlier(due, worker->each_second);
	/* With nothing but parked requests left, those are what is due. */
	if (worker->drain_started &&
	    !(TAILQ_EMPTY(&worker->idle) && TAILQ_EMPTY(&worker->partial) &&
		!TAILQ_EMPTY(&worker->parked)))
		due = earlier(due, worker->drain_started + LINGER_NS);
	if (worker->asked_to_leave && !worker->drain_started)
		return RETRY_MS;
	if (due == INT64_MAX)
		return -1;
	now = clock_now();
	return due <= now
		   ? 0
		   : (int)((due - now + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS);
}

/* Do what is due. */
static void
run_timers(struct worker *worker)
{
	struct peer *peer;
	int64_t now;

	if (TAILQ_EMPTY(&worker->partial) && TAILQ_EMPTY(&worker->parked) &&
	    !worker->listen_again && !worker->config->each_second)
		return;
	now = clock_now();
	if (worker->config->each_second && worker->each_second <= now) {
		worker->each_second = now + CLOCK_NS_PER_SECOND;
		worker->config->each_second(worker->config->context);
	}
	while ((peer = TAILQ_FIRST(&worker->parked)) && peer->due <= now)
		resume(worker, peer);
	while ((peer = TAILQ_FIRST(&worker->partial)) && peer->due <= now)
		drop(worker, peer);
	if (worker->listen_again && worker->listen_again <= now)
		listen_again(worker);
}

/* An event that is no peer's names the member that it is for. */
static bool
is_of_peer(const struct worker *worker, const struct epoll_event *event)
{
	const void *of = event->data.ptr;

	return of != &worker->is_listening && of != &worker->signals &&
	       of != &worker->channel;
}

static void
handle_peer_event(struct worker *worker, const struct epoll_event *event)
{
	struct peer *peer = event->data.ptr;

	if (peer->stage != PARKED)
		receive(worker, peer);
	else if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		drop(worker, peer); /* nginx gave up on it */
}

static void
handle_other_event(struct worker *worker, const struct epoll_event *event)
{
	if (event->data.ptr == &worker->is_listening)
		accept_peer(worker);
	else if (event->data.ptr == &worker->signals)
		handle_signal(worker);
	else
		take_over(worker);
}

/*
 * First what came on connections: the rest may close some and open others in
 * their place, for which an event from before would be meant then.
 */
static void
handle_events(
    struct worker *worker, const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++)
		if (is_of_peer(worker, &events[i]))
			handle_peer_event(worker, &events[i]);
	for (int i = 0; i < count; i++)
		if (!is_of_peer(worker, &events[i]))
			handle_other_event(worker, &events[i]);
}

static bool
is_done(struct worker *worker)
{
	long max = worker->config->max_requests;

	if (max > 0 && worker->served >= max)
		leave(worker, WORKER_RECYCLED);
	if (worker->asked_to_leave && !worker->drain_started)
		drain_if_possible(worker);
	return worker->is_leaving ||
	       (worker->drain_started && drain_step(worker, clock_now()));
}

static int
run(struct worker *worker)
{
	struct epoll_event events[EVENTS];

	while (!is_done(worker)) {
		int count;

		/* Where nginx waits for this CPU, it goes first and has more
		 * to ask: a tenth of all CPU time at 64 connections. */
		sched_yield();
		count = epoll_wait(
		    worker->epoll, events, EVENTS, next_timeout(worker));
		if (count < 0 && errno != EINTR)
			return WORKER_FAILED;
		handle_events(worker, events, count);
		run_timers(worker);
		if (worker->has_given)
			forget_given(worker);
	}
	return worker->exit_code;
}

/* --- beginning --------------------------------------------------------- */

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
open_signals(struct worker *worker)
{
	struct epoll_event event = {
	    .events = EPOLLIN, .data.ptr = &worker->signals};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGINT);
	worker->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (worker->signals < 0)
		return -errno;
	return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->signals, &event);
}

static int
open_channel(struct worker *worker)
{
	const struct worker_config *config = worker->config;
	struct epoll_event event = {
	    .events = EPOLLIN, .data.ptr = &worker->channel};

	if (config->worker_count == 0)
		return 0;
	worker->channel = &config->channels[config->slot - SLOT_WORKER];
	install_give_away(worker);
	return epoll_ctl(
	    worker->epoll, EPOLL_CTL_ADD, worker->channel->in, &event);
}

/* What libraries do once, such as json-c's reading of a seed, is done here. */
static void
warm_up(void)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "seed", json_object_new_int(0));
	json_object_put(object);
}

int
worker_run(const struct worker_config *config)
{
	static struct worker worker;
	int error;

	/* To be woken is not to push nginx off its CPU before it has handed on
	 * what else it has: fewer switches, more requests for each. */
	if (config->slot >= SLOT_WORKER)
		sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
	worker.config = config;
	worker.state = scoreboard_entry(
	    &config->service->counters->scoreboard, config->slot);
	worker.peer_max = connections_allowed(config);
	worker.affinity = (struct affinity){
	    .counters = config->service->counters,
	    .slot = config->slot,
	    .worker_count = config->worker_count,
	    .connections_max = worker.peer_max / 2,
	};
	worker.all = calloc(worker.peer_max, sizeof(*worker.all));
	worker.epoll = epoll_create1(EPOLL_CLOEXEC);
	TAILQ_INIT(&worker.free);
	TAILQ_INIT(&worker.idle);
	TAILQ_INIT(&worker.partial);
	TAILQ_INIT(&worker.parked);
	if (!worker.all || worker.epoll < 0 ||
	    connection_init((unsigned)worker.peer_max) < 0 ||
	    open_signals(&worker) < 0 || open_channel(&worker) < 0) {
		log_text(LOG_ERROR, "worker cannot start: %s", strerror(errno));
		return WORKER_FAILED;
	}
	listen_again(&worker);
	warm_up();
	error = sandbox_enter(config->service->counters, config->writable_fd);
	if (error)
		log_text(LOG_WARNING, "serving without a seccomp filter: %s",
		    strerror(-error));
	return run(&worker);
}
