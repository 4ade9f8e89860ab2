#include "http/nginx_locations.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "http/router.h"

/*
 * A blocking worker may have this many requests, the one under way and those
 * that wait for it. nginx answers more with a 503 at once.
 */
enum { BLOCKING_REQUESTS_MAX = 16 };

/*
 * nginx writes bodies above BODY_DEFAULT to files. One zone counts the
 * bodies of all locations with larger limits; in each, the count times its
 * limit is at most this much, or one body if that is larger. More gets a 503 at
 * once.
 */
enum { BODY_FILES_MAX = 32 << 20 };

/* A path in routes.def has at most 255 bytes, and so has its head. */
enum { PATH_SIZE = 512 };

/* The flags that make a difference to nginx. */
enum {
	LOCATION_FLAGS =
	    ROUTE_NONBLOCKING | ROUTE_RATE_LIMITED | ROUTE_FAULT_INJECTION
};

/*
 * One more flag, for nonblocking paths that only answer GET. Other methods get
 * a 405, so nginx may repeat any request, and need not choose the upstream by
 * method. The choice takes 3 % of nginx's instructions.
 */
enum {
	LOCATION_ONLY_GET = 1 << 30,
	GET_METHODS = 1 << METHOD_GET | 1 << METHOD_HEAD | 1 << METHOD_OPTIONS
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
	unsigned methods = 0;

	if (first == ENDPOINT_OTHER)
		return ROUTE_NONBLOCKING | LOCATION_ONLY_GET;
	for (int i = first; i < ENDPOINT_OTHER; i++) {
		if (first_line(i) != first)
			continue;
		flags |= router_routes[i].flags;
		methods |= router_routes[i].methods;
	}
	flags &= LOCATION_FLAGS;
	if ((flags & ROUTE_NONBLOCKING) && !(methods & ~(unsigned)GET_METHODS))
		flags |= LOCATION_ONLY_GET;
	return flags;
}

/* The largest limit for a body of all lines of a path. */
static size_t
body_max(int first)
{
	size_t max = first == ENDPOINT_OTHER ? BODY_DEFAULT : 0;

	for (int i = first; i < ENDPOINT_OTHER; i++) {
		size_t own = router_route_body_max(&router_routes[i]);

		if (own > max && first_line(i) == first)
			max = own;
	}
	return max;
}

/* nginx keeps up to BODY_DEFAULT of a body in memory. */
static void
print_body_limits(FILE *out, const char *indent, size_t max)
{
	if (max == BODY_DEFAULT)
		return;
	fprintf(out, "%s    client_max_body_size %zuk;\n", indent, max >> 10);
	if (max < BODY_DEFAULT)
		fprintf(out, "%s    client_body_buffer_size %zuk;\n", indent,
		    max >> 10);
	else
		/* Without a warning for each body that goes to a file. */
		fprintf(out,
		    "%s    error_log stderr error;\n"
		    "%s    limit_conn bodies %zu;\n",
		    indent, indent,
		    max < BODY_FILES_MAX ? BODY_FILES_MAX / max : 1);
}

/* Print what nginx does with the requests for a path, and a location's end. */
static void
print_rules(const struct printer *printer, const char *indent, int first)
{
	unsigned flags = flags_of(first);
	size_t max = body_max(first);
	FILE *out = printer->out;

	print_body_limits(out, indent, max);
	if (max > BODY_DEFAULT || !(flags & ROUTE_NONBLOCKING))
		fprintf(out, "%s    limit_conn_status 503;\n", indent);
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
		    "%s    fastcgi_keep_conn off;\n"
		    "%s    fastcgi_pass blocking;\n",
		    indent, BLOCKING_REQUESTS_MAX * printer->blocking_workers,
		    indent, indent);
	else if (flags & (ROUTE_RATE_LIMITED | ROUTE_FAULT_INJECTION))
		fprintf(out, "%s    limit_conn delayed 1000;\n", indent);
	if (flags & ROUTE_NONBLOCKING)
		fprintf(out, "%s    fastcgi_pass %s;\n", indent,
		    flags & LOCATION_ONLY_GET ? "kept" : "$pool");
	fprintf(out, "%s}\n", indent);
}

static void
print_exact(
    const struct printer *printer, const char *path, size_t length, int first)
{
	fprintf(printer->out, "        location = %.*s {\n", (int)length, path);
	print_rules(printer, "        ", first);
}

/* Print a regular expression for the paths that a path matches. */
static void
print_pattern(FILE *out, int first)
{
	const char *p = router_routes[first].path;

	fputc('^', out);
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
	fputs("\\z", out);
}

static void
print_regex(const struct printer *printer, int first)
{
	fputs("            location ~ ", printer->out);
	print_pattern(printer->out, first);
	fputs(" {\n", printer->out);
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
		if (flags_of(paths[i]) != flags_of(paths[0]) ||
		    body_max(paths[i]) != body_max(paths[0]))
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
	int paths[ENDPOINT_COUNT] = {0};
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

/* Print the limits of all paths, in the order in which the router finds them.
 */
static void
print_all_limits(FILE *out)
{
	int paths[ENDPOINT_COUNT] = {0};
	size_t count = 0;

	for (int i = 0; i < ENDPOINT_OTHER; i++)
		if (first_line(i) == i)
			paths[count++] = i;
	qsort(paths, count, sizeof(paths[0]), compare_paths);
	for (size_t i = 0; i < count; i++) {
		fputs("        ~", out);
		print_pattern(out, paths[i]);
		fprintf(out, " %zu;\n", body_max(paths[i]));
	}
}

void
nginx_bodies_print(FILE *out)
{
	size_t smallest = BODY_DEFAULT;
	size_t largest = BODY_DEFAULT;

	router_open(true);
	for (int i = 0; i < ENDPOINT_OTHER; i++) {
		size_t max = router_route_body_max(&router_routes[i]);

		smallest = max < smallest ? max : smallest;
		largest = max > largest ? max : largest;
	}
	fprintf(out,
	    "    client_max_body_size %dk;\n"
	    "    client_body_buffer_size %dk;\n"
	    "    map $uri $body_max {\n"
	    "        default %d;\n",
	    BODY_DEFAULT >> 10, BODY_DEFAULT >> 10, BODY_DEFAULT);
	if (smallest < largest)
		print_all_limits(out);
	fputs("    }\n", out);
	/*
	 * Not $content_length: it would stay empty for a chunked body. From
	 * HTTP/2 on, a body needs neither header.
	 */
	if (largest > BODY_DEFAULT)
		fputs("    map $http_content_length:$http_transfer_encoding:"
		      "$server_protocol:$request_method $with_body {\n"
		      "        default $server_name;\n"
		      "        \"~^[0-9]{1,4}::|^::HTTP/1\" \"\";\n"
		      "        \"~^::.*:(GET|HEAD|OPTIONS)$\" \"\";\n"
		      "    }\n"
		      "    limit_conn_zone $with_body zone=bodies:64k;\n",
		    out);
}
