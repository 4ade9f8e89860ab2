#ifndef LOG_LINES_H
#define LOG_LINES_H

/*
 * Reads the lines that the log writes in JSON.
 */

#include "support.h"

#include <json-c/json.h>

/* Parse a line; the caller puts the object. */
static inline struct json_object *
parse(const char *line)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;

	object = json_tokener_parse_ex(tokener, line, (int)strcspn(line, "\n"));
	if (!object && json_tokener_get_error(tokener) == json_tokener_continue)
		object = json_tokener_parse_ex(tokener, "", 1);
	if (!object)
		fail_msg("not JSON: %s", line);
	json_tokener_free(tokener);
	return object;
}

/* The value of a field as text; good until the object is put. */
static inline const char *
field(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(object, name, &value))
		fail_msg("there is no %s", name);
	return json_object_get_string(value);
}

#endif
