#ifndef METRICS_COUNTERS_MIGRATION_H
#define METRICS_COUNTERS_MIGRATION_H

#include "metrics/counters.h"

/*
 * Add the sums of a file that another version wrote to the master's slot of a
 * new file, by name and labels. Returns how many series the new file does not
 * have, or -ENOMEM.
 */
long counters_migration_carry_over(
    struct counters *new, const struct counters *old);

#endif
