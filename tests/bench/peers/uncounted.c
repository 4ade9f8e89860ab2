/*
 * Linked with --wrap=request_metrics_add into a build that counts nothing,
 * which is what counting is compared with.
 */
#include <stddef.h>

void __wrap_request_metrics_add(
    void *counters, unsigned slot, const void *request);

void
__wrap_request_metrics_add(void *counters, unsigned slot, const void *request)
{
	(void)counters;
	(void)slot;
	(void)request;
}
