/*
 * Finds the handler for a path in a hash table, whose keys are the literal
 * parts of the paths in routes.def. Also answers 404, 405 and OPTIONS, so that
 * handlers do not have to.
 */
#include "http/router.h"

#include <string.h>

#include "base/hash.h"

#define GET    (1u << METHOD_GET | 1u << METHOD_HEAD)
#define POST   (1u << METHOD_POST)
#define PUT    (1u << METHOD_PUT)
#define DELETE (1u << METHOD_DELETE)
#define PATCH  (1u << METHOD_PATCH)

#define FAULT_INJECTION ROUTE_FAULT_INJECTION
#define NONBLOCKING     ROUTE_NONBLOCKING
#define RATE_LIMITED    ROUTE_RATE_LIMITED
#define ALWAYS          ROUTE_ALWAYS

const struct route router_routes[] = {
#define ROUTE(name, path, methods, flags)                                      \
	{#name, path, (methods) | 1u << METHOD_OPTIONS, flags, endpoint_##name},
#include "app/routes.def"
#undef ROUTE
};

/* At most a quarter full, so that a lookup takes one or two steps. */
enum { TABLE_SIZE = 4 * ENDPOINT_COUNT + 1 };

static struct {
	const char *literal; /* the path up to its {word}; NULL: free */
	size_t length;
	bool has_parameter;
	int endpoint;
} table[TABLE_SIZE];

const char *
router_endpoint_name(int endpoint)
{
	return endpoint < ENDPOINT_OTHER ? router_routes[endpoint].name
					 : "other";
}

/* Where in the table to look first. */
static size_t
place_of(const char *literal, size_t length)
{
	return hash_add(HASH_START, literal, length) % TABLE_SIZE;
}

void
router_open(bool fault_injection)
{
	memset(table, 0, sizeof(table));
	for (int i = 0; i < ENDPOINT_OTHER; i++) {
		const struct route *route = &router_routes[i];
		size_t length = strcspn(route->path, "{");
		size_t at = place_of(route->path, length);

		if ((route->flags & ROUTE_FAULT_INJECTION) && !fault_injection)
			continue;
		while (table[at].literal)
			at = (at + 1) % TABLE_SIZE;
		table[at].literal = route->path;
		table[at].length = length;
		table[at].has_parameter = route->path[length] == '{';
		table[at].endpoint = i;
	}
}

static int
lookup(const char *path, size_t length, bool has_parameter)
{
	for (size_t at = place_of(path, length); table[at].literal;
	     at = (at + 1) % TABLE_SIZE)
		if (table[at].length == length &&
		    table[at].has_parameter == has_parameter &&
		    memcmp(table[at].literal, path, length) == 0)
			return table[at].endpoint;
	return ENDPOINT_OTHER;
}

int
router_find(const char *path, const char **parameter)
{
	const char *slash = strrchr(path, '/');
	int endpoint = lookup(path, strlen(path), false);

	*parameter = "";
	if (endpoint != ENDPOINT_OTHER || !slash || slash[1] == '\0')
		return endpoint;
	endpoint = lookup(path, (size_t)(slash + 1 - path), true);
	if (endpoint != ENDPOINT_OTHER)
		*parameter = slash + 1;
	return endpoint;
}

static void
allow(struct response *response, unsigned methods)
{
	char value[128] = "";

	for (int i = 0; i < METHOD_OTHER; i++)
		if (methods & 1u << i) {
			if (*value)
				strcat(value, ", ");
			strcat(value, request_method_name((enum method)i));
		}
	response_header(response, "Allow", value);
}

int
router_dispatch(struct request *request, struct response *response)
{
	int endpoint = router_find(request->path, &request->parameter);
	const struct route *route = &router_routes[endpoint];

	if (endpoint == ENDPOINT_OTHER) {
		response_problem(
		    response, 404, "There is nothing at %s.", request->path);
	} else if (!(route->methods & 1u << request->method)) {
		response_problem(response, 405,
		    "%s does not allow this method; see Allow.", route->path);
		allow(response, route->methods);
	} else if (request->method == METHOD_OPTIONS) {
		response_text(response, 204, "");
		allow(response, route->methods);
	} else if ((route->flags & ROUTE_FAULT_INJECTION) &&
		   request_is_cross_site(request)) {
		response_problem(response, 403,
		    "%s does not accept requests from another website's pages.",
		    route->path);
	} else {
		route->handler(request, response);
	}
	return endpoint;
}
