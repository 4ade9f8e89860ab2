#ifndef METRICS_COUNTERS_LOCK_H
#define METRICS_COUNTERS_LOCK_H

#include <stdbool.h>

/*
 * The two locks of a counter file. Only counters*.c need this.
 *
 * The pool holds flock(LOCK_EX) on the file. Every process of the pool inherits
 * it, so a new pool waits until the last process of an old one is gone.
 *
 * CGI processes come and go beside a pool. They hold an open-file lock
 * (F_OFD_SETLK) shared while they count. Whoever replaces the file takes that
 * lock exclusively, so no count goes into a file that was just replaced.
 */

/*
 * Open a path that must be a regular file, with these flags of open(2). Returns
 * the fd, or a negative errno: -EINVAL where it is no regular file, -EISDIR
 * where it is a directory, -ELOOP where it is a symbolic link.
 */
int counters_lock_open_regular(const char *path, int flags);

/*
 * Open the file and take the pool's lock, creating the file where there is
 * none; wait up to a second for the processes of a pool that was just killed.
 * Returns the fd, or a negative errno (-EBUSY: another pool holds it). *is_new
 * tells whether this call created the file.
 */
int counters_lock_take(const char *path, bool *is_new);

/* Whether the path leads to the open file: it may have been replaced. */
bool counters_lock_is_current(const char *path, int fd);

/* Whether a pool holds the lock of this open file. */
bool counters_lock_is_held(int fd);

/*
 * The lock of CGI processes: shared for one of them, exclusive for who replaces
 * the file. They wait. Both return 0 or a negative errno.
 */
int counters_lock_for_cgi(int fd, const char *path);
int counters_lock_against_cgi(int fd, const char *path);

#endif
