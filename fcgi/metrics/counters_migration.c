/*
 * Counts of another version: each series finds its cell by its name, each key
 * by the names of its endpoint and method.
 */
#include "metrics/counters_migration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/registry.h"

struct index_entry {
	const char *name;
	size_t cell;
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
 * The new cell for an old name, or -1. A bucket whose bound is gone goes into
 * the next larger one there is, so that a histogram keeps its count.
 */
static long
find_cell(const struct index_entry *index, size_t count, const char *name)
{
	const struct index_entry wanted = {name, 0};
	const struct index_entry *found =
	    bsearch(&wanted, index, count, sizeof(*index), compare_names);
	const char *le = strstr(name, "le=\"");

	if (found)
		return (long)found->cell;
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
			return (long)found->cell;
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
	_Atomic uint64_t *cells = counters_values(new, SLOT_MASTER);
	struct counters_key *keys = calloc(from->key_capacity, sizeof(*keys));
	struct index_entry *index = index_names(to);
	long dropped = 0;

	if (!keys || !index) {
		free(keys);
		free(index);
		return -ENOMEM;
	}
	for (size_t i = 0; i < from->fixed_count; i++) {
		long cell = find_cell(index, to->fixed_count, from->fixed[i]);

		if (cell >= 0)
			counters_add(cells, (size_t)cell, counters_sum(old, i));
		else
			dropped++;
	}
	for (size_t i = counters_list_keys(old, keys); i-- > 0;) {
		long endpoint = find_name(to->endpoints, to->endpoint_count,
		    from->endpoints[keys[i].endpoint]);
		long method = find_name(to->methods, to->method_count,
		    from->methods[keys[i].method]);

		if (endpoint >= 0 && method >= 0)
			counters_add(cells,
			    counters_key_cell(new, (unsigned)endpoint,
				(unsigned)method, keys[i].code),
			    counters_sum(old, keys[i].cell));
		else
			dropped++;
	}
	free(keys);
	free(index);
	return dropped;
}
