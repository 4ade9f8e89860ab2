/*
 * Part of the build: fails if the router cannot serve a route of routes.def.
 * The router serves literal paths, and paths whose last segment is a {word}.
 */
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	const char *path;
} routes[] = {
#define ROUTE(name, path, methods, flags) {#name, path},
#include "../fcgi/app/routes.def"
#undef ROUTE
};

enum { ROUTE_COUNT = sizeof(routes) / sizeof(routes[0]) };

/* Returns what is wrong with a path, or NULL. */
static const char *
find_fault(const char *path)
{
	const char *brace = strpbrk(path, "{}");
	const char *end;

	if (path[0] != '/')
		return "a path must begin with /";
	if (!brace)
		return NULL;
	if (*brace == '}')
		return "a } must have its {";
	end = strchr(brace, '}');
	if (!end)
		return "a { must have its }";
	if (brace[-1] != '/')
		return "a {word} must be a whole segment";
	if (end == brace + 1)
		return "a {word} must have a name";
	if (end[1] != '\0')
		return "nothing may follow the {word}";
	return NULL;
}

/* The same path to the router: {words} are alike, whatever their names. */
static int
is_same(const char *a, const char *b)
{
	size_t length = strcspn(a, "{");

	return length == strcspn(b, "{") && strncmp(a, b, length) == 0 &&
	       a[length] == b[length];
}

int
main(void)
{
	int status = 0;

	for (int i = 0; i < ROUTE_COUNT; i++) {
		const char *fault = find_fault(routes[i].path);

		if (fault) {
			fprintf(stderr,
			    "fcgi/app/routes.def: route \"%s\", path \"%s\": "
			    "%s\n",
			    routes[i].name, routes[i].path, fault);
			status = 1;
		}
		for (int k = 0; k < i; k++)
			if (is_same(routes[i].path, routes[k].path)) {
				fprintf(stderr,
				    "fcgi/app/routes.def: route \"%s\", path "
				    "\"%s\": has the same path as \"%s\"\n",
				    routes[i].name, routes[i].path,
				    routes[k].name);
				status = 1;
			}
	}
	return status;
}
