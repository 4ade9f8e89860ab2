/*
 * Finds the handler for a path and a method. Also answers 404, 405 and OPTIONS,
 * so that handlers do not have to.
 */
#include "http/router.h"

#include <string.h>

#include "http/path_tree.h"

#define GET    (1u << METHOD_GET | 1u << METHOD_HEAD)
#define POST   (1u << METHOD_POST)
#define PUT    (1u << METHOD_PUT)
#define DELETE (1u << METHOD_DELETE)
#define PATCH  (1u << METHOD_PATCH)

#define FAULT_INJECTION ROUTE_FAULT_INJECTION
#define NONBLOCKING     ROUTE_NONBLOCKING
#define RATE_LIMITED    ROUTE_RATE_LIMITED
#define ALWAYS          ROUTE_ALWAYS
#define BODY(size)      BODY_##size

const struct route router_routes[] = {
#define ROUTE(name, path, methods, flags)                                      \
	{#name, path, (methods) | 1u << METHOD_OPTIONS, flags, endpoint_##name},
#include "app/routes.def"
#undef ROUTE
};

/* It has at least as many bytes as the paths have segments (path_tree.h). */
struct segments {
#define ROUTE(name, path, methods, flags) char path_##name[sizeof(path) / 2];
#include "app/routes.def"
#undef ROUTE
};

enum { PATH_SIZE = 64 << 10 }; /* nginx accepts paths of 16 KiB */

/* The number of a path is the endpoint of its first line. */
static struct path_tree_node nodes[PATH_TREE_SIZE(sizeof(struct segments))];
static struct path_tree tree;

/* The next line of the same path; ENDPOINT_OTHER behind the last one. */
static int next_line[ENDPOINT_COUNT];

const char *
router_endpoint_name(int endpoint)
{
	if (endpoint < ENDPOINT_OTHER)
		return router_routes[endpoint].name;
	return endpoint == ENDPOINT_STATIC ? "static" : "other";
}

void
router_open(bool fault_injection)
{
	path_tree_init(&tree, nodes, sizeof(nodes) / sizeof(nodes[0]));
	for (int i = 0; i < ENDPOINT_OTHER; i++) {
		const struct route *route = &router_routes[i];
		int *line = path_tree_add(&tree, route->path);

		/* A path whose lines are off keeps its place: it is a 404. */
		if (*line == PATH_TREE_NONE)
			*line = ENDPOINT_OTHER;
		if ((route->flags & ROUTE_FAULT_INJECTION) && !fault_injection)
			continue;
		while (*line != ENDPOINT_OTHER)
			line = &next_line[*line];
		*line = i;
		next_line[i] = ENDPOINT_OTHER;
	}
}

/* The first line of the path, or ENDPOINT_OTHER. */
static int
find_path(const char *path, struct path_tree_match *match)
{
	int line = path_tree_find(&tree, path, match);

	return line == PATH_TREE_NONE ? ENDPOINT_OTHER : line;
}

/* The line with this method; without one, the first line. */
static int
find_line(int first, enum method method)
{
	for (int line = first; line != ENDPOINT_OTHER; line = next_line[line])
		if (router_routes[line].methods & 1u << method)
			return line;
	return first;
}

int
router_find(enum method method, const char *path)
{
	struct path_tree_match match;

	return find_line(find_path(path, &match), method);
}

size_t
router_route_body_max(const struct route *route)
{
	unsigned bits = route->flags >> ROUTE_BODY_SHIFT & ROUTE_BODY_MASK;

	return bits ? (size_t)1 << bits : BODY_DEFAULT;
}

size_t
router_body_max(const struct request *request)
{
	int endpoint = router_find(request->method, request->path);
	const struct route *route = &router_routes[endpoint];

	return endpoint != ENDPOINT_OTHER &&
		       (route->methods & 1u << request->method)
		   ? router_route_body_max(route)
		   : BODY_DEFAULT;
}

int
router_refuse_body(const struct request *request, struct response *response)
{
	response_problem(response, 413, "The body has more than %zu bytes.",
	    router_body_max(request));
	return router_find(request->method, request->path);
}

/* Add the methods of all lines of a path. */
static void
allow(struct response *response, int first)
{
	char value[128] = "";
	unsigned methods = 0;

	for (int line = first; line != ENDPOINT_OTHER; line = next_line[line])
		methods |= router_routes[line].methods;
	for (int i = 0; i < METHOD_OTHER; i++)
		if (methods & 1u << i) {
			if (*value)
				strcat(value, ", ");
			strcat(value, request_method_name((enum method)i));
		}
	response_header(response, "Allow", value);
}

/*
 * Give the request what stands for the {words}, in a copy of the path that has
 * a NUL behind each. Returns false if the path is too long for that.
 */
static bool
set_parameters(struct request *request, const struct route *route,
    const struct path_tree_match *match)
{
	static char copy[PATH_SIZE];
	static const char *parameters[PATH_TREE_WORDS_MAX];
	size_t size = match->count > 0 ? strlen(request->path) + 1 : 0;

	if (size > sizeof(copy))
		return false;
	memcpy(copy, request->path, size);
	for (size_t i = 0; i < match->count; i++) {
		char *text = copy + (match->words[i].text - request->path);

		text[match->words[i].length] = '\0';
		parameters[i] = text;
	}
	request->route = route->path;
	request->parameters = parameters;
	if (match->count > 0)
		request->parameter = parameters[0];
	return true;
}

int
router_dispatch(struct request *request, struct response *response)
{
	struct path_tree_match match;
	int first = find_path(request->path, &match);
	int endpoint = find_line(first, request->method);
	const struct route *route = &router_routes[endpoint];

	if (endpoint == ENDPOINT_OTHER) {
		response_problem(
		    response, 404, "There is nothing at %s.", request->path);
	} else if (!(route->methods & 1u << request->method)) {
		response_problem(response, 405,
		    "%s does not allow this method; see Allow.", route->path);
		allow(response, first);
	} else if (request->method == METHOD_OPTIONS) {
		response_text(response, 204, "");
		allow(response, first);
	} else if ((route->flags & ROUTE_FAULT_INJECTION) &&
		   request_is_cross_site(request)) {
		response_problem(response, 403,
		    "%s does not accept requests from another website's pages.",
		    route->path);
	} else if (!set_parameters(request, route, &match)) {
		response_problem(response, 414,
		    "The path has more than %d bytes.", PATH_SIZE - 1);
	} else {
		route->handler(request, response);
		response_validate(response, route->name);
	}
	return endpoint;
}
