/*
 * This application has no state of its own: it needs no start, is always ready,
 * and has nothing to stop. See docs/application.md for an example.
 */
#include "app/app.h"

int
app_start(struct service *service, char *reason, size_t size)
{
	(void)service;
	(void)reason;
	(void)size;
	return 0;
}

bool
app_ready(const struct service *service, char *reason, size_t size)
{
	(void)service;
	(void)reason;
	(void)size;
	return true;
}

void
app_stop(struct service *service)
{
	(void)service;
}
