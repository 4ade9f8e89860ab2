/*
 * GET /bye: the endpoint that the original's exercise asked for.
 */
#include "http/router.h"

void
endpoint_bye(const struct request *request, struct response *response)
{
	(void)request;
	response_text(response, 200, "{\"msg\": \"Bye Bye\"}");
}
