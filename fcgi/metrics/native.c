#include "metrics/native.h"

#include <string.h>

/* The code of the zero bucket's cells; 0 is the overflow label set's. */
enum { CODE_ZERO = 1 };

int
native_bucket(int64_t ns)
{
	/*
	 * 2^(i/8) s for i from 1 to 8, in nanoseconds and with the highest bit
	 * set: 10^9 x 2^33 x 2^(i/8), rounded down. The first seven are no
	 * whole numbers, and the last is exact, so a whole number is above one
	 * of them if and only if it is above the bound itself.
	 */
	static const uint64_t bounds[] = {0x81ffa7a9549ca6e3,
	    0x8dc3b8960164a7d9, 0x9a9867054d512391, 0xa8965f74bf065071,
	    0xb7d88a12d0dd9ea0, 0xc87c3e7d03cdbec3, 0xdaa17c2cd19555db,
	    0xee6b280000000000};
	int zeros;
	int bucket;

	if (ns <= 0)
		return NATIVE_ZERO;
	zeros = __builtin_clzll((unsigned long long)ns);
	/* Numbers from 2^30 on, with 33 zeros, have the bounds from 1 to 8. */
	bucket = 8 * (33 - zeros) + 1;
	for (int i = 0; i < 8; i++)
		bucket += (uint64_t)ns << zeros > bounds[i];
	return bucket > NATIVE_ZERO ? bucket : NATIVE_ZERO;
}

size_t
native_find(struct counters *counters, const struct native_place *place,
    size_t bucket, int64_t ns)
{
	return counters_find_cell(counters, place->endpoint,
	    registry_cell_method(counters->registry, place->cells, bucket),
	    (unsigned)(native_bucket(ns) - NATIVE_ZERO + CODE_ZERO),
	    place->first + REGISTRY_NO_CELL + bucket);
}

/* Add to both kinds of bucket. Native ones mostly come in ascending order. */
static void
add(struct native_histogram *histogram, size_t classic, int bucket,
    uint64_t count)
{
	struct writer_native_bucket *buckets = histogram->buckets;
	struct writer_native *native = &histogram->native;
	size_t at = native->bucket_count;

	if (count == 0)
		return;
	histogram->classic[classic] += count;
	if (bucket <= NATIVE_ZERO) {
		native->zero_count += count;
		return;
	}
	while (at > 0 && buckets[at - 1].index >= bucket)
		at--;
	if (at < native->bucket_count && buckets[at].index == bucket) {
		buckets[at].count += count;
		return;
	}
	/* All times that there are need fewer; a file may have any code. */
	if (native->bucket_count == NATIVE_BUCKETS_MAX)
		return;
	memmove(&buckets[at + 1], &buckets[at],
	    (native->bucket_count++ - at) * sizeof(*buckets));
	buckets[at] = (struct writer_native_bucket){bucket, count};
}

/* The last native bucket of a classic one, or the first of +Inf. */
static int
native_bucket_of(size_t classic)
{
	return classic < REGISTRY_BOUND_COUNT
		   ? native_bucket(registry_bounds[classic].ns)
		   : native_bucket(registry_bounds[classic - 1].ns + 1);
}

void
native_read(const struct counters *counters, const struct native_place *place,
    const struct counters_label_set *cells, size_t count,
    struct native_histogram *histogram)
{
	const struct registry *registry = counters->registry;
	size_t i = 0;

	memset(histogram->classic, 0, sizeof(histogram->classic));
	histogram->native = (struct writer_native){histogram->buckets, 0, 0};
	for (size_t bucket = 0; bucket < REGISTRY_BUCKETS; bucket++) {
		unsigned method =
		    registry_cell_method(registry, place->cells, bucket);

		while (i < count && (cells[i].endpoint < place->endpoint ||
					(cells[i].endpoint == place->endpoint &&
					    cells[i].method < method)))
			i++;
		for (; i < count && cells[i].endpoint == place->endpoint &&
		       cells[i].method == method;
		     i++)
			add(histogram, bucket,
			    (int)cells[i].code - CODE_ZERO + NATIVE_ZERO,
			    counters_sum(counters, cells[i].index));
		add(histogram, bucket, native_bucket_of(bucket),
		    counters_sum(
			counters, place->first + REGISTRY_NO_CELL + bucket));
	}
}

/*
 * First the buckets, then the cells: a worker counts in a cell and then in a
 * bucket, with a release fence between them. So what it counts meanwhile is at
 * most missing here.
 */
static void
adopt(struct counters *counters, const struct native_place *place)
{
	size_t no_cell = place->first + REGISTRY_NO_CELL;
	uint64_t buckets[REGISTRY_BUCKETS];
	uint64_t cells[REGISTRY_BUCKETS];

	for (size_t i = 0; i < REGISTRY_BUCKETS; i++)
		buckets[i] = counters_sum(counters, place->first + 1 + i);
	atomic_thread_fence(memory_order_acquire);
	for (size_t i = 0; i < REGISTRY_BUCKETS; i++)
		cells[i] = counters_sum(counters, no_cell + i);
	counters_add_cells(counters, place->endpoint,
	    registry_cell_method(counters->registry, place->cells, 0), cells,
	    REGISTRY_BUCKETS);
	for (size_t i = 0; i < REGISTRY_BUCKETS; i++)
		if (buckets[i] > cells[i])
			counters_add(counters_values(counters, SLOT_MASTER),
			    no_cell + i, buckets[i] - cells[i]);
}

void
native_adopt(struct counters *counters)
{
	unsigned endpoints = (unsigned)counters->registry->endpoint_count;

	if (!registry_has_cells(counters->registry))
		return;
	for (const struct registry_family *family = registry_families;
	     family->family.name; family++) {
		struct native_place place = {
		    family->cells, endpoints - 1, family->value};

		if (family->kind == REGISTRY_KIND_HISTOGRAM)
			adopt(counters, &place);
		if (family->kind != REGISTRY_KIND_ENDPOINT_HISTOGRAM)
			continue;
		for (unsigned i = 0; i < endpoints; i++) {
			place.endpoint = i;
			place.first = registry_endpoint_value(i, family->value);
			adopt(counters, &place);
		}
	}
}
