#ifndef SERVICE_H
#define SERVICE_H

#include <stdint.h>

struct gateway_log;
struct options;
struct counters;
struct app;

/*
 * What every part of a serving process shares: made by main, read by handlers
 * through request->service. Each worker has its own copy.
 */
struct service {
	const struct options *options;
	struct counters *counters;
	int load_request_fd; /* to the master, which runs the load; -1: none */
	/* what nginx answered by itself; NULL where no nginx writes it */
	const struct gateway_log *gateway_log;
	int backlog_fd;          /* netlink, to ask for the listen queue; -1 */
	struct app *app;         /* the application's own state (app/app.h) */
	char start_failure[200]; /* why app_start() failed; "": it did not */
};

#endif
