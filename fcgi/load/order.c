#include "load/order.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/clock.h"

static _Atomic int64_t *
ticket_of(const struct scoreboard *scoreboard)
{
	return &scoreboard_entry(scoreboard, SLOT_MASTER)->load_ticket;
}

/* Replace a ticket, unless another process was faster. */
static bool
replace_ticket(
    const struct scoreboard *scoreboard, int64_t before, int64_t after)
{
	return atomic_compare_exchange_strong(
	    ticket_of(scoreboard), &before, after);
}

int64_t
load_order_ticket(const struct scoreboard *scoreboard)
{
	return *ticket_of(scoreboard);
}

void
load_order_remove(const struct scoreboard *scoreboard, int64_t ticket)
{
	replace_ticket(scoreboard, ticket, 0);
}

static bool
send_order(int pipe, const struct load_order *order)
{
	return write(pipe, order, sizeof(*order)) == sizeof(*order);
}

int
load_order_start(
    const struct scoreboard *scoreboard, int pipe, const struct load *load)
{
	const struct load_order order = {clock_now(), *load};

	if (!replace_ticket(scoreboard, 0, order.ticket))
		return -EBUSY;
	if (send_order(pipe, &order))
		return 0;
	load_order_remove(scoreboard, order.ticket);
	return -EAGAIN;
}

int
load_order_end(const struct scoreboard *scoreboard, int pipe)
{
	const struct load_order order = {
	    .ticket = load_order_ticket(scoreboard)};

	/* Only the process that removes the ticket has ended the load. */
	if (order.ticket == 0 || !replace_ticket(scoreboard, order.ticket, 0))
		return -ENOENT;
	if (send_order(pipe, &order))
		return 0;
	replace_ticket(scoreboard, 0, order.ticket);
	return -EAGAIN;
}
