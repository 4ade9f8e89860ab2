#ifndef METRICS_STORE_PLACE_H
#define METRICS_STORE_PLACE_H

#include <sys/types.h>

#include "metrics/shm.h"

/*
 * Whether the counter file that the pool has open is still at its path. For
 * store_guard.c. One path a process.
 */

struct store_identity {
	dev_t device;
	ino_t inode;
};

enum store_where { STORE_AT_PATH, STORE_DELETED, STORE_REPLACED };

/* What the next master has to know if this one dies: in shared memory. */
struct store_place {
	enum store_where where;
	struct store_identity own;
	struct store_identity saved; /* the copy at the path, where deleted */
	int save_error;              /* of the last copy, to say it once */
};

/*
 * Begin to watch the path of the open file fd. The path is kept, not copied.
 * Returns 0 or a negative errno.
 */
int store_place_open(struct store_place *place, const char *path, int fd);

/*
 * Look at the path: count and log a change. Where the file was deleted, save
 * this copy of its bytes at the path.
 */
void store_place_check(
    struct store_place *place, struct store *store, const struct store *copy);

/* Give up the lock of the copy, so that another pool can open it. */
void store_place_close(void);

#endif
