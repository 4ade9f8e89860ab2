/*
 * GET /health: a worker answers, so the pool is alive (liveness probe).
 */
#include "http/router.h"

void
endpoint_health(const struct request *request, struct response *response)
{
	(void)request;
	response_text(response, 200, "{\"health\": \"ok\"}");
}
