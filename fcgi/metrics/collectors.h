#ifndef METRICS_COLLECTORS_H
#define METRICS_COLLECTORS_H

#include "metrics/collector.h"

/* All collectors, which collectors.def lists. */

#define COLLECTOR(name) extern const struct collector collector_##name;
#include "metrics/collectors.def"
#undef COLLECTOR

enum {
#define COLLECTOR(name) COLLECTOR_##name,
#include "metrics/collectors.def"
#undef COLLECTOR
	COLLECTOR_COUNT
};

/* What all collectors have read for one scrape. */
struct collection {
	void *data[COLLECTOR_COUNT];
	int errors[COLLECTOR_COUNT]; /* 0, or a negative errno */
};

/*
 * Let every collector read its source. A failure is logged when it begins, not
 * at every scrape. `has_pool` tells whether a pool runs. The caller frees the
 * collection with collectors_free().
 */
void collectors_read(struct collection *collection,
    const struct collector_source *source, bool has_pool);

void collectors_free(struct collection *collection);

/* Write the families of all collectors that could read. */
void collectors_write(
    const struct collection *collection, struct writer *writer);

/* Write a sample for each collector, in alphabetical order: could it read? */
void collectors_write_success(
    const struct collection *collection, struct writer *writer);

#endif
