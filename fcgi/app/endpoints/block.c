/*
 * GET /block/{seconds}: holds its process for that time, as a call to a
 * database does.
 */
#include <errno.h>
#include <time.h>

#include <json-c/json.h>

#include "base/number.h"
#include "http/router.h"

enum { BLOCK_SECONDS_MAX = 10 };

void
endpoint_block(const struct request *request, struct response *response)
{
	struct json_object *body;
	struct timespec time;
	double seconds;

	if (number_parse(request->parameter, &seconds) < 0 ||
	    seconds > BLOCK_SECONDS_MAX) {
		response_problem(response, 400,
		    "The time must be a number of seconds from 0 to %d.",
		    BLOCK_SECONDS_MAX);
		return;
	}
	time.tv_sec = (time_t)seconds;
	time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
	body = json_object_new_object();
	json_object_object_add(body, "block", json_object_new_double(seconds));
	response_json(response, 200, body);
}
