#ifndef RESPONSE_H
#define RESPONSE_H

#include <stddef.h>
#include <stdint.h>

struct json_object;

enum { RESPONSE_HEADERS_SIZE = 512, RESPONSE_DELAY_SECONDS_MAX = 86400 };

/*
 * What a handler fills in. A handler that fills in nothing has answered 500.
 * body points to constant text, or into one of the two owned things below.
 */
struct response {
	int status;
	const char *content_type;
	const char *body;
	size_t body_length;
	struct json_object *json; /* owned */
	char *memory;             /* owned, of malloc */
	int64_t delay_ns;         /* hand it over only after this time */
	char headers[RESPONSE_HEADERS_SIZE]; /* further ones, CRLF-terminated */
	size_t headers_length;
};

/* Ready for a handler: 500, no body. Allocates nothing. */
void response_init(struct response *response);

/* Free what the response owns. */
void response_release(struct response *response);

/* Answer with JSON text that lives longer than the request, such as a literal.
 */
void response_text(struct response *response, int status, const char *json);

/* Answer with a json-c object, which the response owns from here on. */
void response_json(
    struct response *response, int status, struct json_object *object);

/* Answer with bytes of malloc, which the response owns from here on. */
void response_memory(struct response *response, int status,
    const char *content_type, char *memory, size_t length);

/*
 * Answer with an error as application/problem+json (RFC 9457). detail, made as
 * by printf, is a sentence for the caller.
 */
void response_problem(struct response *response, int status, const char *detail,
    ...) __attribute__((format(printf, 3, 4)));

/*
 * Add a header. One that does not fit, or has a control character in it, is
 * left out and logged.
 */
void response_header(
    struct response *response, const char *name, const char *value);

/*
 * Hand the answer over only after this time; the worker serves others. More
 * than RESPONSE_DELAY_SECONDS_MAX is that; NaN and what is below 0 are 0.
 */
void response_delay(struct response *response, double seconds);

/* The reason phrase of a status (RFC 9110), "" for one that has none. */
const char *response_reason(int status);

#endif
