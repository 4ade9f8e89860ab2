/*
 * Keeps the body of a request while it arrives. Connections share a process, so
 * large bodies share a limit, too: many at once could otherwise take all memory
 * of the container.
 */
#include "fastcgi/body.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of all bodies above BODY_SMALL. */
static size_t held;

/*
 * Returns 0 for a text that is no number, and SIZE_MAX for a number that is too
 * large for the type.
 */
static size_t
parse_length(const char *text)
{
	size_t length = 0;

	if (!text || text[strspn(text, "0123456789")] != '\0')
		return 0;
	for (; *text; text++)
		if (__builtin_mul_overflow(length, 10, &length) ||
		    __builtin_add_overflow(
			length, (size_t)(*text - '0'), &length))
			return SIZE_MAX;
	return length;
}

static bool
is_large(const struct body *body)
{
	return body->size > BODY_SMALL;
}

/* The one largest body always fits: others have to wait for its end. */
static bool
has_room(const struct body *body)
{
	return !is_large(body) || held == 0 ||
	       (held < BODY_HELD_MAX && body->size <= BODY_HELD_MAX - held);
}

void
body_begin(struct body *body, const char *content_length, size_t max)
{
	*body = (struct body){.size = parse_length(content_length)};
	if (body->size == 0)
		return;
	if (body->size > max) {
		body->refusal = BODY_TOO_LARGE;
		return;
	}
	if (has_room(body))
		body->bytes = malloc(body->size + 1);
	if (!body->bytes) {
		body->refusal = BODY_NO_MEMORY;
		return;
	}
	body->bytes[0] = '\0';
	if (is_large(body))
		held += body->size;
}

void
body_add(struct body *body, const void *bytes, size_t size)
{
	if (!body->bytes)
		return;
	if (size > body->size - body->length)
		size = body->size - body->length;
	memcpy(body->bytes + body->length, bytes, size);
	body->length += size;
	body->bytes[body->length] = '\0';
}

void
body_free(struct body *body)
{
	bool was_large = body->bytes && is_large(body);

	if (was_large)
		held -= body->size;
	free(body->bytes);
	*body = (struct body){0};
	/* glibc would keep up to 64 MiB for the next large body. */
	if (was_large)
		malloc_trim(0);
}
