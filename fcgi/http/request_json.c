/*
 * A request's body as JSON. json-c alone would accept more: it ends at a NUL,
 * and does not look at what follows the object.
 */
#include "http/request_json.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <json-c/json.h>
#include <json-c/json_visit.h>

#include "base/utf8.h"

static bool
is_json(const char *content_type)
{
	size_t length = strcspn(content_type, "; \t");

	if (length == 16 &&
	    strncasecmp(content_type, "application/json", 16) == 0)
		return true;
	return length > 5 &&
	       strncasecmp(content_type + length - 5, "+json", 5) == 0;
}

static bool
is_utf8(const char *text, size_t length)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t at = 0, size; at < length; at += size) {
		size = utf8_measure(p + at);
		if (size == 0)
			return false;
	}
	return true;
}

/* Whether a NUL is in the text, by itself or as an escape. */
static bool
has_nul(const char *text, size_t length)
{
	if (memchr(text, '\0', length))
		return true;
	while ((text = strchr(text, '\\'))) {
		if (strncmp(text, "\\u0000", 6) == 0)
			return true;
		text += text[1] ? 2 : 1;
	}
	return false;
}

/*
 * What a body asks of json-c. A body of 1 MiB could take 270 MiB: "{}," has
 * three bytes, and its object 800.
 */
struct demand {
	size_t memory;          /* bytes, estimated */
	bool has_single_quotes; /* accepted also with JSON_TOKENER_STRICT */
};

enum {
	MEMORY_MAX = 16 << 20,
	OBJECT_MEMORY = 800, /* measured with json-c 0.16 and glibc */
	ARRAY_MEMORY = 160,
	VALUE_MEMORY = 100,
};

static struct demand
measure(const char *text)
{
	struct demand demand = {0};
	bool in_string = false;

	for (; *text; text++) {
		if (*text == '"')
			in_string = !in_string;
		else if (in_string && *text == '\\' && text[1])
			text++;
		else if (in_string)
			continue;
		else if (*text == '\'')
			demand.has_single_quotes = true;
		else if (*text == '{')
			demand.memory += OBJECT_MEMORY;
		else if (*text == '[')
			demand.memory += ARRAY_MEMORY;
		else if (*text == ',')
			demand.memory += VALUE_MEMORY;
	}
	return demand;
}

/* json-c reads NaN, Infinity and 1e999; none of them could be written as JSON.
 */
static int
check_number(json_object *value, int flags, json_object *parent,
    const char *key, size_t *index, void *argument)
{
	bool *is_infinite = argument;

	(void)flags, (void)parent, (void)key, (void)index;
	if (json_object_is_type(value, json_type_double) &&
	    !isfinite(json_object_get_double(value)))
		*is_infinite = true;
	return JSON_C_VISIT_RETURN_CONTINUE;
}

/*
 * Parse a text of this length, which a NUL ends. Returns the object, or NULL
 * and what is wrong. *end is where the value ends.
 */
static struct json_object *
tokenize(const char *text, size_t length, int flags, size_t *end,
    const char **problem)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;
	enum json_tokener_error error;

	*problem = "there is no memory for it";
	if (!tokener)
		return NULL;
	/* What follows the value is checked by the caller. */
	json_tokener_set_flags(
	    tokener, flags | JSON_TOKENER_ALLOW_TRAILING_CHARS);
	/* With its NUL, by which json-c sees the end of the text. */
	object = json_tokener_parse_ex(tokener, text, (int)length + 1);
	*end = json_tokener_get_parse_end(tokener);
	error = json_tokener_get_error(tokener);
	json_tokener_free(tokener);
	*problem = error == json_tokener_success
		       ? NULL
		       : json_tokener_error_desc(error);
	return object;
}

/*
 * Check the syntax. json-c 0.18 refuses every byte above 127 in a string if it
 * is strict, so a copy has letters in their places.
 */
static const char *
check_syntax(const char *text, size_t length, size_t *end)
{
	char *copy = malloc(length + 1);
	const char *problem;

	if (!copy)
		return "there is no memory for it";
	for (size_t i = 0; i <= length; i++)
		copy[i] = (unsigned char)text[i] > 127 ? 'x' : text[i];
	json_object_put(
	    tokenize(copy, length, JSON_TOKENER_STRICT, end, &problem));
	free(copy);
	return problem;
}

/* Parse the body. Returns the object, or NULL and what is wrong. */
static struct json_object *
parse(const struct request *request, const char **problem)
{
	const char *body = request->body;
	struct json_object *object;
	bool is_infinite = false;
	size_t end;

	*problem = check_syntax(body, request->body_length, &end);
	if (!*problem &&
	    end + strspn(body + end, " \t\r\n") < request->body_length)
		*problem = "something follows the value";
	if (*problem)
		return NULL;
	object = tokenize(body, request->body_length, 0, &end, problem);
	if (!*problem && !json_object_is_type(object, json_type_object))
		*problem = "it is not an object";
	if (!*problem &&
	    (json_c_visit(object, 0, check_number, &is_infinite) < 0 ||
		is_infinite))
		*problem = "a number is too large, or not a number";
	if (!*problem)
		return object;
	json_object_put(object);
	return NULL;
}

struct json_object *
request_json(const struct request *request, struct response *response)
{
	struct json_object *object = NULL;
	struct demand demand = measure(request->body);
	const char *problem;

	if (!is_json(request->content_type))
		response_problem(response, 415,
		    "The Content-Type must be application/json.");
	else if (request->body_length == 0)
		response_problem(response, 400, "The body is empty.");
	else if (has_nul(request->body, request->body_length))
		response_problem(response, 400, "The body contains a NUL.");
	else if (!is_utf8(request->body, request->body_length))
		response_problem(response, 400, "The body is not UTF-8.");
	/* Behind a single quote the measure may be wrong. */
	else if (demand.has_single_quotes)
		response_problem(response, 400,
		    "The body is not a JSON object: it has single quotes.");
	else if (demand.memory > MEMORY_MAX)
		response_problem(response, 413,
		    "The body has too many objects and values: they would "
		    "take more than %d MiB.",
		    MEMORY_MAX >> 20);
	else if (!(object = parse(request, &problem)))
		response_problem(response, 400,
		    "The body is not a JSON object: %s.", problem);
	return object;
}
