/*
 * Linked with --wrap=counters_count into a build that counts nothing, which is
 * what counting is compared with.
 */
#include <stddef.h>

void __wrap_counters_count(void *store, unsigned slot, const void *request);

void
__wrap_counters_count(void *store, unsigned slot, const void *request)
{
	(void)store;
	(void)slot;
	(void)request;
}
