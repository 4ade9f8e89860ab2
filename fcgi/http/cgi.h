#ifndef CGI_H
#define CGI_H

#include <stddef.h>

#include "http/request.h"
#include "http/response.h"

/*
 * Fill in a request from a CGI environment: "NAME=value" strings, terminated by
 * NULL. The request points to these strings and does not copy them. The caller
 * sets body, body_length and service.
 */
void cgi_parse(char *const *environment, struct request *request);

/* The limit for the body of this request, in bytes (router_body_max()). */
size_t cgi_body_max(char *const *environment);

enum { CGI_HEAD_SIZE = RESPONSE_HEAD_MAX + 1 };

/*
 * Write the head of a CGI response (RFC 3875, section 6), NUL-terminated: the
 * Status header unless it is 200, all other headers and the empty line. If the
 * head exceeds RESPONSE_HEAD_MAX, the response is replaced by a 500 that says
 * so, and the log names the endpoint. Returns the length of the head.
 */
size_t cgi_format_head(
    struct response *response, int endpoint, char head[CGI_HEAD_SIZE]);

#endif
