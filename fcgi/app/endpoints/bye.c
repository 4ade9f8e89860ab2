/*
 * GET /bye: a constant answer.
 */
#include "http/router.h"

void
endpoint_bye(const struct request *request, struct response *response)
{
	(void)request;
	response_text(response, 200, "{\"msg\": \"Bye Bye\"}");
}
