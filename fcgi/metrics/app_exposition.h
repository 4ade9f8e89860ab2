#ifndef METRICS_APP_EXPOSITION_H
#define METRICS_APP_EXPOSITION_H

#include <stdbool.h>

#include "metrics/counters.h"
#include "metrics/writer.h"

/*
 * Write the families of app/metrics.def. If no pool is alive, the gauges that
 * are summed over workers are 0.
 */
void app_exposition_write(
    const struct counters *counters, bool alive, struct writer *writer);

#endif
