#ifndef METRICS_COUNTERS_FILE_H
#define METRICS_COUNTERS_FILE_H

#include "metrics/counters.h"

/*
 * A counter file is mapped, created, replaced. Only counters*.c need this. The
 * functions that replace a file want its fd with the pool's lock
 * (counters_lock.h), and leave it open.
 */

/*
 * Map an open file that is valid. Fills in all of counters but its registry.
 * protection is mmap(2)'s. Returns 0 or a negative errno.
 */
int counters_file_map(struct counters *counters, int fd, int protection);

/*
 * Read a whole file to validate it; no other code may map bytes that are not
 * valid. Returns what is wrong with it, as half a sentence for people; NULL
 * where nothing is.
 */
const char *counters_file_validate(int fd);

/*
 * Move a damaged file aside, to a name that no other file has, and log it with
 * the problem. Returns 0 or a negative errno.
 */
int counters_file_quarantine(const char *path, const char *problem);

/*
 * Replace the file at path, which is open as fd, by a new one, with the counts
 * of old unless that is NULL. On success counters is the new file. Returns 0 or
 * a negative errno.
 */
int counters_file_replace(struct counters *counters, const char *path, int fd,
    unsigned slot_count, const struct counters *old);

/*
 * Replace a file that another version, or a pool with fewer workers, wrote, and
 * keep its counts. Returns as counters_file_replace().
 */
int counters_file_migrate(
    struct counters *counters, const char *path, int fd, unsigned slot_count);

#endif
