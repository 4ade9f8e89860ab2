/*
 * Converts a CGI environment (RFC 3875; FastCGI uses the same) to a request,
 * and a response to the head of a CGI response. The table lists every variable
 * that is read. nginx sends only these (nginx/nginx.conf.template, and for
 * headers.def nginx_headers.c).
 */
#include "http/cgi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "http/router.h"

enum variable {
	REQUEST_METHOD,
	PATH_INFO,
	QUERY_STRING,
	HTTP_ACCEPT,
	HTTP_SEC_FETCH_SITE,
	HTTP_ORIGIN,
	HTTP_HOST,
	HTTP_COOKIE,
	CONTENT_TYPE,
	REMOTE_ADDR,
	HTTPS,
	REQUEST_ID,
	REQUEST_TIME,
	NGINX_PID,
	VARIABLE_COUNT
};

static const struct {
	const char *name;
	size_t length;
} variables[VARIABLE_COUNT] = {
#define VARIABLE(name) [name] = {#name, sizeof(#name) - 1}
    VARIABLE(REQUEST_METHOD),
    VARIABLE(PATH_INFO),
    VARIABLE(QUERY_STRING),
    VARIABLE(HTTP_ACCEPT),
    VARIABLE(HTTP_SEC_FETCH_SITE),
    VARIABLE(HTTP_ORIGIN),
    VARIABLE(HTTP_HOST),
    VARIABLE(HTTP_COOKIE),
    VARIABLE(CONTENT_TYPE),
    VARIABLE(REMOTE_ADDR),
    VARIABLE(HTTPS),
    VARIABLE(REQUEST_ID),
    VARIABLE(REQUEST_TIME),
    VARIABLE(NGINX_PID),
#undef VARIABLE
};

/* The headers of headers.def, whose variables have upper case and HTTP_. */
static const struct {
	const char *name;
	size_t length;
} headers[HEADER_COUNT + 1] = {
#define HEADER(name) {#name, sizeof(#name) - 1},
#include "app/headers.def"
#undef HEADER
    {"", 0}, /* ends the list, which may be empty */
};

/* A variable of another name: is it that of a header of headers.def? */
static void
parse_header(const char *text, size_t length, struct request *request)
{
	if (length < 5 || memcmp(text, "HTTP_", 5) != 0)
		return;
	for (int i = 0; i < HEADER_COUNT; i++)
		if (headers[i].length == length - 5 &&
		    strncasecmp(text + 5, headers[i].name, length - 5) == 0)
			request->headers[i] = text + length + 1;
}

/* Read at most this many digits and advance *text. Returns their number. */
static int
parse_digits(const char **text, int count_max, int64_t *number)
{
	int count = 0;

	for (; **text >= '0' && **text <= '9' && count < count_max;
	     ++*text, count++)
		*number = *number * 10 + (**text - '0');
	return count;
}

/*
 * Convert nginx's $msec to nanoseconds: seconds (ten digits until the year
 * 2286) with three decimals. Returns 0 for any other text and on overflow.
 */
static int64_t
parse_msec(const char *text)
{
	int64_t milliseconds = 0;
	int64_t ns;

	if (parse_digits(&text, 10, &milliseconds) == 0 || *text++ != '.' ||
	    parse_digits(&text, 3, &milliseconds) != 3 || *text != '\0' ||
	    __builtin_mul_overflow(milliseconds, 1000000, &ns))
		return 0;
	return ns;
}

void
cgi_parse(char *const *environment, struct request *request)
{
	const char *values[VARIABLE_COUNT];

	for (int i = 0; i < VARIABLE_COUNT; i++)
		values[i] = "";
	*request = (struct request){.parameter = "", .body = ""};
	for (; *environment; environment++) {
		const char *equals = strchr(*environment, '=');
		size_t length = equals ? (size_t)(equals - *environment) : 0;

		for (int i = 0; i < VARIABLE_COUNT; i++)
			if (variables[i].length == length &&
			    memcmp(*environment, variables[i].name, length) ==
				0) {
				values[i] = equals + 1;
				break;
			}
		if (HEADER_COUNT > 0)
			parse_header(*environment, length, request);
	}
	request->method = request_method_parse(values[REQUEST_METHOD]);
	request->path = *values[PATH_INFO] ? values[PATH_INFO] : "/";
	request->query = values[QUERY_STRING];
	request->accept = values[HTTP_ACCEPT];
	request->fetch_site = values[HTTP_SEC_FETCH_SITE];
	request->origin = values[HTTP_ORIGIN];
	request->host = values[HTTP_HOST];
	request->cookie = values[HTTP_COOKIE];
	request->content_type = values[CONTENT_TYPE];
	request->client_address = values[REMOTE_ADDR];
	request->scheme = strcasecmp(values[HTTPS], "on") ? "http" : "https";
	request->id = values[REQUEST_ID];
	request->received_ns = parse_msec(values[REQUEST_TIME]);
	request->nginx_pid = (pid_t)strtol(values[NGINX_PID], NULL, 10);
}

size_t
cgi_body_max(char *const *environment)
{
	struct request request;

	cgi_parse(environment, &request);
	return router_body_max(&request);
}

struct writer {
	char *at; /* end: the head did not fit */
	char *end;
};

static void
put(struct writer *writer, const char *text, size_t length)
{
	if (length <= (size_t)(writer->end - writer->at)) {
		memcpy(writer->at, text, length);
		writer->at += length;
	} else {
		writer->at = writer->end;
	}
}

static void
put_text(struct writer *writer, const char *text)
{
	put(writer, text, strlen(text));
}

static void
put_number(struct writer *writer, size_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while (number /= 10);
	put(writer, digits + at, sizeof(digits) - at);
}

/*
 * Format the head without printf(), which would take a fifth of a request's CPU
 * time. Returns the length, or 0 if the head is too large.
 */
static size_t
format(const struct response *response, char head[CGI_HEAD_SIZE])
{
	struct writer writer = {head, head + CGI_HEAD_SIZE};

	if (response->too_long[0])
		return 0;
	if (response->status != 200) { /* the default: RFC 3875, 6.3.3 */
		put_text(&writer, "Status: ");
		put_number(&writer, (size_t)response->status);
		put_text(&writer, " ");
		put_text(&writer, response_reason(response->status));
		put_text(&writer, "\r\n");
	}
	if (response->status != 204 && response->status != 304) {
		put_text(&writer, "Content-Type: ");
		put_text(&writer, response->content_type);
		put_text(&writer, "\r\nContent-Length: ");
		put_number(&writer, response->body_length);
		put_text(&writer, "\r\n");
	}
	put(&writer, response->headers, response->headers_length);
	put_text(&writer, "\r\n");
	if (writer.at == writer.end)
		return 0;
	*writer.at = '\0';
	return (size_t)(writer.at - head);
}

size_t
cgi_format_head(
    struct response *response, int endpoint, char head[CGI_HEAD_SIZE])
{
	size_t length = format(response, head);

	if (length > 0)
		return length;
	LOG(LOG_ERROR, "response replaced by a 500: its head is too large",
	    LOG_STRING("endpoint",
		endpoint < 0 ? "none" : router_endpoint_name(endpoint)),
	    LOG_STRING("header",
		response->too_long[0] ? response->too_long : "all together"));
	response->headers_length = 0;
	response->is_file = false;
	response->too_long[0] = '\0';
	response_problem(response, 500,
	    "The head of the response has more than %d bytes.",
	    RESPONSE_HEAD_MAX);
	return format(response, head);
}
