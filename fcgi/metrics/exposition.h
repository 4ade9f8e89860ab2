#ifndef METRICS_EXPOSITION_H
#define METRICS_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

#include "metrics/counters.h"

/*
 * Prometheus text 0.0.4 and OpenMetrics 1.0:
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 * https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
 */
enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS };

/* What to render, besides the store, and from where. */
struct exposition_source {
	const struct counters *counters;
	bool alive;     /* a pool runs, so that states mean something */
	int backlog_fd; /* of listen_backlog_open(), also its negative errno */
	const char *root; /* in front of /proc and /sys, "" for the real ones */
};

/* The format's Content-Type. */
const char *exposition_content_type(enum exposition_format format);

/*
 * Render every family. Returns the text, which the caller frees, and its size;
 * NULL where memory is short.
 */
char *exposition_render(const struct exposition_source *source,
    enum exposition_format format, size_t *size);

#endif
