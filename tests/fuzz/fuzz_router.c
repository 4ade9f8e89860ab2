/*
 * The router and the query parser: "path\nquery".
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "base/number.h"
#include "http/request.h"
#include "http/router.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const known[] = {"seconds", "load", "memory", NULL};
	static int is_open;
	char *path = strndup((const char *)data, size);
	char *query = strchr(path, '\n');
	struct request request = {.accept = ""};
	const char *parameter;
	char value[32];
	double number;
	int endpoint;

	if (!is_open)
		router_open(true);
	is_open = 1;
	if (query)
		*query++ = '\0';
	request.query = query ? query : "";
	endpoint = router_find(path, &parameter);
	assert(endpoint >= 0 && endpoint < ENDPOINT_COUNT);
	for (int i = 0; known[i]; i++)
		if (request_query(&request, known[i], value, sizeof(value)) >
			0 &&
		    number_parse(value, &number) == 0)
			assert(number >= 0);
	request_query_unknown(&request, known, value, sizeof(value));
	assert(strlen(value) < sizeof(value));
	free(path);
	return 0;
}
