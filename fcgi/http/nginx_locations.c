#include "http/nginx_locations.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "http/router.h"

/*
 * A blocking worker may have this many requests, the one under way and those
 * that wait for it. nginx answers more with a 503 at once.
 */
enum { BLOCKING_REQUESTS_MAX = 16 };

/*
 * No regular expressions, since nginx would try each for every request. And no
 * slash at the end, with which nginx redirects a path that lacks it.
 */
static void
print_path(FILE *out, const char *path)
{
	size_t length = strcspn(path, "{");

	if (path[length] == '\0')
		fprintf(out, "        location = %s {\n", path);
	else
		fprintf(out, "        location %.*s {\n",
		    (int)(length > 1 ? length - 1 : length), path);
}

static void
print_location(FILE *out, const struct route *route, unsigned blocking_workers)
{
	print_path(out, route->path);
	if (route->flags & ROUTE_RATE_LIMITED)
		fputs("            limit_req zone=harmful burst=200 nodelay;\n",
		    out);
	else if (route->flags & ROUTE_FAULT_INJECTION)
		fputs("            limit_req zone=harmless burst=20000 "
		      "nodelay;\n",
		    out);
	if (route->flags & ROUTE_NONBLOCKING)
		fputs("            limit_conn delayed 1000;\n"
		      "            fastcgi_pass $pool;\n",
		    out);
	else
		fprintf(out,
		    "            limit_conn blocking %u;\n"
		    "            limit_conn_status 503;\n"
		    "            fastcgi_keep_conn off;\n"
		    "            fastcgi_pass blocking;\n",
		    BLOCKING_REQUESTS_MAX * blocking_workers);
	fputs("        }\n", out);
}

void
nginx_locations_print(FILE *out, unsigned blocking_workers)
{
	bool has_default = false;

	for (int i = 0; i < ENDPOINT_OTHER; i++) {
		const struct route *route = &router_routes[i];

		if ((route->flags | ROUTE_ALWAYS) ==
		    (ROUTE_NONBLOCKING | ROUTE_ALWAYS))
			continue;
		print_location(out, route, blocking_workers);
		has_default |= strncmp(route->path, "/{", 2) == 0;
	}
	if (!has_default)
		fputs("        location / {\n"
		      "            fastcgi_pass $pool;\n"
		      "        }\n",
		    out);
}

/* Headers that nginx.conf.template passes for every service. */
static bool
is_always_passed(const char *name)
{
	static const char *const names[] = {
	    "accept", "cookie", "origin", "sec_fetch_site"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

void
nginx_headers_print(FILE *out)
{
	static const char *const names[] = {
#define HEADER(name) #name,
#include "app/headers.def"
#undef HEADER
	    NULL};

	for (const char *const *name = names; *name; name++) {
		if (is_always_passed(*name))
			continue;
		fputs("    fastcgi_param HTTP_", out);
		for (const char *p = *name; *p; p++)
			fputc(toupper((unsigned char)*p), out);
		fprintf(out, " $http_%s if_not_empty;\n", *name);
	}
}
