/*
 * Counts never decrease. So a sum that is lower than in the copy has lost the
 * difference.
 */
#include "metrics/counters_snapshot.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "metrics/registry.h"
#include "metrics/busy_time.h"
#include "metrics/counters_format.h"
#include "metrics/native.h"

/*
 * Most pages of a file are zero. A page of the copy takes no memory before it
 * is written, or read.
 */
enum { PAGE = 4096, PAGE_VALUES = PAGE / sizeof(uint64_t) };

/* After the bytes: a flag for each page that was ever written. */
static size_t
copy_size(const struct counters *counters)
{
	return counters->map_size + counters->map_size / PAGE + 1;
}

int
counters_snapshot_new(struct counters *copy, const struct counters *counters)
{
	const char *from = counters->map;
	char *to = mmap(NULL, copy_size(counters), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (to == MAP_FAILED)
		return -ENOMEM;
	*copy = *counters;
	copy->fd = -1;
	copy->map = to;
	copy->label_sets =
	    (_Atomic uint64_t *)(to +
				 ((const char *)counters->label_sets - from));
	copy->slots = to + (counters->slots - from);
	copy->scoreboard.entries = copy->slots;
	copy->scoreboard.stride = copy->slot_size;
	return 0;
}

void
counters_snapshot_free(struct counters *copy)
{
	if (copy->map)
		munmap(copy->map, copy_size(copy));
	copy->map = NULL;
}

static bool *
written_pages(const struct counters *copy)
{
	return (bool *)((char *)copy->map + copy->map_size);
}

/* A value of the copy, without touching a page that was never written. */
static uint64_t
copied(const struct counters *copy, const _Atomic uint64_t *place)
{
	size_t offset = (size_t)((const char *)place - (const char *)copy->map);

	return written_pages(copy)[offset / PAGE] ? *place : 0;
}

static bool
is_zero(const _Atomic uint64_t *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (atomic_load_explicit(&values[i], memory_order_relaxed))
			return false;
	return true;
}

void
counters_snapshot_copy(struct counters *copy, const struct counters *counters)
{
	const _Atomic uint64_t *from = counters->map;
	uint64_t *to = copy->map;
	bool *is_written = written_pages(copy);
	size_t left = counters->map_size / sizeof(*to);

	for (; left; from += PAGE_VALUES, to += PAGE_VALUES, is_written++) {
		size_t count = left < PAGE_VALUES ? left : PAGE_VALUES;

		left -= count;
		if (!*is_written && is_zero(from, count))
			continue;
		*is_written = true;
		for (size_t i = 0; i < count; i++)
			to[i] = atomic_load_explicit(
			    &from[i], memory_order_relaxed);
	}
}

/* The size of header and registry, which never change. */
static size_t
head_size(const struct counters *counters)
{
	return (size_t)((const char *)counters->label_sets -
			(const char *)counters->map);
}

/*
 * Whether the file was only cut. Another program may have written other bytes
 * after it, such as those of another file, and they must not be taken for
 * counts.
 */
static bool
is_cut_clean(
    const struct counters *counters, const struct counters *copy, size_t cut)
{
	const char *bytes = counters->map;
	size_t size = head_size(counters);

	for (size_t i = 0; i < size; i++)
		if (bytes[i] != (i < cut ? ((const char *)copy->map)[i] : 0))
			return false;
	return true;
}

static bool
restore_head(struct counters *counters, const struct counters *copy)
{
	size_t size = head_size(counters);

	if (memcmp(counters->map, copy->map, size) == 0)
		return false;
	memcpy(counters->map, copy->map, size);
	return true;
}

/* Free each place of the table whose label set is damaged. */
static void
clear_bad_label_sets(struct counters *counters)
{
	for (size_t i = 0; i < counters->registry->label_set_capacity; i++) {
		uint64_t packed = atomic_load(&counters->label_sets[i]);

		if (packed && !counters_format_label_set_is_sound(
				  packed, counters->registry))
			atomic_compare_exchange_strong(
			    &counters->label_sets[i], &packed, 0);
	}
}

/* Whether this place of the table no longer holds the label set of the copy. */
static bool
is_label_set_lost(
    const struct counters *counters, const struct counters *copy, size_t i)
{
	uint64_t packed = copied(copy, &copy->label_sets[i]);

	return packed != 0 && packed != counters->label_sets[i];
}

static bool
are_label_sets_lost(
    const struct counters *counters, const struct counters *copy)
{
	for (size_t i = 0; i < counters->registry->label_set_capacity; i++)
		if (is_label_set_lost(counters, copy, i) ||
		    (counters->label_sets[i] != 0 &&
			!counters_format_label_set_is_sound(
			    counters->label_sets[i], counters->registry)))
			return true;
	return false;
}

static uint64_t
copied_sum(const struct counters *copy, size_t index)
{
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < copy->slot_count; slot++)
		sum += copied(copy, &counters_values(copy, slot)[index]);
	return sum;
}

