#ifndef METRICS_TEXT_FORMAT_H
#define METRICS_TEXT_FORMAT_H

#include "metrics/writer.h"

/*
 * The text formats. They differ in their comments and in how they end:
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 * https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
 */
extern const struct writer_format text_format_prometheus;  /* 0.0.4 */
extern const struct writer_format text_format_openmetrics; /* 1.0.0 */

#endif
