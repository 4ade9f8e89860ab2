#ifndef METRICS_COUNTERS_PLACE_H
#define METRICS_COUNTERS_PLACE_H

#include <sys/types.h>

#include "metrics/counters.h"

/*
 * Whether the counter file that the pool has open is still at its path. For
 * counters_guard.c. One path a process.
 */

struct counters_identity {
	dev_t device;
	ino_t inode;
};

enum counters_where { COUNTERS_AT_PATH, COUNTERS_DELETED, COUNTERS_REPLACED };

/* What the next master has to know if this one dies: in shared memory. */
struct counters_place {
	enum counters_where where;
	struct counters_identity own;
	struct counters_identity
	    saved;      /* the copy at the path, where deleted */
	int save_error; /* of the last copy, to say it once */
};

/*
 * Begin to watch the path of the open file fd. The path is kept, not copied.
 * Returns 0 or a negative errno.
 */
int counters_place_open(struct counters_place *place, const char *path, int fd);

/*
 * Look at the path: count and log a change. Where the file was deleted, save
 * this copy of its bytes at the path.
 */
void counters_place_check(struct counters_place *place,
    struct counters *counters, const struct counters *copy);

/* Give up the lock of the copy, so that another pool can open it. */
void counters_place_close(void);

#endif
