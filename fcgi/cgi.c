/*
 * Between a CGI environment (RFC 3875, as FastCGI has it too) and what handlers
 * see. The table names every variable that is read; nginx sends no other.
 */
#include "cgi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum variable {
	REQUEST_METHOD,
	PATH_INFO,
	QUERY_STRING,
	HTTP_ACCEPT,
	REQUEST_ID,
	REQUEST_TIME,
	GATEWAY_STATUS,
	VARIABLE_COUNT
};

static const struct {
	const char *name;
	size_t length;
} variables[VARIABLE_COUNT] = {
#define VARIABLE(name) [name] = {#name "=", sizeof(#name)}
    VARIABLE(REQUEST_METHOD),
    VARIABLE(PATH_INFO),
    VARIABLE(QUERY_STRING),
    VARIABLE(HTTP_ACCEPT),
    VARIABLE(REQUEST_ID),
    VARIABLE(REQUEST_TIME),
    VARIABLE(GATEWAY_STATUS),
#undef VARIABLE
};

/* nginx's $msec, seconds with three decimals, in ns; 0 for anything else. */
static int64_t
parse_msec(const char *text)
{
	char *end;
	long long seconds = strtoll(text, &end, 10);
	long long milliseconds = 0;

	if (*end == '.')
		milliseconds = strtoll(end + 1, &end, 10);
	if (*end != '\0' || seconds <= 0 || seconds > INT32_MAX ||
	    milliseconds < 0 || milliseconds > 999)
		return 0;
	return (seconds * 1000 + milliseconds) * 1000000;
}

void
cgi_parse(char *const *environment, struct request *request)
{
	const char *values[VARIABLE_COUNT];

	for (int i = 0; i < VARIABLE_COUNT; i++)
		values[i] = "";
	for (; *environment; environment++)
		for (int i = 0; i < VARIABLE_COUNT; i++)
			if (strncmp(*environment, variables[i].name,
				variables[i].length) == 0) {
				values[i] = *environment + variables[i].length;
				break;
			}
	*request = (struct request){
	    .method = request_method_parse(values[REQUEST_METHOD]),
	    .path = *values[PATH_INFO] ? values[PATH_INFO] : "/",
	    .parameter = "",
	    .query = values[QUERY_STRING],
	    .accept = values[HTTP_ACCEPT],
	    .id = values[REQUEST_ID],
	    .received_ns = parse_msec(values[REQUEST_TIME]),
	    .gateway_status = atoi(values[GATEWAY_STATUS]),
	    .body = "",
	};
}

size_t
cgi_format_head(const struct response *response, char *head, size_t size)
{
	int length;

	if (response->status == 204 || response->status == 304)
		length = snprintf(head, size, "Status: %d %s\r\n%.*s\r\n",
		    response->status, response_reason(response->status),
		    (int)response->headers_length, response->headers);
	else
		length = snprintf(head, size,
		    "Status: %d %s\r\nContent-Type: %s\r\n"
		    "Content-Length: %zu\r\n%.*s\r\n",
		    response->status, response_reason(response->status),
		    response->content_type, response->body_length,
		    (int)response->headers_length, response->headers);
	return length > 0 && (size_t)length < size ? (size_t)length : 0;
}
