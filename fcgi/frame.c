/*
 * The guard in front of libfcgi. Only a whole and sound request reaches it, so
 * that it never blocks on a peer that stops halfway, never sees a management
 * record (its answer to GET_VALUES overflows a buffer), and never a length that
 * lies. What is not what nginx sends ends the connection.
 */
#include "frame.h"

#include <stdint.h>

enum { HEADER_SIZE = 8, BEGIN_SIZE = 8 };
enum { VERSION = 1, BEGIN_REQUEST = 1, PARAMS = 4, STDIN = 5 };
enum { RESPONDER = 1 };

static unsigned
read_16(const unsigned char *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

/* A pair's name or value length: one byte, or four with the top bit set. */
static size_t
read_length(const unsigned char *bytes, size_t size, size_t *at)
{
	const unsigned char *p = bytes + *at;

	if (*at >= size)
		return SIZE_MAX;
	if (!(p[0] & 0x80)) {
		*at += 1;
		return p[0];
	}
	if (size - *at < 4)
		return SIZE_MAX;
	*at += 4;
	return (size_t)(p[0] & 0x7f) << 24 | (size_t)p[1] << 16 |
	       (size_t)p[2] << 8 | p[3];
}

/* Whether the pairs fill the record exactly. */
static int
pairs_are_sound(const unsigned char *bytes, size_t size)
{
	size_t at = 0;

	while (at < size) {
		size_t name = read_length(bytes, size, &at);
		size_t value = read_length(bytes, size, &at);

		if (name == 0 || name > size || value > size ||
		    name + value > size - at)
			return 0;
		at += name + value;
	}
	return 1;
}

enum frame_status
frame_measure(const unsigned char *bytes, size_t size, size_t *length)
{
	unsigned expected = BEGIN_REQUEST;
	unsigned id = 0;
	size_t at = 0;

	for (;;) {
		const unsigned char *record = bytes + at;
		size_t content;

		if (size - at < HEADER_SIZE)
			return FRAME_PARTIAL;
		content = read_16(record + 4);
		if (record[0] != VERSION || record[1] != expected)
			return FRAME_INVALID;
		if (expected == BEGIN_REQUEST) {
			id = read_16(record + 2);
			if (id == 0 || content != BEGIN_SIZE)
				return FRAME_INVALID;
		} else if (read_16(record + 2) != id) {
			return FRAME_INVALID;
		}
		/* libfcgi takes such padding for the next record. */
		if (record[6] > 0 &&
		    (content == 0 || expected == BEGIN_REQUEST))
			return FRAME_INVALID;
		if (size - at < HEADER_SIZE + content + record[6])
			return FRAME_PARTIAL;
		if (expected == BEGIN_REQUEST &&
		    read_16(record + HEADER_SIZE) != RESPONDER)
			return FRAME_INVALID;
		if (expected == PARAMS &&
		    !pairs_are_sound(record + HEADER_SIZE, content))
			return FRAME_INVALID;
		at += HEADER_SIZE + content + record[6];
		if (content == 0 && expected == STDIN) {
			*length = at;
			return FRAME_COMPLETE;
		}
		if (content == 0 || expected == BEGIN_REQUEST)
			expected = expected == BEGIN_REQUEST ? PARAMS : STDIN;
	}
}
