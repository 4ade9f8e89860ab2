#ifndef METRICS_COUNTERS_PLACE_H
#define METRICS_COUNTERS_PLACE_H

#include <sys/types.h>

#include "metrics/counters.h"
#include "metrics/registry.h"

/*
 * Whether the counter file that the pool has open is still at its path. Only
 * counters_guard.c needs this. One path per process.
 */

struct counters_identity {
	dev_t device;
	ino_t inode;
};

enum counters_where { COUNTERS_AT_PATH, COUNTERS_DELETED, COUNTERS_REPLACED };

/* In shared memory: the next master needs it if this one dies. */
struct counters_place {
	enum counters_where where;
	struct counters_identity own;
	struct counters_identity
	    saved;      /* the copy at the path, where deleted */
	int save_error; /* of the last copy, to log it once */
};

/*
 * Start to watch the path of the open file fd. The path is kept, not copied.
 * Returns 0 or a negative errno.
 */
int counters_place_open(struct counters_place *place, const char *path, int fd);

/*
 * Check the path; count and log a change. If the file was deleted, save this
 * copy of its bytes at the path.
 */
void counters_place_check(struct counters_place *place,
    struct counters *counters, const struct counters *copy);

/* Count an incident of the file in this value, and log it with its path. */
void counters_place_report(
    struct counters *counters, enum registry_value value, const char *message);

/* Release the lock of the copy, so that another pool can open it. */
void counters_place_close(void);

#endif
