#ifndef RESPONSE_H
#define RESPONSE_H

#include <stddef.h>
#include <stdint.h>

struct json_object;

enum {
	/* The largest head of a response, its empty line included. It fits into
	 * nginx's fastcgi_buffer_size of 16k with the headers of the FastCGI
	 * records that it comes in: change both together. */
	RESPONSE_HEAD_MAX = (16 << 10) - 64,

	/* Headers up to this many bytes need no memory of their own. */
	RESPONSE_HEADERS_INLINE = 512,
};

enum { RESPONSE_DELAY_SECONDS_MAX = 86400 };

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
	char *headers; /* further ones, CRLF-terminated; below, or of malloc */
	size_t headers_length;
	char too_long[64]; /* the header that passed the limit, cut; or "" */
	char headers_inline[RESPONSE_HEADERS_INLINE];
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
 * Add a header. One with a control character in it is left out and logged. One
 * with which the head is larger than RESPONSE_HEAD_MAX makes the response a 500
 * (cgi_format_head()).
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
