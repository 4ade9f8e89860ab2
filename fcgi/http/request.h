#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct service;

/* One for each line of headers.def, in this order. */
enum header {
#define HEADER(name) HEADER_##name,
#include "app/headers.def"
#undef HEADER
	HEADER_COUNT
};

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
 * is NULL: a header or parameter that the client did not send is "". A header
 * can have any bytes but NUL and line breaks, also such that are not UTF-8.
 * response_json() and response_problem() replace these by "?".
 */
struct request {
	enum method method;     /* HEAD arrives as HEAD; answer as for GET */
	const char *path;       /* decoded, without the query */
	const char *parameter;  /* the first {word}; see request_parameter() */
	const char *query;      /* not decoded, without the question mark */
	const char *accept;     /* the Accept header */
	const char *fetch_site; /* the Sec-Fetch-Site header */
	const char *origin;     /* the Origin header */
	const char *host;       /* the Host header; without an Origin header and
				 * without HEADER(host) nginx does not pass it: "" */
	const char *content_type;   /* of the body, as sent */
	const char *cookie;         /* all cookies; see request_cookie() */
	const char *client_address; /* that nginx sees: IPv4 or IPv6 */
	const char *scheme;  /* "http" or "https", between client and nginx */
	const char *id;      /* the trace id, which nginx's log has, too */
	int64_t received_ns; /* by nginx, CLOCK_REALTIME; 0: unknown */
	pid_t nginx_pid;     /* the nginx worker that sent it; 0: unknown */
	const char *body;    /* NUL-terminated, of body_length bytes */
	size_t body_length;
	const struct service *service;
	const char *headers[HEADER_COUNT + 1]; /* NULL: not sent */
	const char *route;             /* its path in routes.def; NULL: none */
	const char *const *parameters; /* of the {words} of route */
};

/*
 * The value of a header of headers.def, such as HEADER_authorization; "" if the
 * client did not send it. If it was sent several times, this is what nginx
 * makes of it: the first one, or from nginx 1.23 all, with ", " between them.
 */
static inline const char *
request_header(const struct request *request, enum header header)
{
	const char *value = request->headers[header];

	return value ? value : "";
}

/*
 * The segment of the path that stands for a {word} of the route, decoded and
 * never empty: request_parameter(request, "id"). "" if the route does not have
 * this word.
 */
const char *request_parameter(const struct request *request, const char *name);

/*
 * Copy the value of a cookie (RFC 6265, section 4.2), without its quotes. The
 * first of several with this name counts. Returns 1; 0 if there is none, and
 * value is "" then; -ENOSPC if the value has size bytes or more. nginx accepts
 * cookies of 16 KiB in all.
 */
int request_cookie(
    const struct request *request, const char *name, char *value, size_t size);

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
