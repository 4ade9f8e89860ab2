#include "http/nginx_locations.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "http/router.h"

/*
 * A blocking worker may have this many requests, the one under way and those
 * that wait for it. nginx answers more with a 503 at once.
 */
enum { BLOCKING_REQUESTS_MAX = 16 };

/* A path in routes.def has at most 255 bytes, and so has its head. */
enum { PATH_SIZE = 512 };

/* The flags that make a difference to nginx. */
enum {
	LOCATION_FLAGS =
	    ROUTE_NONBLOCKING | ROUTE_RATE_LIMITED | ROUTE_FAULT_INJECTION
};

struct printer {
	FILE *out;
	unsigned blocking_workers;
};

/* The length of a path up to its first {word}. */
static size_t
head_length(const char *path)
{
	return strcspn(path, "{");
}

static bool
has_word(const char *path)
{
	return strchr(path, '{') != NULL;
}

/*
 * Ask the router which path it finds for requests that begin with a head of
 * this length, such as "/notes/", and match the rest of a path. "*" is in no
 * literal segment, so it is found only as a {word}. Returns the first line of
 * the path that is found, or ENDPOINT_OTHER.
 */
static int
find_example(const char *head, size_t length, const char *rest)
{
	char example[PATH_SIZE];
	size_t used = length;

	memcpy(example, head, length);
	while (*rest) {
		example[used++] = *rest == '{' ? '*' : *rest;
		rest += *rest == '{' ? strcspn(rest, "}") + 1 : 1;
	}
	example[used] = '\0';
	return router_find(METHOD_OPTIONS, example);
}

/* The same for a path whose first segments stand for those of the head. */
static int
find_below(const char *head, size_t length, const char *path)
{
	for (size_t i = 0; i < length; i++) {
		if (head[i] != '/')
			continue;
		path = strchr(path, '/');
		if (!path)
			return ENDPOINT_OTHER;
		path++;
	}
	return find_example(head, length, path);
}

/* The first line of a route's path. */
static int
first_line(int endpoint)
{
	return find_below("/", 1, router_routes[endpoint].path);
}

/* The flags of all lines of a path. */
static unsigned
flags_of(int first)
{
	unsigned flags = 0;

	if (first == ENDPOINT_OTHER)
		return ROUTE_NONBLOCKING;
	for (int i = first; i < ENDPOINT_OTHER; i++)
		if (first_line(i) == first)
			flags |= router_routes[i].flags;
	return flags & LOCATION_FLAGS;
}

/* Print what nginx does with the requests for a path, and a location's end. */
static void
print_rules(const struct printer *printer, const char *indent, int first)
{
	unsigned flags = flags_of(first);
	FILE *out = printer->out;

	if (flags & ROUTE_RATE_LIMITED)
		fprintf(out,
		    "%s    set $limited_route %s;\n"
		    "%s    limit_req zone=harmful burst=200 nodelay;\n",
		    indent, router_endpoint_name(first), indent);
	else if (flags & ROUTE_FAULT_INJECTION)
		fprintf(out,
		    "%s    limit_req zone=harmless burst=20000 nodelay;\n",
		    indent);
	if (!(flags & ROUTE_NONBLOCKING))
		fprintf(out,
		    "%s    limit_conn blocking %u;\n"
		    "%s    limit_conn_status 503;\n"
		    "%s    fastcgi_keep_conn off;\n"
		    "%s    fastcgi_pass blocking;\n",
		    indent, BLOCKING_REQUESTS_MAX * printer->blocking_workers,
		    indent, indent, indent);
	else if (flags != ROUTE_NONBLOCKING)
		fprintf(out,
		    "%s    limit_conn delayed 1000;\n"
		    "%s    fastcgi_pass $pool;\n",
		    indent, indent);
	else
		fprintf(out, "%s    fastcgi_pass $pool;\n", indent);
	fprintf(out, "%s}\n", indent);
}

