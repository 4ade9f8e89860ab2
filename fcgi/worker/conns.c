#include "worker/conns.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int
conns_open(struct conns *conns, size_t max)
{
	*conns = (struct conns){
	    .all = calloc(max, sizeof(*conns->all)),
	    .max = max,
	};
	for (int state = 0; state < CONN_STATES; state++)
		TAILQ_INIT(&conns->lists[state]);
	return conns->all ? 0 : -ENOMEM;
}

struct conn *
conns_find_free(struct conns *conns)
{
	struct conn_list *free_list = &conns->lists[CONN_FREE];

	if (TAILQ_EMPTY(free_list) && conns->used < conns->max) {
		struct conn *conn = &conns->all[conns->used++];

		conn->connection.fd = -1;
		TAILQ_INSERT_TAIL(free_list, conn, entry);
	}
	return TAILQ_FIRST(free_list);
}

struct conn *
conns_first(const struct conns *conns, enum conn_state state)
{
	return TAILQ_FIRST(&conns->lists[state]);
}

static bool
is_allowed(enum conn_state from, enum conn_state to)
{
	if (to == CONN_FREE)
		return from != CONN_FREE;
	/* A request that came whole makes a connection idle first. */
	return to == CONN_IDLE || from == CONN_IDLE;
}

void
conns_change(
    struct conns *conns, struct conn *conn, enum conn_state state, int64_t due)
{
	struct conn_list *list = &conns->lists[state];
	struct conn *before;

	assert(is_allowed(conn->state, state));
	conns->count += conn->state == CONN_FREE;
	conns->count -= state == CONN_FREE;
	TAILQ_REMOVE(&conns->lists[conn->state], conn, entry);
	conn->state = state;
	conn->due = due;
	before = TAILQ_LAST(list, conn_list);
	while (before && before->due > due)
		before = TAILQ_PREV(before, conn_list, entry);
	if (before)
		TAILQ_INSERT_AFTER(list, before, conn, entry);
	else
		TAILQ_INSERT_HEAD(list, conn, entry);
}
