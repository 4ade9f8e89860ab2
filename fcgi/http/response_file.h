#ifndef RESPONSE_FILE_H
#define RESPONSE_FILE_H

#include "http/response.h"

enum { RESPONSE_FILE_NAME_MAX = 1024 };

/*
 * Answer with a file that nginx sends from the folder FILES_DIR
 * (scripts/nginx-conf). This process does not read it, so its size does not
 * matter. nginx adds ETag and Last-Modified, and answers conditional requests
 * and ranges. If the file does not exist, the client gets a 404; without
 * FILES_DIR, a 500.
 *
 * name is a path below the folder, such as "reports/2026.pdf". If it is empty,
 * longer than RESPONSE_FILE_NAME_MAX, begins with "/", or contains ".." or a
 * control character, the response is a 404: a client that may choose the name
 * stays in the folder. content_type must outlive the response.
 *
 * Of the response's other headers, nginx passes Content-Disposition,
 * Cache-Control, Expires and Set-Cookie.
 */
void response_file(
    struct response *response, const char *content_type, const char *name);

#endif
