/*
 * GET /version: the version, revision and date of this build.
 */
#include <json-c/json.h>

#include "http/router.h"
#include "base/program.h"
#include "base/version.h"

void
endpoint_version(const struct request *request, struct response *response)
{
	struct json_object *build = json_object_new_object();

	(void)request;
	json_object_object_add(
	    build, "name", json_object_new_string(PROGRAM_NAME));
	json_object_object_add(
	    build, "version", json_object_new_string(version_number));
	json_object_object_add(
	    build, "revision", json_object_new_string(version_revision));
	json_object_object_add(
	    build, "built", json_object_new_string(version_built));
	response_json(response, 200, build);
}
