#ifndef BODY_H
#define BODY_H

#include <stddef.h>

enum {
	/* Bodies up to this size do not count towards BODY_HELD_MAX. */
	BODY_SMALL = 64 << 10,
	/* Bytes of all larger bodies that the process holds at once. */
	BODY_HELD_MAX = 16 << 20,
};

enum body_refusal {
	BODY_ACCEPTED,
	BODY_TOO_LARGE, /* larger than the limit of its route */
	BODY_NO_MEMORY  /* for this one beside the others */
};

/*
 * The body of one request. All zeros: none. The memory is allocated when the
 * first byte arrives, as large as the Content-Length says, and never grows. So
 * the bodies of a process take at most BODY_SMALL for each connection, and
 * BODY_HELD_MAX or the one largest limit of a route, whichever is larger.
 */
struct body {
	char *bytes; /* NUL-terminated at length; owned; NULL: none */
	size_t length;
	size_t size; /* according to the Content-Length */
	enum body_refusal refusal;
};

/*
 * Prepare for the bytes of a body. content_length is the parameter, NULL if it
 * is absent. One that is not a number of at least 1 means that there is no
 * body. max is the limit of the route. A body that is refused is not kept.
 */
void body_begin(struct body *body, const char *content_length, size_t max);

/*
 * Add bytes that have arrived. Bytes beyond the Content-Length, and those of a
 * body that was refused, are discarded.
 */
void body_add(struct body *body, const void *bytes, size_t size);

/* Free the body and make it none. */
void body_free(struct body *body);

#endif
