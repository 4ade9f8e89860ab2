#ifndef ORPHANS_H
#define ORPHANS_H

#include <sys/types.h>

#include "metrics/counters.h"

/*
 * Wait for the workers of a master that is dead: they die with it, and the next
 * ones take their slots. Each is counted as crashed, and the gauges of its
 * application are forgotten. The workers can write their pids in the
 * scoreboard, so nobody is killed by such a pid, and `spared`, another child,
 * is not waited for.
 */
void orphans_reap(const struct counters *counters, pid_t spared);

#endif
