/*
 * Responses: JSON, memory, errors, headers and delays.
 */
#include "http/response.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <json-c/json.h>

#include "base/log.h"
#include "base/utf8.h"

/*
 * nginx has its own table for the errors that it answers: map $reason in
 * nginx/nginx.conf.template. A test compares the two (test_nginx.py).
 */
static const struct {
	int status;
	const char *reason;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

/* The body of a response that no handler has filled in: its address tells. */
static const char unanswered[] = "";

const char *
response_reason(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

void
response_init(struct response *response)
{
	response->status = 500;
	response->content_type = "application/json";
	response->body = unanswered;
	response->body_length = 0;
	response->json = NULL;
	response->memory = NULL;
	response->delay_ns = 0;
	response->request_id = "";
	response->headers = response->headers_inline;
	response->headers_length = 0;
	response->is_file = false;
	response->too_long[0] = '\0';
}

static void
release_body(struct response *response)
{
	json_object_put(response->json);
	free(response->memory);
	response->json = NULL;
	response->memory = NULL;
}

void
response_release(struct response *response)
{
	release_body(response);
	if (response->headers != response->headers_inline)
		free(response->headers);
	response->headers = response->headers_inline;
	response->headers_length = 0;
}

void
response_text(struct response *response, int status, const char *json)
{
	release_body(response);
	response->status = status;
	response->content_type = "application/json";
	response->body = json;
	response->body_length = strlen(json);
}

/*
 * Replace invalid bytes by '?': JSON must be UTF-8, but a path or a query that
 * it quotes can contain any bytes.
 */
static void
repair_utf8(char *text)
{
	size_t length;

	for (; *text; text += length) {
		length = utf8_measure((const unsigned char *)text);
		if (length == 0) {
			*text = '?';
			length = 1;
		}
	}
}

void
response_json(struct response *response, int status, struct json_object *object)
{
	const char *text = json_object_to_json_string_length(object,
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
	    &response->body_length);

	release_body(response);
	if (text)
		repair_utf8((char *)(uintptr_t)text); /* json-c's buffer */
	response->status = status;
	response->content_type = "application/json";
	response->body = text ? text : "";
	response->json = object;
}

void
response_memory(struct response *response, int status, const char *content_type,
    char *memory, size_t length)
{
	release_body(response);
	response->status = status;
	response->content_type = content_type;
	response->body = memory;
	response->body_length = length;
	response->memory = memory;
}

void
response_problem(struct response *response, int status, const char *detail, ...)
{
	struct json_object *problem = json_object_new_object();
	char text[512];
	va_list arguments;

	va_start(arguments, detail);
	vsnprintf(text, sizeof(text), detail, arguments);
	va_end(arguments);
	json_object_object_add(
	    problem, "type", json_object_new_string("about:blank"));
	json_object_object_add(
	    problem, "title", json_object_new_string(response_reason(status)));
	json_object_object_add(problem, "status", json_object_new_int(status));
	json_object_object_add(problem, "detail", json_object_new_string(text));
	if (*response->request_id)
		json_object_object_add(problem, "request_id",
		    json_object_new_string(response->request_id));
	response_json(response, status, problem);
	response->content_type = "application/problem+json";
}

void
response_validate(struct response *response, const char *endpoint)
{
	int status = response->status;

	if (status == 500 && response->body == unanswered) {
		LOG(LOG_ERROR, "the handler did not answer",
		    LOG_STRING("endpoint", endpoint));
		response_problem(response, 500, "The handler did not answer.");
	} else if (status < 200 || status > 599) {
		LOG(LOG_ERROR,
		    "response replaced by a 500: its status is not from 200 to "
		    "599",
		    LOG_STRING("endpoint", endpoint),
		    LOG_NUMBER("status", status));
		response_problem(
		    response, 500, "The response has no valid status.");
	}
}

/* Whether nginx accepts it as the name of a header: RFC 9110, 5.6.2. */
static bool
is_token(const char *name)
{
	const char *p = name;

	while (
	    isalnum((unsigned char)*p) || (*p && strchr("-_!#$%&'*+.^`|~", *p)))
		p++;
	return p > name && *p == '\0';
}

/* A line break in a value would start another header. */
static bool
has_control(const char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text) && *text != '\t')
			return true;
	return false;
}

/*
 * Reserve space for this many more bytes of headers. Returns its address, or
 * NULL over the limit or without memory.
 */
static char *
reserve(struct response *response, size_t more)
{
	size_t needed = response->headers_length + more;
	char *headers;

	if (needed > RESPONSE_HEAD_MAX)
		return NULL;
	if (response->headers == response->headers_inline &&
	    needed > sizeof(response->headers_inline)) {
		headers = malloc(RESPONSE_HEAD_MAX);
		if (!headers)
			return NULL;
		memcpy(headers, response->headers, response->headers_length);
		response->headers = headers;
	}
	return response->headers + response->headers_length;
}

void
response_header(struct response *response, const char *name, const char *value)
{
	size_t name_length = strlen(name);
	size_t value_length = strlen(value);
	char *at;

	if (!is_token(name)) {
		LOG(LOG_ERROR,
		    "header omitted: its name is not a token (RFC 9110)",
		    LOG_STRING("header", name));
		return;
	}
	if (has_control(value)) {
		LOG(LOG_ERROR,
		    "header omitted: it contains a control character",
		    LOG_STRING("header", name));
		return;
	}
	if (response->too_long[0])
		return;
	at = reserve(response, name_length + value_length + 4);
	if (!at) {
		snprintf(
		    response->too_long, sizeof(response->too_long), "%s", name);
		return;
	}
	at = mempcpy(at, name, name_length);
	at = mempcpy(at, ": ", 2);
	at = mempcpy(at, value, value_length);
	at = mempcpy(at, "\r\n", 2);
	response->headers_length = (size_t)(at - response->headers);
	if (strcasecmp(name, "X-Accel-Redirect") == 0 &&
	    strncmp(value, RESPONSE_FILES, strlen(RESPONSE_FILES)) == 0)
		response->is_file = true;
}

void
response_redirect(struct response *response, int status, const char *location)
{
	if (has_control(location) || !*location) {
		log_text(LOG_ERROR, "redirect replaced by a 500: its address "
				    "is empty or has a control character");
		response_problem(
		    response, 500, "The redirect has no valid address.");
		return;
	}
	response_text(response, status, "");
	response->content_type = "text/plain";
	response_header(response, "Location", location);
}

void
response_delay(struct response *response, double seconds)
{
	if (!(seconds > 0)) /* also NaN */
		seconds = 0;
	if (seconds > RESPONSE_DELAY_SECONDS_MAX)
		seconds = RESPONSE_DELAY_SECONDS_MAX;
	response->delay_ns = (int64_t)(seconds * 1e9);
}
