/*
 * From the collectors to a scrape.
 */
#include "metrics/collectors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static const struct collector *const collectors[COLLECTOR_COUNT] = {
#define COLLECTOR(name) &collector_##name,
#include "metrics/collectors.def"
#undef COLLECTOR
};

static int
read_one(const struct collector *collector,
    const struct collector_source *source, void **data)
{
	*data = calloc(1, collector->size);
	return *data ? collector->read(source, *data) : -ENOMEM;
}

void
collectors_read(struct collection *collection,
    const struct collector_source *source, bool has_pool)
{
	static bool has_failed[COLLECTOR_COUNT];

	for (int i = 0; i < COLLECTOR_COUNT; i++) {
		int error;

		if (collectors[i]->needs_pool && !has_pool) {
			collection->data[i] = NULL;
			collection->errors[i] = -ESRCH;
			continue;
		}
		error = read_one(collectors[i], source, &collection->data[i]);
		if (error && !has_failed[i])
			log_text(LOG_WARNING, "collector %s: cannot read: %s",
			    collectors[i]->name, strerror(-error));
		has_failed[i] = error != 0;
		collection->errors[i] = error;
	}
}

void
collectors_free(struct collection *collection)
{
	for (int i = 0; i < COLLECTOR_COUNT; i++)
		free(collection->data[i]);
}

static struct writer_number
number_of(const struct collector_metric *metric, const void *data)
{
	const void *field = (const char *)data + metric->offset;
	struct writer_number number = {WRITER_COUNT, {0}};

	switch (metric->field) {
	case COLLECTOR_BOOL:
		number.value.count = *(const bool *)field;
		break;
	case COLLECTOR_NANOSECONDS_UINT64:
		number.type = WRITER_NANOSECONDS;
		number.value.count = *(const uint64_t *)field;
		break;
	case COLLECTOR_UINT64:
		number.value.count = *(const uint64_t *)field;
		break;
	case COLLECTOR_DOUBLE:
		number.type = WRITER_REAL;
		number.value.real = *(const double *)field;
		break;
	}
	return number;
}

static bool
is_absent(const struct collector_metric *metric, const void *data)
{
	struct writer_number number = number_of(metric, data);

	return number.type != WRITER_REAL &&
	       number.value.count == COLLECTOR_ABSENT;
}

/* The samples that one collector has of a family. */
static void
write_samples(const struct collector *collector, const void *data,
    const struct metric_family *family, struct writer *writer)
{
	for (size_t i = 0; i < collector->metric_count; i++) {
		const struct collector_metric *metric = &collector->metrics[i];
		const struct metric_label labels[] = {
		    metric->label, {NULL, NULL}};

		if (strcmp(metric->family.name, family->name) == 0 &&
		    !is_absent(metric, data))
			writer_sample(writer, labels, number_of(metric, data));
	}
}

/* Whether one of the collector's first metrics has a sample of the family. */
static bool
has_family(const struct collector *collector, const void *data,
    size_t metric_count, const struct metric_family *family)
{
	for (size_t i = 0; i < metric_count; i++) {
		const struct collector_metric *metric = &collector->metrics[i];

		if (strcmp(metric->family.name, family->name) == 0 &&
		    !is_absent(metric, data))
			return true;
	}
	return false;
}

/* Whether the family of this metric was written with an earlier metric. */
static bool
is_written(const struct collection *collection, int collector, size_t metric)
{
	const struct metric_family *family =
	    &collectors[collector]->metrics[metric].family;

	for (int i = 0; i < collector; i++)
		if (!collection->errors[i] &&
		    has_family(collectors[i], collection->data[i],
			collectors[i]->metric_count, family))
			return true;
	return has_family(
	    collectors[collector], collection->data[collector], metric, family);
}

/* A family with the samples of this and of all later collectors. */
static void
write_family(const struct collection *collection, int first,
    const struct metric_family *family, struct writer *writer)
{
	writer_begin_family(writer, family);
	for (int i = first; i < COLLECTOR_COUNT; i++)
		if (!collection->errors[i])
			write_samples(
			    collectors[i], collection->data[i], family, writer);
	writer_end_family(writer);
}

void
collectors_write(const struct collection *collection, struct writer *writer)
{
	for (int i = 0; i < COLLECTOR_COUNT; i++) {
		if (collection->errors[i])
			continue;
		for (size_t k = 0; k < collectors[i]->metric_count; k++) {
			const struct collector_metric *metric =
			    &collectors[i]->metrics[k];

			if (!is_absent(metric, collection->data[i]) &&
			    !is_written(collection, i, k))
				write_family(
				    collection, i, &metric->family, writer);
		}
	}
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(collectors[*(const int *)a]->name,
	    collectors[*(const int *)b]->name);
}

void
collectors_write_success(
    const struct collection *collection, struct writer *writer)
{
	int order[COLLECTOR_COUNT];

	for (int i = 0; i < COLLECTOR_COUNT; i++)
		order[i] = i;
	qsort(order, COLLECTOR_COUNT, sizeof(order[0]), compare_names);
	for (int i = 0; i < COLLECTOR_COUNT; i++) {
		const struct metric_label labels[] = {
		    {"collector", collectors[order[i]]->name}, {NULL, NULL}};

		writer_count(writer, labels, collection->errors[order[i]] == 0);
	}
}
