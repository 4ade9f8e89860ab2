#ifndef METRICS_EXPOSITION_H
#define METRICS_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

#include "metrics/counters.h"

/* What Prometheus reads, in one of its formats (*_format.h). */
enum exposition_format {
	EXPOSITION_TEXT,
	EXPOSITION_OPENMETRICS,
	EXPOSITION_PROTOBUF
};

/* What to show, and where the collectors read. */
struct exposition_source {
	const struct counters *counters;
	bool alive;       /* a pool runs, so that states mean something */
	bool is_scrape;   /* of that pool, by its metrics process */
	int backlog_fd;   /* of listen_backlog_open(), or its negative errno */
	const char *root; /* in front of /proc and /sys, "" for the real ones */
};

/* The format's Content-Type. */
const char *exposition_content_type(enum exposition_format format);

/*
 * Render every family. Returns the bytes, which the caller frees, and its size;
 * NULL where memory is short.
 */
char *exposition_render(const struct exposition_source *source,
    enum exposition_format format, size_t *size);

#endif
