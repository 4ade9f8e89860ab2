/*
 * The Accept header: negotiation of the metrics' format, and of the page.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "master/metrics_process.h"
#include "http/request.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *accept = strndup((const char *)data, size);
	struct request request = {.accept = accept};

	metrics_process_negotiate(accept);
	request_accepts(&request, "text/html");
	free(accept);
	return 0;
}
