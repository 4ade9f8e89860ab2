/*
 * The values of an open counter file, and the table of its label sets.
 */
#include "metrics/counters.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "metrics/counters_format.h"

size_t
counters_find_value(struct counters *counters, unsigned endpoint,
    unsigned method, unsigned code)
{
	const struct registry *registry = counters->registry;
	uint64_t packed =
	    counters_format_pack_label_set(endpoint, method, code);
	size_t mask = registry->label_set_capacity - 1;
	size_t at = (size_t)((packed >> 24) * 0x9e3779b97f4a7c15u >> 32) & mask;

	for (size_t step = 0; step <= mask; step++, at = (at + 1) & mask) {
		uint64_t found = atomic_load_explicit(
		    &counters->label_sets[at], memory_order_relaxed);

		if (found == 0 &&
		    atomic_compare_exchange_strong(
			&counters->label_sets[at], &found, packed))
			found = packed;
		if (found == packed)
			return registry->fixed_count + at;
	}
	/* Full. This label set is made with the file, so this ends. */
	return counters_find_value(counters,
	    (unsigned)registry->endpoint_count - 1,
	    (unsigned)registry->method_count - 1, 0);
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

size_t
counters_list_label_sets(
    const struct counters *counters, struct counters_label_set *label_sets)
{
	size_t count = 0;

	for (size_t i = 0; i < counters->registry->label_set_capacity; i++) {
		uint64_t packed = atomic_load_explicit(
		    &counters->label_sets[i], memory_order_relaxed);

		if (packed != 0 && counters_format_label_set_is_sound(
				       packed, counters->registry))
			label_sets[count++] = counters_format_unpack_label_set(
			    packed, counters->registry->fixed_count + i);
	}
	qsort(label_sets, count, sizeof(*label_sets), compare_label_sets);
	return count;
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

uint64_t
counters_sum_requests(const struct counters *counters)
{
	const struct registry *registry = counters->registry;
	uint64_t sum = 0;

	for (size_t i = 0; i < registry->label_set_capacity; i++)
		if (counters->label_sets[i])
			sum +=
			    counters_sum(counters, registry->fixed_count + i);
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
