/*
 * GET /: a greeting.
 */
#include "router.h"

void
endpoint_root(const struct request *request, struct response *response)
{
	(void)request;
	response_text(response, 200, "{\"msg\": \"Hello World\"}");
}
