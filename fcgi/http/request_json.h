#ifndef REQUEST_JSON_H
#define REQUEST_JSON_H

#include "http/request.h"
#include "http/response.h"

/*
 * Read the body as a JSON object (RFC 8259). Returns it; the caller releases it
 * with json_object_put(). Returns NULL after it has filled in a response:
 *
 *   415  the Content-Type is neither application/json nor anything with +json
 *   400  the body is empty, is not UTF-8, contains a NUL (also as \u0000), is
 *        not JSON, is not an object, or more follows the object
 *   413  it has so many objects and values that they would take more than about
 *        16 MiB of memory
 *
 * So the strings of the object are UTF-8 without NULs.
 */
struct json_object *request_json(
    const struct request *request, struct response *response);

#endif
