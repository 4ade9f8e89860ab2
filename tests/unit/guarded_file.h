#ifndef GUARDED_FILE_H
#define GUARDED_FILE_H

/*
 * A counter file with the counts of many label sets, and a fallocate() that
 * fails or lies when it is told to.
 */

#include "support.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "http/request_metrics.h"
#include "http/router.h"
#include "metrics/counters_format.h"
#include "metrics/counters_guard.h"
#include "metrics/counters_snapshot.h"
#include "metrics/registry.h"

static struct registry *registry;
static char path[PATH_MAX];
static int fallocate_error;
static bool fallocate_lies;

/* Replaces the function of libc, to let it fail or lie. */
int
fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (fallocate_error) {
		errno = fallocate_error;
		return -1;
	}
	return fallocate_lies
		   ? 0
		   : (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

static inline int
set_up(void **state)
{
	snprintf(path, sizeof(path), "%s", support_path("counters"));
	fallocate_error = 0;
	fallocate_lies = false;
	return support_clear(state);
}

static inline size_t
value_of(struct counters *counters, unsigned code)
{
	return counters_find_value(counters, ENDPOINT_OTHER, METHOD_GET, code);
}

/* So many label sets that the searches for some of them begin alike. */
enum { CODES = 300 };

/* What make_counts() counts under a code, over all slots. */
static inline uint64_t
expected(unsigned code)
{
	return code % 50 == 0 ? 1 : 10 * (uint64_t)code;
}

static inline void
count(struct counters *counters, unsigned slot, size_t index, uint64_t by)
{
	counters_add(counters_values(counters, slot), index, by);
}

static inline struct counters
open_pool(void)
{
	struct counters counters;

	assert_int_equal(counters_open(&counters, path, registry, 2), 0);
	for (unsigned code = 200; code < 200 + CODES; code++)
		count(&counters, code % counters.slot_count,
		    value_of(&counters, code), expected(code));
	for (unsigned slot = 0; slot < counters.slot_count; slot++)
		count(&counters, slot, REGISTRY_STARTS, 100 + slot);
	return counters;
}

static inline int
open_all(void **state)
{
	registry = request_metrics_registry();
	return registry ? support_open_folder(state) : -1;
}

static inline int
close_all(void **state)
{
	registry_free(registry);
	return support_close_folder(state);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up, support_release)

#endif
