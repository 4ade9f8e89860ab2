#ifndef METRICS_STORE_MIGRATION_H
#define METRICS_STORE_MIGRATION_H

#include "metrics/shm.h"

/*
 * Add the sums of a file that another version wrote to the master's slot of a
 * new one, by name and labels. Returns how many series found no place, or
 * -ENOMEM.
 */
long store_migration_carry_over(struct store *new, const struct store *old);

#endif
