#ifndef CGI_H
#define CGI_H

#include <stddef.h>

#include "request.h"
#include "response.h"

/*
 * Fill in a request from a CGI environment ("NAME=value" strings, ended by
 * NULL). Strings are not copied. Body and service are the caller's to set.
 */
void cgi_parse(char *const *environment, struct request *request);

/*
 * Write the head of a CGI response (RFC 3875, section 6): Status, unless it
 * is 200, headers and the empty line. Returns its length, or 0 where it does
 * not fit.
 */
size_t cgi_format_head(
    const struct response *response, char *head, size_t size);

#endif
