#ifndef CGI_H
#define CGI_H

#include <stddef.h>

#include "http/request.h"
#include "http/response.h"

/*
 * Fill in a request from a CGI environment ("NAME=value" strings, ended by
 * NULL). Strings are not copied. Body and service are the caller's to set.
 */
void cgi_parse(char *const *environment, struct request *request);

enum { CGI_HEAD_SIZE = RESPONSE_HEAD_MAX + 1 };

/*
 * Write the head of a CGI response (RFC 3875, section 6), NUL-terminated:
 * Status, unless it is 200, headers and the empty line. A response with a
 * larger head than RESPONSE_HEAD_MAX becomes a 500 that says so, and the log
 * names the endpoint. Returns the head's length.
 */
size_t cgi_format_head(
    struct response *response, int endpoint, char head[CGI_HEAD_SIZE]);

#endif
