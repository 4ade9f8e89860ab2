#ifndef METRICS_COLLECTOR_H
#define METRICS_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/family.h"
#include "metrics/writer.h"
#include "scoreboard.h"

/*
 * A collector is a source of numbers outside of the counter file. It is one
 * file in collectors/ that defines `const struct collector collector_NAME`, a
 * line in collectors.def, and a test.
 *
 * It reads its source once for each scrape into a struct of its own, so that
 * all its numbers are of the same moment. If it fails, none of its families is
 * in the scrape, and fcgi_collector_success tells so: a 0 would look like a
 * value.
 */

/* Where a collector reads. */
struct collector_source {
	const char *root; /* in front of /proc and /sys; "" for the real ones */
	const struct scoreboard *scoreboard;
	int backlog_fd; /* of listen_backlog_open(), or its negative errno */
};

/* An integer with this value is not known: its sample is left out. */
#define COLLECTOR_ABSENT UINT64_MAX

/* One number of a collector's struct, and the metric that it is. */
struct collector_metric {
	/* Metrics of the same name are one family, also across collectors. */
	struct metric_family family;
	struct metric_label label; /* a name of NULL: it has none */
	enum collector_field {
		COLLECTOR_BOOL,
		COLLECTOR_UINT64,
		COLLECTOR_DOUBLE,
		COLLECTOR_NANOSECONDS_UINT64,
	} field;
	size_t offset;
};

/* Initialise .field and .offset for a field of a collector's struct. */
/* clang-format off */
#define COLLECTOR_FIELD(type, name)                                            \
	.field = _Generic(((type *)NULL)->name,                                \
	    bool: COLLECTOR_BOOL,                                              \
	    uint64_t: COLLECTOR_UINT64,                                        \
	    double: COLLECTOR_DOUBLE),                                         \
	.offset = offsetof(type, name)
/* clang-format on */

/* The same for nanoseconds, which are shown as seconds. */
#define COLLECTOR_NANOSECONDS(type, name)                                      \
	.field = COLLECTOR_NANOSECONDS_UINT64, .offset = offsetof(type, name)

struct collector {
	const char *name;
	bool needs_pool; /* not read, and no failure, while no pool runs */
	size_t size;     /* of its struct */
	/* Fill in the zeroed struct. Returns 0 or a negative errno. */
	int (*read)(const struct collector_source *source, void *data);
	const struct collector_metric *metrics;
	size_t metric_count;
};

#endif
