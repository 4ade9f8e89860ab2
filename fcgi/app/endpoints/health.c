/*
 * GET /health: the liveness probe. An answer shows that a worker is running.
 */
#include "http/router.h"

void
endpoint_health(const struct request *request, struct response *response)
{
	(void)request;
	response_text(response, 200, "{\"health\": \"ok\"}");
}