/* How much of a value of the copy was zeroed in the file, over all slots. */
static uint64_t
zeroed(const struct counters *counters, const struct counters *copy,
    size_t index, size_t cut)
{
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < copy->slot_count; slot++) {
		const _Atomic uint64_t *place =
		    &counters_values(copy, slot)[index];
		size_t offset =
		    (size_t)((const char *)place - (const char *)copy->map);
		uint64_t then = copied(copy, place);
		uint64_t now = counters_values(counters, slot)[index];

		if (offset >= cut)
			sum += then;
		else if (offset + sizeof(*place) > cut && now < then)
			sum += then - now; /* cut in the middle */
	}
	return sum;
}

/*
 * Restore what the file lost of one value. `to` is the value's place in the
 * file, which differs from that in the copy if its label set has moved.
 */
static bool
restore_value(struct counters *counters, const struct counters *copy,
    size_t index, size_t to, size_t cut)
{
	uint64_t lost = 0;

	if (cut != COUNTERS_SNAPSHOT_UNCUT) {
		lost = zeroed(counters, copy, index, cut);
	} else {
		uint64_t then = copied_sum(copy, index);
		uint64_t now = counters_sum(counters, to);

		if (now < then)
			lost = then - now;
	}
	if (lost)
		counters_add_shared(
		    counters_values(counters, SLOT_MASTER), to, lost);
	return lost != 0;
}

/* A position, its file, what was shown, and gauges are no counts. */
static bool
is_count(size_t index)
{
	return index != REGISTRY_GATEWAY_LOG &&
	       index != REGISTRY_GATEWAY_LOG_FILE &&
	       index != REGISTRY_BUSY_SHOWN_NONBLOCKING &&
	       index != REGISTRY_BUSY_SHOWN_BLOCKING &&
	       !app_metrics_is_gauge(index);
}

static bool
restore_fixed(
    struct counters *counters, const struct counters *copy, size_t cut)
{
	bool any = false;

	for (size_t index = 0; index < counters->registry->fixed_count; index++)
		if (is_count(index))
			any |= restore_value(counters, copy, index, index, cut);
	return any;
}

/*
 * Where any label set is lost, enter all of them again: a worker may have
 * entered one since, at another place. What a cell without a place had is still
 * in its classic bucket, from which native_adopt() takes it.
 */
static bool
restore_label_sets(
    struct counters *counters, const struct counters *copy, size_t cut)
{
	const struct registry *registry = counters->registry;
	bool are_lost = are_label_sets_lost(counters, copy);
	bool any = are_lost;
	bool has_place = true;

	if (are_lost)
		clear_bad_label_sets(counters);
	for (size_t i = 0; i < registry->label_set_capacity; i++) {
		uint64_t packed = copied(copy, &copy->label_sets[i]);
		size_t index = registry->fixed_count + i;
		size_t to = index;

		if (!packed)
			continue;
		if (are_lost) {
			struct counters_label_set parts =
			    counters_format_unpack_label_set(packed, index);

			to = counters_find_any(
			    counters, parts.endpoint, parts.method, parts.code);
		}
		if (to == SIZE_MAX)
			has_place = false;
		else
			any |= restore_value(counters, copy, index, to, cut);
	}
	if (!has_place)
		native_adopt(counters);
	return any;
}

bool
counters_snapshot_restore(
    struct counters *counters, const struct counters *copy, size_t cut)
{
	bool any;

	if (cut != COUNTERS_SNAPSHOT_UNCUT &&
	    !is_cut_clean(counters, copy, cut))
		cut = COUNTERS_SNAPSHOT_UNCUT;
	any = restore_head(counters, copy);
	any |= restore_fixed(counters, copy, cut);
	busy_time_restore(counters, copy);
	any |= restore_label_sets(counters, copy, cut);
	for (unsigned slot = 0; any && slot < counters->slot_count; slot++)
		app_metrics_restore(counters, copy, slot);
	return any;
}
