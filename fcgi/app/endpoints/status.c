/*
 * GET /status/{code}: answers with this status, to test error alerts.
 */
#include <json-c/json.h>

#include "base/number.h"
#include "http/router.h"

void
endpoint_status(const struct request *request, struct response *response)
{
	struct json_object *body;
	double code;

	if (number_parse(request->parameter, &code) < 0 || code < 200 ||
	    code > 599 || code != (int)code) {
		response_problem(response, 400,
		    "The status must be a whole number from 200 to 599.");
		return;
	}
	if (code == 204 || code == 304) { /* RFC 9110: these have no body */
		response_text(response, (int)code, "");
		return;
	}
	if (code >= 400) {
		response_problem(
		    response, (int)code, "This status was requested.");
		return;
	}
	body = json_object_new_object();
	json_object_object_add(body, "status", json_object_new_int((int)code));
	response_json(response, (int)code, body);
}
