/*
 * GET /delay/{seconds}: answers after this time. The worker serves other
 * requests meanwhile (response_delay()).
 */
#include <json-c/json.h>

#include "base/number.h"
#include "http/router.h"

enum { DELAY_SECONDS_MAX = 60 };

void
endpoint_delay(const struct request *request, struct response *response)
{
	struct json_object *body;
	double seconds;

	if (number_parse(request->parameter, &seconds) < 0 ||
	    seconds > DELAY_SECONDS_MAX) {
		response_problem(response, 400,
		    "The delay must be a number of seconds from 0 to %d.",
		    DELAY_SECONDS_MAX);
		return;
	}
	body = json_object_new_object();
	json_object_object_add(body, "delay", json_object_new_double(seconds));
	response_json(response, 200, body);
	response_delay(response, seconds);
}
