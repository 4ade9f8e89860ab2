#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct service;

/* Methods with a name of their own in the metrics (RFC 9110, RFC 5789). */
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
 * What a handler sees. All strings live as long as the request, none is NULL:
 * what the client did not send is "".
 */
struct request {
	enum method method;     /* HEAD arrives as HEAD; answer as for GET */
	const char *path;       /* decoded, without the query */
	const char *parameter;  /* what stands for {...} in the route's path */
	const char *query;      /* as sent, without the question mark */
	const char *accept;     /* the Accept header */
	const char *fetch_site; /* the Sec-Fetch-Site header */
	const char *origin;     /* the Origin header */
	const char *host;    /* the Host header; "" where there is no Origin */
	const char *id;      /* nginx's $request_id, also in its log */
	int64_t received_ns; /* nginx's receipt, CLOCK_REALTIME; 0: unknown */
	pid_t nginx_pid;     /* the process that sent it; 0: unknown */
	const char *body;    /* NUL-terminated, of body_length bytes */
	size_t body_length;
	const struct service *service; /* what the process serves with */
};

/* The method's name, "other" for METHOD_OTHER. */
const char *request_method_name(enum method method);

/* The method of that name; METHOD_OTHER for one that is not known. */
enum method request_method_parse(const char *name);

/*
 * Copy the value of a query parameter, percent-decoded, into value.
 * Returns 1; 0 where the query has no such parameter (value is then "");
 * -EINVAL for broken percent-encoding, a NUL, or a value that does not fit.
 */
int request_query(
    const struct request *request, const char *name, char *value, size_t size);

/*
 * The first query parameter whose name is none of the given ones, for the
 * error that tells the user about it. Returns 1 with the name copied (cut where
 * it does not fit), 0 where all are known.
 */
int request_query_unknown(const struct request *request,
    const char *const known[], char *name, size_t size);

/*
 * Whether a browser marks the request as made by another website's page, by
 * Sec-Fetch-Site, or by an Origin that is not this host. A typed address, a
 * page of this service, and what is no browser are not marked.
 */
bool request_is_cross_site(const struct request *request);

/* True where the Accept header names this media type, in any quality but 0. */
bool request_accepts(const struct request *request, const char *media_type);

#endif
