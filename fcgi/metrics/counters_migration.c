/*
 * Takes over the counts of another version. A value is found by its name, a
 * label set by the names of its endpoint and method.
 */
#include "metrics/counters_migration.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/native.h"
#include "metrics/registry.h"

struct index_entry {
	const char *name;
	size_t index;
};

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const struct index_entry *)a)->name,
	    ((const struct index_entry *)b)->name);
}

static struct index_entry *
index_names(const struct registry *registry)
{
	struct index_entry *index =
	    calloc(registry->fixed_count + 1, sizeof(*index));

	if (!index)
		return NULL;
	for (size_t i = 0; i < registry->fixed_count; i++)
		index[i] = (struct index_entry){registry->fixed[i], i};
	qsort(index, registry->fixed_count, sizeof(*index), compare_names);
	return index;
}

/*
 * The smallest bucket of the same series whose bound is not lower, or -1. The
 * bound begins after `prefix` bytes of the name.
 */
static long
find_larger_bucket(const struct index_entry *index, size_t count,
    const char *name, size_t prefix)
{
	double bound = strtod(name + prefix, NULL);
	double best = NAN;
	long found = -1;

	for (size_t i = 0; i < count; i++) {
		double other;

		if (strncmp(index[i].name, name, prefix) != 0)
			continue;
		other = strtod(index[i].name + prefix, NULL);
		if (other >= bound && !(other >= best)) {
			best = other;
			found = (long)index[i].index;
		}
	}
	return found;
}

/*
 * The place of the value with this name, or -1. If the bound of a bucket no
 * longer exists, the next larger bucket takes its counts, so that the
 * histogram keeps its count.
 */
static long
find_value(const struct index_entry *index, size_t count, const char *name)
{
	const struct index_entry wanted = {name, 0};
	const struct index_entry *found =
	    bsearch(&wanted, index, count, sizeof(*index), compare_names);
	const char *le = strstr(name, "le=\"");

	if (found)
		return (long)found->index;
	if (!le || !strstr(name, "_bucket{"))
		return -1;
	return find_larger_bucket(index, count, name, (size_t)(le + 4 - name));
}

static long
find_name(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return (long)i;
	return -1;
}

/* Returns whether the new file has a place for the label set. */
static bool
carry_over_label_set(struct counters *new, const struct counters *old,
    const struct counters_label_set *label_set)
{
	const struct registry *from = old->registry;
	const struct registry *to = new->registry;
	long endpoint = find_name(to->endpoints, to->endpoint_count,
	    from->endpoints[label_set->endpoint]);
	long method = find_name(
	    to->methods, to->method_count, from->methods[label_set->method]);
	size_t index;

	/* The overflow label set, whose method has its name twice. */
	if (label_set->code == 0) {
		endpoint = (long)to->endpoint_count - 1;
		method = (long)to->method_count - 1;
	}
	if (endpoint < 0 || method < 0)
		return false;
	index = counters_find_any(
	    new, (unsigned)endpoint, (unsigned)method, label_set->code);
	if (index == SIZE_MAX)
		return true; /* native_adopt() finds its counts */
	counters_add(counters_values(new, SLOT_MASTER), index,
	    counters_sum(old, label_set->index));
	return true;
}

long
counters_migration_carry_over(struct counters *new, const struct counters *old)
{
	const struct registry *from = old->registry;
	const struct registry *to = new->registry;
	_Atomic uint64_t *values = counters_values(new, SLOT_MASTER);
	struct counters_label_set *label_sets =
	    calloc(from->label_set_capacity, sizeof(*label_sets));
	struct index_entry *names = index_names(to);
	long dropped = 0;

	if (!label_sets || !names) {
		free(label_sets);
		free(names);
		return -ENOMEM;
	}
	for (size_t i = 0; i < from->fixed_count; i++) {
		long index = find_value(names, to->fixed_count, from->fixed[i]);

		if (strncmp(from->fixed[i], "sum(", 4) == 0)
			continue; /* a gauge of processes that have ended */
		if (index >= 0)
			counters_add(
			    values, (size_t)index, counters_sum(old, i));
		else
			dropped++;
	}
	for (size_t i = counters_list_label_sets(old, label_sets); i-- > 0;)
		dropped += !carry_over_label_set(new, old, &label_sets[i]);
	for (size_t i = counters_list_cells(old, label_sets); i-- > 0;)
		dropped += !carry_over_label_set(new, old, &label_sets[i]);
	free(label_sets);
	free(names);
	native_adopt(new);
	return dropped;
}
