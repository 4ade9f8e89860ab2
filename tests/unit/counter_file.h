#ifndef COUNTER_FILE_H
#define COUNTER_FILE_H

/*
 * A counter file for tests: a small registry, a file with known counts, and a
 * system that refuses what it is told to refuse.
 */

#include "support.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "base/log.h"
#include "metrics/registry.h"
#include "metrics/counters.h"
#include "metrics/counters_format.h"

/* Offsets in the header: what is on disk is a contract. */
enum {
	HEADER_SIZE = 64,
	VERSION_AT = 8,
	BYTE_ORDER_AT = 12,
	LABEL_SET_CAPACITY_AT = 36,
	SLOT_COUNT_AT = 40,
	REGISTRY_SIZE_AT = 44,
};

/* These replace the functions of libc, to let any of them fail. */
static int fallocate_error;
static int open_error;
static int link_error;

int
posix_fallocate(int fd, off_t offset, off_t length)
{
	return fallocate_error ? fallocate_error
			       : posix_fallocate64(fd, offset, length);
}

int
open(const char *path, int flags, ...)
{
	va_list arguments;
	unsigned mode;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
	va_end(arguments);
	if (open_error) {
		errno = open_error;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int
link(const char *from, const char *to)
{
	if (link_error) {
		errno = link_error;
		return -1;
	}
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* The values that the engine itself counts in, as in registry.h, and more. */
#define PLAIN_NAMES                                                            \
	PROGRAM_METRICS "starts_total",                                        \
	    PROGRAM_METRICS "store_recoveries_total",                          \
	    PROGRAM_METRICS "store_incidents_total{kind=\"truncated\"}",       \
	    PROGRAM_METRICS "store_incidents_total{kind=\"overwritten\"}",     \
	    PROGRAM_METRICS "store_incidents_total{kind=\"deleted\"}",         \
	    PROGRAM_METRICS "store_incidents_total{kind=\"replaced\"}",        \
	    PROGRAM_METRICS "log_dropped_total", "fcgi_worker_starts_total",   \
	    "fcgi_worker_exits_total{reason=\"drained\"}",                     \
	    "fcgi_worker_exits_total{reason=\"recycled\"}",                    \
	    "fcgi_worker_exits_total{reason=\"crashed\"}",                     \
	    "fcgi_worker_exits_total{reason=\"deadline\"}",                    \
	    "fcgi_worker_exits_total{reason=\"not_started\"}",                 \
	    "fcgi_worker_busy_seconds_total{kind=\"nonblocking\"}",            \
	    "fcgi_worker_busy_seconds_total{kind=\"blocking\"}",               \
	    "fcgi_load_active", "oranges", "lemons", "limes"

enum { APPLES = REGISTRY_QUEUE, PEARS, VALUES };
enum { HOME, SHOP, REST };
enum { GET, OTHER };

static const char *const fixed[] = {
    PLAIN_NAMES, "apples_total", "pears_total{kind=\"conference\"}"};
static const char *const endpoints[] = {"home", "shop", "other"};
static const char *const methods[] = {"GET", "other"};

static const struct registry registry = {fixed, COUNT(fixed), endpoints,
    COUNT(endpoints), methods, COUNT(methods), 16};

static char path[PATH_MAX];

static inline int
set_up(void **state)
{
	snprintf(path, sizeof(path), "%s", support_path("counters"));
	fallocate_error = open_error = link_error = 0;
	return support_clear(state);
}

static inline struct counters
open_pool(const struct registry *names, unsigned workers)
{
	struct counters counters;

	assert_int_equal(counters_open(&counters, path, names, workers), 0);
	return counters;
}

/* What a refused pool is told. */
static inline const char *
open_refused(int error)
{
	struct counters counters;
	int result;
	const char *said;

	support_capture();
	result = counters_open(&counters, path, &registry, 2);
	said = support_said();
	assert_int_equal(result, error);
	assert_says(said, path);
	assert_says(said, "cannot open the counter file");
	return said;
}

static inline struct counters
open_quietly(const struct registry *names, unsigned workers)
{
	struct counters counters;

	support_capture();
	counters = open_pool(names, workers);
	support_said();
	return counters;
}

static inline void
count(struct counters *counters, unsigned slot, size_t index, uint64_t by)
{
	counters_add(counters_values(counters, slot), index, by);
}

/* A file with known counts in several slots, closed. */
static inline void
make_counts(void)
{
	struct counters counters = open_pool(&registry, 2);

	for (unsigned slot = 0; slot < counters.slot_count; slot++) {
		count(&counters, slot, APPLES, slot + 1);
		count(&counters, slot, PEARS, 1000 * (slot + 1));
		count(&counters, slot,
		    counters_find_value(&counters, SHOP, GET, 200),
		    7 * (slot + 1));
	}
	count(&counters, SLOT_WORKER,
	    counters_find_value(&counters, HOME, OTHER, 404),
	    UINT64_C(1) << 40);
	counters_close(&counters);
}

/* 1 + 2 + ... of the five slots */
enum { SLOT_SUM = 15 };

static inline void
assert_counts(struct counters *counters)
{
	assert_int_equal(counters_sum(counters, APPLES), SLOT_SUM);
	assert_int_equal(counters_sum(counters, PEARS), 1000 * SLOT_SUM);
	assert_int_equal(counters_sum(counters,
			     counters_find_value(counters, SHOP, GET, 200)),
	    7 * SLOT_SUM);
	assert_int_equal(counters_sum(counters,
			     counters_find_value(counters, HOME, OTHER, 404)),
	    UINT64_C(1) << 40);
}

struct pool {
	struct support_holder holder;
	const struct registry *registry;
};

static inline int
hold_pool(void *argument)
{
	struct pool *pool = argument;
	struct counters counters;

	if (counters_open(&counters, path, pool->registry, 2) != 0)
		return 1;
	support_hold(&pool->holder);
	counters_close(&counters);
	return 0;
}

enum { PROCESSES = 8, ROUNDS = 200000 };

/*
 * Put these bytes where the file is, open it, and see: a fresh file that counts
 * the recovery, and the old bytes, all of them, under a name that says so.
 */
static inline void
assert_recovers(const void *bytes, size_t size, const char *problem)
{
	char name[SUPPORT_NAME];
	const char *said;
	char *moved;
	size_t moved_size;
	struct counters counters;

	support_clear(NULL);
	support_write(path, bytes, size);
	support_capture();
	counters = open_pool(&registry, 2);
	said = support_said();
	assert_int_equal(counters_sum(&counters, REGISTRY_STORE_RECOVERIES), 1);
	assert_int_equal(counters_sum(&counters, APPLES), 0);
	counters_close(&counters);
	assert_says(said, "moved aside");
	assert_says(said, problem);
	assert_int_equal(support_find(".damaged-", name, sizeof(name)), 1);
	assert_says(said, name);
	moved = support_read(support_path(name), &moved_size);
	assert_int_equal(moved_size, size);
	assert_memory_equal(moved, bytes, size);
	free(moved);
}

static inline char *
sound_bytes(size_t *size)
{
	make_counts();
	return support_read(path, size);
}

static inline uint32_t
number_at(const char *bytes, size_t offset)
{
	uint32_t value;

	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

/* Where the registry ends, and where the label sets begin and end. */
static inline size_t
registry_end(const char *bytes)
{
	return HEADER_SIZE + number_at(bytes, REGISTRY_SIZE_AT);
}

static inline size_t
label_sets_begin(const char *bytes)
{
	return (registry_end(bytes) + 63) / 64 * 64;
}

/* Root's, or read-only to its owner where the tests do not run as root. */
static inline void
take_away(const char *name, mode_t mode)
{
	assert_int_equal(chmod(name, mode), 0);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up, support_release)

#endif
