/*
 * New connections of a nonblocking worker: from the listening socket, and from
 * other workers.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/nonblocking.h"

enum {
	CHANNEL_BATCH = 64,
	PAUSE_MS = 1, /* without accepting: no connection or memory is free */
};

static void
handle_conn(void *context, struct event_source *source, uint32_t events)
{
	struct nonblocking_worker *self = context;
	struct conn *conn = (struct conn *)source;

	if (conn->state != CONN_DELAYED)
		serve_receive(self, conn);
	else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		serve_drop(self, conn); /* nginx gave up on it */
}

/* --- new connections ----------------------------------------------------- */

void
accept_stop(struct nonblocking_worker *self)
{
	if (self->is_listening)
		events_remove(&self->events, self->worker.config->listen_fd);
	self->is_listening = false;
}

static void
pause_listening(struct nonblocking_worker *self)
{
	accept_stop(self);
	self->listen_at = clock_now() + PAUSE_MS * CLOCK_NS_PER_MS;
}

void
accept_start(struct nonblocking_worker *self)
{
	self->listen_at = 0;
	if (self->is_listening || self->worker.life.state >= LIFE_DRAINING)
		return;
	if (events_add(&self->events, self->worker.config->listen_fd, EPOLLIN,
		&self->listen_source) == 0)
		self->is_listening = true;
	else
		pause_listening(self);
}

/*
 * A free connection. Where all are in use, the one that has been idle for
 * longest makes room: nginx comes again. NULL where all are busy.
 */
static struct conn *
make_room(struct nonblocking_worker *self)
{
	struct conn *conn;

	while (!(conn = conns_find_free(&self->conns))) {
		struct conn *idle = conns_first(&self->conns, CONN_IDLE);

		if (!idle)
			idle = conns_first(&self->conns, CONN_PARTIAL);
		if (!idle)
			break;
		serve_close_gently(self, idle);
	}
	return conn;
}

/* Serve a connection that was accepted, or that another worker passed. */
static void
add(struct nonblocking_worker *self, struct conn *conn, int fd,
    unsigned answered)
{
	if (connection_open(&conn->connection, fd) < 0)
		return;
	response_init(&conn->exchange.response);
	conn->source.handle = handle_conn;
	conn->answered = answered;
	conns_change(&self->conns, conn, CONN_IDLE, clock_now());
	serve_publish_count(self);
	if (events_add(&self->events, fd, EPOLLIN, &conn->source) < 0)
		serve_close_gently(self, conn); /* no memory: unwatched */
	else /* nginx sends at once, so the request is mostly here already. */
		serve_receive(self, conn);
}

/* Accept one connection. Returns whether there may be another. */
bool
accept_one(struct nonblocking_worker *self)
{
	struct conn *conn = make_room(self);
	int fd;

	if (!conn) {
		pause_listening(self);
		return false;
	}
	fd = accept4(self->worker.config->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EAGAIN) /* no descriptors, or no memory */
			pause_listening(self);
		return false;
	}
	add(self, conn, fd, 0);
	return true;
}

/* Take what other workers passed; the next turn takes what is left. */
void
accept_passed(struct nonblocking_worker *self)
{
	for (int i = 0; self->channel && i < CHANNEL_BATCH; i++) {
		int fd = channel_receive(self->channel);
		struct conn *conn;

		if (fd < 0)
			return;
		conn = make_room(self);
		if (conn)
			add(self, conn, fd, AFFINITY_FIRST);
		else
			close(fd); /* nginx comes again */
	}
}
