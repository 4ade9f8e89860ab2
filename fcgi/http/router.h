#ifndef ROUTER_H
#define ROUTER_H

#include "http/body_size.h"
#include "http/request.h"
#include "http/response.h"

/* One endpoint for each line of routes.def, in this order, then two more. */
enum endpoint {
#define ROUTE(name, path, methods, flags) ENDPOINT_##name,
#include "app/routes.def"
#undef ROUTE
	ENDPOINT_OTHER,  /* of paths without a route */
	ENDPOINT_STATIC, /* of files that nginx serves by itself */
	ENDPOINT_COUNT
};

/* In place of an endpoint: do not count this request, such as a scrape. */
enum { ENDPOINT_UNCOUNTED = -1 };

enum {
	ROUTE_FAULT_INJECTION = 1,
	ROUTE_NONBLOCKING = 2,
	ROUTE_RATE_LIMITED = 4,
	ROUTE_ALWAYS = 8,
	/* Five bits: the limit for a body is 1 << these; 0: BODY_DEFAULT. */
	ROUTE_BODY_SHIFT = 8,
	ROUTE_BODY_MASK = 31,
};

enum {
#define SIZE(name, bits) BODY_##name = (bits) << ROUTE_BODY_SHIFT,
	BODY_SIZES(SIZE)
#undef SIZE
};

/* The limit in bytes for the body of a request whose route has no BODY(). */
enum { BODY_DEFAULT = 64 << 10 };

struct route {
	const char *name;
	const char *path;
	unsigned methods; /* 1 << METHOD_..., HEAD and OPTIONS included */
	unsigned flags;
	void (*handler)(const struct request *, struct response *);
};

/* The handlers, one for each line of routes.def, in app/endpoints/NAME.c. */
#define ROUTE(name, path, methods, flags)                                      \
	void endpoint_##name(const struct request *, struct response *);
#include "app/routes.def"
#undef ROUTE

/* The routes; ENDPOINT_OTHER is their number. */
extern const struct route router_routes[];

/* The name of an endpoint in the metrics; also "other" and "static". */
const char *router_endpoint_name(int endpoint);

/*
 * Build the lookup table. Call it before the first request. Without
 * fault_injection the FAULT_INJECTION routes are 404s.
 */
void router_open(bool fault_injection);

/*
 * Find the route for a request's path and method, in a time that does not
 * depend on the number of routes. Returns its endpoint; if the path has no line
 * for this method, that of the path's first line; or ENDPOINT_OTHER.
 */
int router_find(enum method method, const char *path);

/* The limit of a route for a body, in bytes. */
size_t router_route_body_max(const struct route *route);

/*
 * The limit for the body of this request, in bytes: that of the route which
 * serves its path and method, or BODY_DEFAULT.
 */
size_t router_body_max(const struct request *request);

/*
 * Answer a request whose body exceeds router_body_max() with a 413. Returns the
 * endpoint under which to count the request.
 */
int router_refuse_body(
    const struct request *request, struct response *response);

/*
 * Answer a request: call the route's handler, or answer 404, 405, OPTIONS, or
 * 403 for a fault injection that another website's page requests. Returns the
 * endpoint under which to count the request. The parameters of the request are
 * overwritten by the next call.
 */
int router_dispatch(struct request *request, struct response *response);

#endif