static void
print_exact(
    const struct printer *printer, const char *path, size_t length, int first)
{
	fprintf(printer->out, "        location = %.*s {\n", (int)length, path);
	print_rules(printer, "        ", first);
}

/* Print a location for the paths that a path with {words} matches. */
static void
print_regex(const struct printer *printer, int first)
{
	FILE *out = printer->out;
	const char *p = router_routes[first].path;

	fputs("            location ~ ^", out);
	while (*p) {
		if (*p == '{') {
			fputs("[^/]+", out);
			p += strcspn(p, "}") + 1;
			continue;
		}
		if (*p == '.' || *p == '+')
			fputc('\\', out);
		fputc(*p++, out);
	}
	fputs("\\z {\n", out);
	print_rules(printer, "            ", first);
}

/*
 * Order paths as the router prefers them. A {word} is behind all literals, and
 * the names of {words} make no difference.
 */
static int
compare_paths(const void *left, const void *right)
{
	const char *a = router_routes[*(const int *)left].path;
	const char *b = router_routes[*(const int *)right].path;

	for (; *a && *a == *b; a++, b++)
		if (*a == '{') {
			a += strcspn(a, "}");
			b += strcspn(b, "}");
		}
	if ((*a == '{') != (*b == '{'))
		return *a == '{' ? 1 : -1;
	return (unsigned char)*a - (unsigned char)*b;
}

/*
 * Find the paths with {words} that requests below a head can match, in the
 * order of the router. nginx sends those with a longer head to a location of
 * their own. Returns how many there are.
 */
static size_t
find_paths_below(const char *head, size_t length, int paths[ENDPOINT_COUNT])
{
	size_t count = 0;

	for (int i = 0; i < ENDPOINT_OTHER; i++) {
		const char *path = router_routes[i].path;

		if (has_word(path) && head_length(path) <= length &&
		    find_below(head, length, path) == i)
			paths[count++] = i;
	}
	qsort(paths, count, sizeof(paths[0]), compare_paths);
	return count;
}

static bool
are_alike(const int paths[], size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (flags_of(paths[i]) != flags_of(paths[0]))
			return false;
	return true;
}

/*
 * Print the location for a head such as "/notes/". nginx would redirect
 * "/notes" to it, so that has a location, too. Only where paths differ below
 * the head there are regular expressions, and only its requests pay for them.
 */
static void
print_head(const struct printer *printer, const char *head, size_t length)
{
	int paths[ENDPOINT_COUNT];
	size_t count = find_paths_below(head, length, paths);
	int above = find_example(head, length - 1, "");

	if (length > 1 &&
	    (above == ENDPOINT_OTHER || has_word(router_routes[above].path)))
		print_exact(printer, head, length - 1, above);
	fprintf(printer->out, "        location %.*s {\n", (int)length, head);
	if (are_alike(paths, count)) {
		print_rules(printer, "        ", paths[0]);
		return;
	}
	for (size_t i = 0; i < count; i++)
		print_regex(printer, paths[i]);
	print_rules(printer, "        ", ENDPOINT_OTHER);
}

/* Whether no line before has the same head. */
static bool
is_first_of_head(int endpoint)
{
	const char *path = router_routes[endpoint].path;
	size_t length = head_length(path) + 1;

	for (int i = 0; i < endpoint; i++)
		if (strncmp(router_routes[i].path, path, length) == 0)
			return false;
	return true;
}

void
nginx_locations_print(FILE *out, unsigned blocking_workers)
{
	const struct printer printer = {out, blocking_workers};
	bool has_default = false;

	router_open(true);
	for (int i = 0; i < ENDPOINT_OTHER; i++) {
		const char *path = router_routes[i].path;

		if (!has_word(path) && first_line(i) == i)
			print_exact(&printer, path, strlen(path), i);
		else if (has_word(path) && is_first_of_head(i))
			print_head(&printer, path, head_length(path));
		has_default |= strncmp(path, "/{", 2) == 0;
	}
	if (!has_default) {
		fputs("        location / {\n", out);
		print_rules(&printer, "        ", ENDPOINT_OTHER);
	}
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
