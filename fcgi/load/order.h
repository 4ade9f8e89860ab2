#ifndef ORDER_H
#define ORDER_H

/*
 * Orders for the load of /riseload: workers send them, the master carries them
 * out (master/load_manager.h). At most one load runs at a time.
 *
 * A ticket in the master's scoreboard entry says that a load was ordered. A
 * worker stores a new ticket, if there is none, and sends an order with this
 * ticket through a pipe. The master removes the ticket when the load with this
 * ticket has ended. A load that ends while another one is being ordered
 * therefore does not remove the other one's ticket.
 */

#include <stdint.h>

#include "load/load.h"
#include "scoreboard.h"

/* What a worker writes into the pipe, in one write. */
struct load_order {
	int64_t ticket;
	struct load load; /* seconds 0: end the load with this ticket */
};

/* The ticket of the load that was ordered; 0: none. */
int64_t load_order_ticket(const struct scoreboard *scoreboard);

/* Remove this ticket. Another load's ticket stays. */
void load_order_remove(const struct scoreboard *scoreboard, int64_t ticket);

/*
 * Order a load through the pipe. Returns 0; -EBUSY if a load was ordered
 * already; -EAGAIN if the order could not be sent.
 */
int load_order_start(
    const struct scoreboard *scoreboard, int pipe, const struct load *load);

/*
 * Order the end of the load. Returns 0; -ENOENT if no load was ordered; -EAGAIN
 * if the order could not be sent.
 */
int load_order_end(const struct scoreboard *scoreboard, int pipe);

#endif
