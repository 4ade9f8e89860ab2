#ifndef BUSY_POOL_H
#define BUSY_POOL_H

/*
 * A counter file for tests of busy time, with a worker of each kind.
 */

#include "support.h"

#include "http/request_metrics.h"
#include "metrics/busy_time.h"
#include "metrics/registry.h"

enum { NONBLOCKING_SLOT = SLOT_WORKER, BLOCKING_SLOT, SLOTS };

static struct registry *registry;
static struct counters counters;
static struct scoreboard_entry *entry; /* of the nonblocking worker */
static _Atomic uint64_t *place;

static inline void
open_pool(void)
{
	assert_int_equal(counters_open(&counters, support_path("counters"),
			     registry, SLOTS - SLOT_WORKER),
	    0);
	entry = scoreboard_entry(&counters.scoreboard, NONBLOCKING_SLOT);
	scoreboard_entry(&counters.scoreboard, BLOCKING_SLOT)->kind =
	    SCOREBOARD_BLOCKING;
	place = busy_time_place(&counters, NONBLOCKING_SLOT);
}

static inline int
set_up(void **state)
{
	if (support_open_folder(state) < 0)
		return -1;
	registry = request_metrics_registry();
	if (!registry)
		return -1;
	open_pool();
	return 0;
}

static inline int
tear_down(void **state)
{
	counters_close(&counters);
	registry_free(registry);
	return support_close_folder(state);
}

static inline int64_t
seconds(int64_t count)
{
	return count * CLOCK_NS_PER_SECOND;
}

/* The time of nonblocking workers, as a living pool has it. */
static inline uint64_t
busy_now(void)
{
	return busy_time_read(&counters, SCOREBOARD_NONBLOCKING, true);
}

static inline uint64_t
counted(void)
{
	return counters_sum(&counters, REGISTRY_BUSY_NONBLOCKING);
}

#endif
