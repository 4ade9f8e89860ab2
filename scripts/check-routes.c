/*
 * Part of the build: fails for a line of fcgi/app/routes.def that the router or
 * nginx could not serve as it stands there.
 */
#include <stdio.h>
#include <string.h>

#include "../fcgi/http/body_size.h"

#define GET    1u
#define POST   2u
#define PUT    4u
#define DELETE 8u
#define PATCH  16u

/* The flags that nginx's location has, for all lines of a path. */
#define NONBLOCKING     1u
#define RATE_LIMITED    2u
#define FAULT_INJECTION 0u
#define ALWAYS          0u
#define BODY(size)      0u

enum { PATH_MAX_LENGTH = 255, WORDS_MAX = 8 };

static const struct route {
	int line;
	const char *name;
	const char *path;
	unsigned methods;
	unsigned flags;
	const char *flags_text;
} routes[] = {
#define ROUTE(name, path, methods, flags)                                      \
	{__LINE__, #name, path, methods, flags, #flags},
#include "../fcgi/app/routes.def"
#undef ROUTE
};

enum { ROUTE_COUNT = sizeof(routes) / sizeof(routes[0]) };

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define DIGITS  "0123456789"

/* What is wrong with a {word} that begins here; NULL: nothing. */
static const char *
find_fault_in_word(const char *word)
{
	size_t length = strcspn(word, "/");
	size_t name = strspn(word + 1, LETTERS DIGITS);

	if (!memchr(word, '}', length))
		return "a { must have its }";
	if (name == 0)
		return "a {word} must have a name of letters, digits and _";
	if (word[1 + name] != '}')
		return "a {word} has only letters, digits and _";
	if (2 + name != length)
		return "a {word} must be a whole segment";
	return NULL;
}

/* What is wrong with a segment; NULL: nothing. */
static const char *
find_fault_in_segment(const char *segment)
{
	size_t length = strcspn(segment, "/");

	if (*segment == '{')
		return find_fault_in_word(segment);
	if (memchr(segment, '{', length))
		return "a {word} must be a whole segment";
	if (memchr(segment, '}', length))
		return "a } must have its {";
	if (length == 0 && segment[length] == '/')
		return "only the last segment can be empty";
	if ((length == 1 && memcmp(segment, ".", 1) == 0) ||
	    (length == 2 && memcmp(segment, "..", 2) == 0))
		return "browsers and nginx resolve . and ..";
	for (size_t i = 0; i < length; i++)
		if (!strchr(LETTERS DIGITS "-.~:@+,=", segment[i]) &&
		    (unsigned char)segment[i] < 0x80)
			return "a segment has only letters, digits and "
			       "-._~:@+,=";
	return NULL;
}

/* Whether the {word} at this place was in the path before. */
static int
is_repeated(const char *path, const char *word)
{
	size_t length = strcspn(word, "}") + 1;

	for (; path < word; path++)
		if (strncmp(path, word, length) == 0)
			return 1;
	return 0;
}

/* Whether nginx has a location of its own for a path (nginx/). */
static int
is_reserved(const char *path)
{
	static const char *const folders[] = {"/.files/", "/static/"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (strncmp(path, folders[i], strlen(folders[i])) == 0)
			return 1;
	return strcmp(path, "/.problem") == 0;
}

/* The name is a part of the handler's name, and a label of metrics. */
static const char *
find_fault_in_name(const char *name)
{
	if (!*name || strchr(DIGITS, *name) ||
	    name[strspn(name, LETTERS DIGITS)])
		return "a name has only letters, digits and _, and begins with "
		       "no digit";
	if (strcmp(name, "other") == 0)
		return "unknown paths are counted as \"other\"";
	if (strcmp(name, "static") == 0)
		return "static files are counted as \"static\"";
	return NULL;
}

static const char *
find_fault_in_path(const char *path)
{
	int words = 0;

	if (*path != '/')
		return "a path must begin with /";
	if (strlen(path) > PATH_MAX_LENGTH)
		return "a path has at most 255 bytes";
	if (is_reserved(path))
		return "nginx serves /.problem, and all below /.files/ and "
		       "/static/, by itself";
	for (const char *p = path; p; p = strchr(p + 1, '/')) {
		const char *fault = find_fault_in_segment(p + 1);

		if (fault)
			return fault;
		if (p[1] != '{')
			continue;
		if (is_repeated(path, p + 1))
			return "a path cannot have the same {word} twice";
		if (++words > WORDS_MAX)
			return "a path has at most 8 {words}";
	}
	return NULL;
}

#define SIZE_OR(name, bits)   #name " or "
#define SIZE_CALL(name, bits) "BODY(" #name ")",

/* What is wrong with the BODY(size) of a route; NULL: nothing. */
static const char *
find_fault_in_body(const struct route *route)
{
	static const char *const calls[] = {BODY_SIZES(SIZE_CALL)};
	const char *body = strstr(route->flags_text, "BODY(");

	if (!body)
		return NULL;
	if (route->methods == GET)
		return "GET has no body, so the route has no BODY(size)";
	if (strstr(body + 1, "BODY("))
		return "a route has one BODY(size)";
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strncmp(body, calls[i], strlen(calls[i])) == 0)
			return NULL;
	return "the size of BODY must be " BODY_SIZES(SIZE_OR) "absent";
}

/* The same path to the router: {words} are alike, whatever their names. */
static int
is_same_path(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		if (*a == '{') {
			a += strcspn(a, "}");
			b += strcspn(b, "}");
		}
	return *a == *b;
}

/* What is wrong with a route beside another one; NULL: nothing. */
static const char *
find_conflict(const struct route *route, const struct route *other)
{
	if (strcmp(route->name, other->name) == 0)
		return "has the same name as";
	if (!is_same_path(route->path, other->path))
		return NULL;
	if (route->methods & other->methods)
		return "has the same path and method as";
	if (route->flags != other->flags)
		return "shares its path, and so must share NONBLOCKING and "
		       "RATE_LIMITED, with";
	return NULL;
}

static void
begin(const struct route *route)
{
	fprintf(stderr,
	    "fcgi/app/routes.def:%d: route \"%s\", path \"%s\": ", route->line,
	    route->name, route->path);
}

/* Returns 1 if something is wrong with a route, after it has said what. */
static int
check(const struct route *route)
{
	const char *fault = find_fault_in_path(route->path);

	if (!fault)
		fault = find_fault_in_name(route->name);
	if (!fault && route->methods == 0)
		fault = "a route has at least one method";
	if (!fault)
		fault = find_fault_in_body(route);
	if (!fault)
		return 0;
	begin(route);
	fprintf(stderr, "%s\n", fault);
	return 1;
}

/* Returns 1 if a route is in conflict with one before it. */
static int
compare(const struct route *route)
{
	for (const struct route *other = routes; other < route; other++) {
		const char *fault = find_conflict(route, other);

		if (!fault)
			continue;
		begin(route);
		fprintf(stderr, "%s \"%s\" in line %d\n", fault, other->name,
		    other->line);
		return 1;
	}
	return 0;
}

int
main(void)
{
	int status = 0;

	for (int i = 0; i < ROUTE_COUNT; i++)
		status |= check(&routes[i]);
	for (int i = 0; i < ROUTE_COUNT && status == 0; i++)
		status = compare(&routes[i]);
	return status;
}
