#ifndef HTTP_MEDIA_TYPE_H
#define HTTP_MEDIA_TYPE_H

#include <stddef.h>

/*
 * The Accept header: which media types a client takes (RFC 9110, 12.5.1).
 * Wildcards count for nothing: whoever sends only those gets
 * the default.
 */

/* A media type that a response could have. */
struct media_type {
	const char *name;          /* such as "text/plain" */
	const char *parameters[2]; /* such as "version=0.0.4"; NULL: none */
};

/*
 * The quality that an Accept header gives a media type, from 0 to 1: the
 * highest of all ranges that name it. A range that gives another value to one
 * of the type's parameters does not count; other parameters but q are ignored.
 * 0 means that the client does not name the type, or refuses it.
 */
double media_type_quality(const char *accept, const struct media_type *type);

/*
 * Choose among `count` types the one to answer with: the index of the type with
 * the highest quality, the first of several that are equal. -1 where the header
 * names none of them.
 */
int media_type_choose(
    const char *accept, const struct media_type *types, size_t count);

#endif
