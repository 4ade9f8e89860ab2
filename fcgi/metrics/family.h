#ifndef METRICS_FAMILY_H
#define METRICS_FAMILY_H

#include <stdint.h>

/* What Prometheus calls a metric family: all samples of one name. */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_family {
	const char *name; /* a counter's without its _total */
	enum metric_type type;
	const char *unit; /* the name's last word; NULL: it has no unit */
	const char *help; /* one line, without quotes and backslashes */
};

/* What completes the name of a counter in formats that name it in full. */
static inline const char *
metric_family_suffix(const struct metric_family *family)
{
	return family->type == METRIC_COUNTER ? "_total" : "";
}

/*
 * A label. The value needs no escaping: it has no quotes, backslashes and line
 * ends. A list of labels ends with a name of NULL.
 */
struct metric_label {
	const char *name;
	const char *value;
};

/* An upper bound of a histogram's bucket, and how the text formats print it. */
struct metric_bound {
	int64_t ns;
	const char *le;
};

#endif
