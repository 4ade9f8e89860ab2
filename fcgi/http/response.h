#ifndef RESPONSE_H
#define RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

enum {
	/* Bytes of the largest head of a response, including its empty line.
	 * With the headers of its FastCGI records it fits into nginx's
	 * fastcgi_buffer_size of 16k: change both together. */
	RESPONSE_HEAD_MAX = (16 << 10) - 64,

	/* Headers up to this many bytes are not allocated. */
	RESPONSE_HEADERS_INLINE = 512,
};

enum { RESPONSE_DELAY_SECONDS_MAX = 86400 };

/*
 * A response as handlers fill it in. body points to constant text, or into json
 * or memory. The status is from 200 to 599. With another one, and if a handler
 * does not answer, the response becomes a 500 and the log says so.
 */
/* The location of files in nginx (response_file.h, files.conf.template). */
#define RESPONSE_FILES "/.files/"

struct response {
	int status;
	const char *content_type;
	const char *body;
	size_t body_length;
	struct json_object *json; /* owned; NULL: none */
	char *memory;             /* owned, of malloc(); NULL: none */
	int64_t delay_ns;         /* time to wait before it is sent */
	const char *request_id;   /* for errors; "": unknown. Not owned */
	char *headers; /* CRLF-terminated; headers_inline, or of malloc() */
	size_t headers_length;
	bool is_file;      /* nginx answers with a file (response_file()) */
	char too_long[64]; /* name of the header over the limit; "": none */
	char headers_inline[RESPONSE_HEADERS_INLINE];
};

/*
 * Initialise a response: 500 without a body, and without a request_id, which
 * the caller sets. Allocates nothing.
 */
void response_init(struct response *response);

/*
 * Replace what a handler left by a 500, and log the endpoint, if the handler
 * did not answer, or the status is not from 200 to 599.
 */
void response_validate(struct response *response, const char *endpoint);

/* Free the memory that the response owns. */
void response_release(struct response *response);

/* Answer with JSON text that outlives the request, such as a literal. */
void response_text(struct response *response, int status, const char *json);

/* Answer with a json-c object, which the response owns from now on. */
void response_json(
    struct response *response, int status, struct json_object *object);

/* Answer with memory of malloc(), which the response owns from now on. */
void response_memory(struct response *response, int status,
    const char *content_type, char *memory, size_t length);

/*
 * Answer with an error as application/problem+json (RFC 9457). detail is a
 * sentence for the client, formatted as by printf(3). The member request_id is
 * that of the response.
 */
void response_problem(struct response *response, int status, const char *detail,
    ...) __attribute__((format(printf, 3, 4)));

/*
 * Add a header. The name is a token of RFC 9110 (5.6.2): letters, digits and -,
 * no space. A header with another name, or with a control character, is omitted
 * and logged. If the head exceeds RESPONSE_HEAD_MAX with it, the response
 * becomes a 500 (cgi_format_head()). With X-Accel-Redirect, nginx answers in
 * the place of the worker. The worker counts the request, unless the value
 * begins with RESPONSE_FILES.
 */
void response_header(
    struct response *response, const char *name, const char *value);

/*
 * Redirect: 303 after a POST, 307 or 308 to repeat the request, 301 or 302. The
 * location is a path or a URL. If it is empty or contains a control character,
 * the response is a 500 and the log says so. Do not redirect to an address that
 * the client sent: it could lead to any website.
 */
void response_redirect(
    struct response *response, int status, const char *location);

/*
 * Send the response after this time, during which the worker serves other
 * requests. Times over RESPONSE_DELAY_SECONDS_MAX are cut to it; NaN and
 * negative times count as 0.
 */
void response_delay(struct response *response, double seconds);

/* The reason phrase of a status (RFC 9110), or "" if the table lacks it. */
const char *response_reason(int status);

#endif
