#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct service;

/* Methods that the metrics tell apart (RFC 9110, RFC 5789). */
enum method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_OPTIONS,
	METHOD_PATCH,
	METHOD_OTHER,
	METHOD_COUNT
};

/*
 * A request as handlers see it. All strings live as long as the request. None
 * is NULL: a header or parameter that the client did not send is "".
 */
struct request {
	enum method method;     /* HEAD arrives as HEAD; answer as for GET */
	const char *path;       /* decoded, without the query */
	const char *parameter;  /* the value of {...} in the route's path */
	const char *query;      /* not decoded, without the question mark */
	const char *accept;     /* the Accept header */
	const char *fetch_site; /* the Sec-Fetch-Site header */
	const char *origin;     /* the Origin header */
	const char *host;    /* the Host header; "" without an Origin header */
	const char *id;      /* nginx's $request_id, which its log has, too */
	int64_t received_ns; /* by nginx, CLOCK_REALTIME; 0: unknown */
	pid_t nginx_pid;     /* the nginx worker that sent it; 0: unknown */
	const char *body;    /* NUL-terminated, of body_length bytes */
	size_t body_length;
	const struct service *service;
};

/* The name of a method, "other" for METHOD_OTHER. */
const char *request_method_name(enum method method);

/* The method with this name, or METHOD_OTHER. */
enum method request_method_parse(const char *name);

/*
 * Copy the percent-decoded value of a query parameter. Returns 1; 0 if the
 * query does not have the parameter, and value is "" then; -EINVAL for an
 * invalid percent-encoding, a NUL, or a value of size bytes and more.
 */
int request_query(
    const struct request *request, const char *name, char *value, size_t size);

/*
 * Find the first query parameter whose name is not in known, which ends with
 * NULL. Returns 1 and copies the name, cut to size bytes, or 0 if all names are
 * known.
 */
int request_query_unknown(const struct request *request,
    const char *const known[], char *name, size_t size);

/*
 * Whether another website's page sent this request, according to the browser:
 * by Sec-Fetch-Site, or by an Origin other than the Host. False for an address
 * that a user typed, for this service's own pages, and for clients that are not
 * browsers.
 */
bool request_is_cross_site(const struct request *request);

/* True where the Accept header names this media type, in any quality but 0. */
bool request_accepts(const struct request *request, const char *media_type);

#endif
