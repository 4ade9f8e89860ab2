/*
 * Takes over the counts of another version. A value is found by its name, a
 * label set by the names of its endpoint and method.
 */
#include "metrics/counters_migration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	for (int i = 0; i <= REGISTRY_BOUND_COUNT; i++) {
		char near[512];
		const struct index_entry next = {near, 0};

		if (i < REGISTRY_BOUND_COUNT &&
		    strtod(registry_bounds[i].le, NULL) < strtod(le + 4, NULL))
			continue;
		snprintf(near, sizeof(near), "%.*sle=\"%s\"}", (int)(le - name),
		    name, registry_bounds[i].le);
		found =
		    bsearch(&next, index, count, sizeof(*index), compare_names);
		if (found)
			return (long)found->index;
	}
	return -1;
}

static long
find_name(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return (long)i;
	return -1;
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

		if (index >= 0)
			counters_add(
			    values, (size_t)index, counters_sum(old, i));
		else
			dropped++;
	}
	for (size_t i = counters_list_label_sets(old, label_sets); i-- > 0;) {
		long endpoint = find_name(to->endpoints, to->endpoint_count,
		    from->endpoints[label_sets[i].endpoint]);
		long method = find_name(to->methods, to->method_count,
		    from->methods[label_sets[i].method]);

		if (endpoint >= 0 && method >= 0)
			counters_add(values,
			    counters_find_value(new, (unsigned)endpoint,
				(unsigned)method, label_sets[i].code),
			    counters_sum(old, label_sets[i].index));
		else
			dropped++;
	}
	free(label_sets);
	free(names);
	return dropped;
}
