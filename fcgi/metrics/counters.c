/*
 * The values of an open counter file, and the table of its label sets.
 */
#include "metrics/counters.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "metrics/counters_format.h"

static const size_t NOWHERE = SIZE_MAX;

/*
 * Cells use every second place of the table, so that requests always find the
 * other half of it, and find it soon. A cell is looked for in a few places.
 */
enum { CELL_STRIDE = 2, CELL_PLACES = 16 };

/*
 * The place in a slot of a label set that is in one of the first `places` of
 * the table, which are `stride` apart, or is entered there; NOWHERE if they
 * have others. The stride is a power of two.
 */
static size_t
find(struct counters *counters, unsigned endpoint, unsigned method,
    unsigned code, size_t stride, size_t places)
{
	const struct registry *registry = counters->registry;
	uint64_t key = counters_format_label_set_key(endpoint, method, code);
	size_t mask = registry->label_set_capacity - 1;
	size_t at = (size_t)((key >> 24) * 0x9e3779b97f4a7c15u >> 32) & mask &
		    ~(stride - 1);

	for (size_t step = 0; step < places;
	     step++, at = (at + stride) & mask) {
		uint64_t found = atomic_load_explicit(
		    &counters->label_sets[at], memory_order_relaxed);

		if (found == 0) {
			uint64_t packed = counters_format_pack_label_set(
			    endpoint, method, code);

			if (atomic_compare_exchange_strong(
				&counters->label_sets[at], &found, packed))
				found = packed;
		}
		/* Its checksum takes longer than all of this. */
		if (counters_format_is_label_set(found, key))
			return registry->fixed_count + at;
	}
	return NOWHERE;
}

size_t
counters_find_value(struct counters *counters, unsigned endpoint,
    unsigned method, unsigned code)
{
	const struct registry *registry = counters->registry;
	size_t index = find(
	    counters, endpoint, method, code, 1, registry->label_set_capacity);

	if (index != NOWHERE)
		return index;
	/* Full. This label set is made with the file, so this ends. */
	return counters_find_value(counters,
	    (unsigned)registry->endpoint_count - 1,
	    (unsigned)registry->method_count - 1, 0);
}

size_t
counters_find_cell(struct counters *counters, unsigned endpoint,
    unsigned method, unsigned code, size_t otherwise)
{
	size_t index =
	    find(counters, endpoint, method, code, CELL_STRIDE, CELL_PLACES);

	return index == NOWHERE ? otherwise : index;
}

size_t
counters_find_any(struct counters *counters, unsigned endpoint, unsigned method,
    unsigned code)
{
	return registry_is_cell(counters->registry, method)
		   ? counters_find_cell(
			 counters, endpoint, method, code, NOWHERE)
		   : counters_find_value(counters, endpoint, method, code);
}

static int
compare_label_sets(const void *a, const void *b)
{
	const struct counters_label_set *x = a;
	const struct counters_label_set *y = b;

	if (x->endpoint != y->endpoint)
		return x->endpoint < y->endpoint ? -1 : 1;
	if (x->method != y->method)
		return x->method < y->method ? -1 : 1;
	return (x->code > y->code) - (x->code < y->code);
}

static size_t
list(const struct counters *counters, bool cells,
    struct counters_label_set *label_sets)
{
	const struct registry *registry = counters->registry;
	size_t count = 0;

	for (size_t i = 0; i < registry->label_set_capacity; i++) {
		uint64_t packed = atomic_load_explicit(
		    &counters->label_sets[i], memory_order_relaxed);

		if (packed == 0 ||
		    !counters_format_label_set_is_sound(packed, registry))
			continue;
		label_sets[count] = counters_format_unpack_label_set(
		    packed, registry->fixed_count + i);
		count += registry_is_cell(registry, label_sets[count].method) ==
			 cells;
	}
	qsort(label_sets, count, sizeof(*label_sets), compare_label_sets);
	return count;
}

size_t
counters_list_label_sets(
    const struct counters *counters, struct counters_label_set *label_sets)
{
	return list(counters, false, label_sets);
}

size_t
counters_list_cells(
    const struct counters *counters, struct counters_label_set *cells)
{
	return list(counters, true, cells);
}

uint64_t
counters_sum(const struct counters *counters, size_t index)
{
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < counters->slot_count; slot++)
		sum += atomic_load_explicit(
		    &counters_values(counters, slot)[index],
		    memory_order_relaxed);
	return sum;
}

void
counters_add_cells(const struct counters *counters, unsigned endpoint,
    unsigned method, uint64_t *sums, size_t count)
{
	const struct registry *registry = counters->registry;

	for (size_t i = 0; i < registry->label_set_capacity; i++) {
		uint64_t packed = atomic_load_explicit(
		    &counters->label_sets[i], memory_order_relaxed);
		struct counters_label_set set =
		    counters_format_unpack_label_set(
			packed, registry->fixed_count + i);

		if (packed && set.endpoint == endpoint &&
		    set.method >= method && set.method - method < count &&
		    counters_format_label_set_is_sound(packed, registry))
			sums[set.method - method] +=
			    counters_sum(counters, set.index);
	}
}

uint64_t
counters_sum_requests(const struct counters *counters)
{
	const struct registry *registry = counters->registry;
	uint64_t sum = 0;

	for (size_t i = 0; i < registry->label_set_capacity; i++) {
		uint64_t packed = counters->label_sets[i];

		if (packed &&
		    counters_format_label_set_is_sound(packed, registry) &&
		    !registry_is_cell(registry,
			counters_format_unpack_label_set(packed, 0).method))
			sum +=
			    counters_sum(counters, registry->fixed_count + i);
	}
	return sum;
}

int64_t
counters_created(const struct counters *counters)
{
	return ((const struct counters_header *)counters->map)->created;
}

void
counters_close(struct counters *counters)
{
	if (counters->fd < 0)
		return;
	munmap(counters->map, counters->map_size);
	close(counters->fd);
	counters->fd = -1;
	exemplars_close(&counters->exemplars);
}
