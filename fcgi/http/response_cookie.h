#ifndef RESPONSE_COOKIE_H
#define RESPONSE_COOKIE_H

#include <stdbool.h>

#include "http/request.h"
#include "http/response.h"

enum cookie_same_site { COOKIE_LAX, COOKIE_STRICT, COOKIE_NONE };

/*
 * A cookie (RFC 6265). All zeros but name and value is a safe cookie: scripts
 * cannot read it, other websites' requests do not carry it, and the browser
 * forgets it when it ends.
 */
struct cookie {
	const char *name;  /* a token: letters, digits, and some others */
	const char *value; /* printable ASCII without space " , ; and \ */
	const char *path;  /* NULL: "/" */
	long max_age;      /* seconds; 0: of this session; -1: delete it */
	enum cookie_same_site same_site;
	bool is_secure; /* only for https, even if this request is not */
	bool is_public; /* scripts can read it: no HttpOnly */
};

/*
 * Add a Set-Cookie header. The cookie is Secure if the request came by https,
 * if is_secure is set, or if COOKIE_NONE or the prefix of its name needs it.
 * Returns 0. A cookie with a byte that is not allowed is omitted and logged,
 * and the result is -EINVAL.
 */
int response_cookie(const struct request *request, struct response *response,
    const struct cookie *cookie);

#endif
