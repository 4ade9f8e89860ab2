#ifndef METRICS_PROTOBUF_FORMAT_H
#define METRICS_PROTOBUF_FORMAT_H

#include "metrics/writer.h"

/*
 * The protobuf format, the only one with native histograms: a message
 * MetricFamily for each family, with its length as a varint in front of it.
 * https://prometheus.io/docs/instrumenting/exposition_formats/#protobuf-format
 * https://github.com/prometheus/client_model/blob/v0.6.2/io/prometheus/client/metrics.proto
 */
extern const struct writer_format protobuf_format;

#endif
