#ifndef ROUTER_H
#define ROUTER_H

#include "http/request.h"
#include "http/response.h"

/* One number for each line of routes.def, in its order, then "other". */
enum endpoint {
#define ROUTE(name, path, methods, flags) ENDPOINT_##name,
#include "app/routes.def"
#undef ROUTE
	ENDPOINT_OTHER,
	ENDPOINT_COUNT
};

/* A request that is not to be counted, such as a scrape. */
enum { ENDPOINT_UNCOUNTED = -1 };

enum {
	ROUTE_FAULT_INJECTION = 1,
	ROUTE_NONBLOCKING = 2,
	ROUTE_RATE_LIMITED = 4,
};

struct route {
	const char *name;
	const char *path;
	unsigned methods; /* 1 << METHOD_..., HEAD and OPTIONS included */
	unsigned flags;
	void (*handler)(const struct request *, struct response *);
};

/* The handlers, one a line of routes.def, each in endpoints/NAME.c. */
#define ROUTE(name, path, methods, flags)                                      \
	void endpoint_##name(const struct request *, struct response *);
#include "app/routes.def"
#undef ROUTE

/* The table itself, ENDPOINT_OTHER entries. */
extern const struct route router_routes[];

/* The endpoint's name as in the metrics, "other" for ENDPOINT_OTHER. */
const char *router_endpoint_name(int endpoint);

/*
 * Build the look-up table; call it once, before the first request. exercise
 * false leaves the FAULT_INJECTION routes out.
 */
void router_open(bool exercise);

/*
 * Find the route for a path in a time that does not depend on how many there
 * are. Returns its endpoint, with *parameter pointing into path behind the
 * prefix where the route has a {word}; ENDPOINT_OTHER for no route.
 */
int router_find(const char *path, const char **parameter);

/*
 * Answer a request: call the route's handler, or answer 404, 405 or OPTIONS.
 * Returns the endpoint to count it under.
 */
int router_dispatch(struct request *request, struct response *response);

#endif
