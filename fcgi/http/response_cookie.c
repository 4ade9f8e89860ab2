/*
 * The Set-Cookie header.
 */
#include "http/response_cookie.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* Whether all bytes are printable ASCII and none of those refused. */
static bool
has_only(const char *text, const char *refused)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e || strchr(refused, *text))
			return false;
	return true;
}

static const char *
find_fault(const struct cookie *cookie)
{
	if (!*cookie->name || !has_only(cookie->name, " \"(),/:;<=>?@[\\]{}"))
		return "its name is not a token";
	if (!has_only(cookie->value, " \",;\\"))
		return "its value has a character that is not allowed";
	if (cookie->path &&
	    (*cookie->path != '/' || !has_only(cookie->path, ";")))
		return "its path is none";
	return NULL;
}

static bool
is_secure(const struct request *request, const struct cookie *cookie)
{
	return cookie->is_secure || cookie->same_site == COOKIE_NONE ||
	       strncmp(cookie->name, "__Secure-", 9) == 0 ||
	       strncmp(cookie->name, "__Host-", 7) == 0 ||
	       (request->scheme && strcmp(request->scheme, "https") == 0);
}

int
response_cookie(const struct request *request, struct response *response,
    const struct cookie *cookie)
{
	static const char *const same_site[] = {[COOKIE_LAX] = "Lax",
	    [COOKIE_STRICT] = "Strict",
	    [COOKIE_NONE] = "None"};
	char value[RESPONSE_HEAD_MAX];
	const char *fault = find_fault(cookie);
	char age[40] = "";
	int length;

	if (cookie->max_age)
		snprintf(age, sizeof(age), "; Max-Age=%ld",
		    cookie->max_age > 0 ? cookie->max_age : 0);
	length =
	    snprintf(value, sizeof(value), "%s=%s; Path=%s%s%s%s; SameSite=%s",
		cookie->name, cookie->value, cookie->path ? cookie->path : "/",
		age, is_secure(request, cookie) ? "; Secure" : "",
		cookie->is_public ? "" : "; HttpOnly",
		same_site[cookie->same_site]);
	if (!fault && (size_t)length >= sizeof(value))
		fault = "it is larger than a response's head";
	if (fault) {
		LOG(LOG_ERROR, "cookie omitted",
		    LOG_STRING("cookie", cookie->name),
		    LOG_STRING("reason", fault));
		return -EINVAL;
	}
	response_header(response, "Set-Cookie", value);
	return 0;
}
