#ifndef RATES_H
#define RATES_H

/*
 * The rates that /live reports: how fast counters and CPU time grew over the
 * last second. The master writes them into its entry of the scoreboard.
 */

#include <stdbool.h>
#include <stdint.h>

#include "metrics/collectors/cgroup.h"
#include "metrics/counters.h"

/* The last reading. All zeros: there was none. */
struct rates {
	int64_t read_at; /* CLOCK_MONOTONIC ns */
	uint64_t requests;
	bool was_lower; /* than before: counts were lost, and may come back */
	struct cgroup cgroup;
};

/* Where there was no reading yet, or one failed, a rate is -1. */
void rates_reset(struct scoreboard_entry *entry);

/* Read again, when a second has passed since the last reading. */
void rates_tick(
    struct rates *rates, const struct counters *counters, int64_t now);

#endif
