/*
 * Requests on the connections of a nonblocking worker. A connection that has a
 * whole request is served at once. A connection with half a request waits for
 * the rest, and is closed if that does not come in time.
 */
#include <sys/epoll.h>

#include "base/clock.h"
#include "worker/nonblocking.h"

/* How long half a request may stay half. */
static const int64_t PARTIAL_NS = 5000000000;

/* --- the connections ----------------------------------------------------- */

void
serve_publish_count(const struct nonblocking_worker *self)
{
	atomic_store_explicit(&self->worker.entry->connections,
	    (int64_t)self->conns.count, memory_order_relaxed);
}

void
serve_drop(struct nonblocking_worker *self, struct conn *conn)
{
	events_remove(&self->events, conn->connection.fd);
	connection_close(&conn->connection);
	response_release(&conn->exchange.response);
	conns_change(&self->conns, conn, CONN_FREE, 0);
	serve_publish_count(self);
}

static void
watch(const struct nonblocking_worker *self, struct conn *conn, uint32_t bits)
{
	events_change(&self->events, conn->connection.fd, bits, &conn->source);
}

/* Pass an idle connection to the worker that should own it. */
static void
rebalance(struct nonblocking_worker *self, struct conn *conn)
{
	const struct worker_config *config = self->worker.config;
	unsigned slot;

	if (self->worker.life.state != LIFE_SERVING ||
	    worker_pool_is_leaving(&self->worker))
		return;
	slot = affinity_find(&self->affinity, conn->exchange.nginx);
	if (slot != config->slot &&
	    channel_send(&config->channels[slot - SLOT_WORKER],
		conn->connection.fd) == 0)
		serve_drop(self, conn);
}

/* --- requests ------------------------------------------------------------ */

static void
end_exchange(struct nonblocking_worker *self, struct conn *conn)
{
	if (!exchange_end(&self->worker, &conn->connection, &conn->exchange))
		serve_drop(self, conn);
	else if (affinity_is_due(&self->affinity, ++conn->answered))
		rebalance(self, conn);
}

/* Keep the response until it is due. */
static void
delay(struct nonblocking_worker *self, struct conn *conn)
{
	const struct exchange *exchange = &conn->exchange;

	exchange_suspend(&self->worker);
	conns_change(&self->conns, conn, CONN_DELAYED,
	    exchange->started + exchange->response.delay_ns);
	/* Where we stopped reading, EPOLLRDHUP would come at once. */
	watch(self, conn, conn->connection.close_after ? 0 : EPOLLRDHUP);
}

static void
serve(struct nonblocking_worker *self, struct conn *conn)
{
	exchange_begin(
	    &self->worker, &conn->connection, &conn->exchange, INT64_MAX);
	if (conn->exchange.response.delay_ns > 0)
		delay(self, conn);
	else
		end_exchange(self, conn);
}

/* A delayed response is due. */
void
serve_resume(struct nonblocking_worker *self, struct conn *conn)
{
	watch(self, conn, EPOLLIN);
	conns_change(&self->conns, conn, CONN_IDLE, clock_now());
	exchange_resume(&self->worker, &conn->connection);
	end_exchange(self, conn);
}

static void
become_idle(struct nonblocking_worker *self, struct conn *conn)
{
	conns_change(&self->conns, conn, CONN_IDLE, clock_now());
}

/* Something came on a connection, or may have. */
void
serve_receive(struct nonblocking_worker *self, struct conn *conn)
{
	switch (connection_read(&conn->connection)) {
	case CONNECTION_ENDED:
		serve_drop(self, conn);
		break;
	case CONNECTION_WAITING:
		if (conn->state == CONN_PARTIAL)
			become_idle(self, conn);
		break;
	case CONNECTION_PARTIAL:
		if (conn->state != CONN_PARTIAL)
			conns_change(&self->conns, conn, CONN_PARTIAL,
			    clock_now() + PARTIAL_NS);
		break;
	case CONNECTION_REQUEST:
		become_idle(self, conn);
		serve(self, conn);
		break;
	}
}

/* Answer what has come on a connection, and close it without a reset. */
void
serve_close_gently(struct nonblocking_worker *self, struct conn *conn)
{
	connection_stop_reading(&conn->connection);
	serve_receive(self, conn);
	if (conn->state == CONN_IDLE || conn->state == CONN_PARTIAL)
		serve_drop(self, conn);
}
