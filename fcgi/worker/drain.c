/*
 * How a nonblocking worker leaves.
 */
#include <unistd.h>

#include "base/clock.h"
#include "metrics/counters.h"
#include "options.h"
#include "worker/nonblocking.h"

/* How long a draining worker still answers on its idle connections. */
static const int64_t LINGER_NS = 100000000;

/*
 * Whether this worker may stop accepting. Only one worker at a time may, and
 * another one must be accepting. The master clears `leaver` when that worker
 * has exited.
 */
static bool
others_accept(const struct nonblocking_worker *self)
{
	const struct counters *counters =
	    self->worker.config->service->counters;
	const struct scoreboard *scoreboard = &counters->scoreboard;
	_Atomic int64_t *leaver =
	    &scoreboard_entry(scoreboard, SLOT_MASTER)->leaver;
	int64_t nobody = 0;

	if (!atomic_compare_exchange_strong(leaver, &nobody, getpid()) &&
	    nobody != getpid())
		return false;
	for (unsigned i = 0; i < self->worker.config->worker_count; i++) {
		const struct scoreboard_entry *entry =
		    scoreboard_entry(scoreboard, SLOT_WORKER + i);

		if (entry != self->worker.entry && scoreboard_is_serving(entry))
			return true;
	}
	return false;
}

/*
 * Begin to drain when that leaves nobody without an answer: delayed responses
 * may keep this process for a minute, in which another worker has to accept.
 */
void
drain_begin(struct nonblocking_worker *self)
{
	struct worker *worker = &self->worker;
	int64_t patience =
	    (int64_t)(worker->config->service->options->drain_timeout * 1e9);
	int64_t now = clock_now();

	if (!worker_pool_is_leaving(worker) &&
	    conns_first(&self->conns, CONN_DELAYED) && !others_accept(self) &&
	    now <= worker->life.since + patience)
		return;
	worker->entry->draining = 1;
	life_drain(&worker->life, now);
	accept_stop(self);
}

/*
 * Close what is idle, after a while; end when nothing is left. The rest of a
 * request, such as of a large body, has the time that it always has.
 */
void
drain_step(struct nonblocking_worker *self)
{
	struct life *life = &self->worker.life;
	struct conn *conn;

	if (clock_now() < life->since + LINGER_NS)
		return;
	accept_passed(self);
	while ((conn = conns_first(&self->conns, CONN_IDLE)))
		serve_close_gently(self, conn);
	TAILQ_FOREACH(conn, &self->conns.lists[CONN_DELAYED], entry)
	conn->connection.close_after = true;
	if (self->conns.count == 0)
		life_end(life, clock_now());
}

int64_t
drain_due(const struct nonblocking_worker *self)
{
	const struct conns *conns = &self->conns;

	/* Without idle connections, the timers of the others are due. */
	if (conns->count > 0 && !conns_first(conns, CONN_IDLE))
		return INT64_MAX;
	return self->worker.life.since + LINGER_NS;
}
