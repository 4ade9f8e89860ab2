#ifndef POOL_H
#define POOL_H

#include "metrics/store.h"
#include "options.h"

/*
 * Run the pool: bind the sockets, fork the workers and the observer, and watch
 * over them until TERM or QUIT (drain), or INT (now). HUP replaces the workers
 * one after another. Returns the exit status: 0 after an ordered end, 1 where
 * it could not start or gave up, logged.
 */
int pool_run(
    const struct options *options, const struct store_catalog *catalog);

#endif
