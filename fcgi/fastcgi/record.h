#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>

enum {
	/* The largest request, headers included; nginx allows less (nginx/). */
	FRAME_REQUEST_MAX = 128 << 10,
	FRAME_HEADER_SIZE = 8,
};

/* FastCGI specification 1.0, sections 3.3 and 8. */
enum frame_type {
	FRAME_BEGIN_REQUEST = 1,
	FRAME_ABORT_REQUEST = 2,
	FRAME_END_REQUEST = 3,
	FRAME_PARAMS = 4,
	FRAME_STDIN = 5,
	FRAME_DATA = 8, /* the last type that belongs to a request */
	FRAME_GET_VALUES = 9,
	FRAME_GET_VALUES_RESULT = 10,
	FRAME_UNKNOWN_TYPE = 11,
};

enum { FRAME_RESPONDER = 1 }; /* a role */
enum { FRAME_KEEP_CONN = 1 }; /* a flag */

enum frame_status {
	FRAME_PARTIAL,  /* the record has not come whole */
	FRAME_PART,     /* the next record of the request */
	FRAME_COMPLETE, /* its last one */
	FRAME_ANSWER,   /* of no request here: for management_answer() */
	FRAME_ABORT,    /* the request ends unanswered: for the same */
	FRAME_IGNORE,   /* of a request that is not active */
	FRAME_INVALID   /* breaks the protocol; frame->problem says how */
};

enum frame_state {
	FRAME_IDLE, /* no request is active */
	FRAME_IN_PARAMS,
	FRAME_IN_STDIN,
	FRAME_ENDED /* all of the request is here */
};

/* What came of the request on a connection. All zeros: nothing. */
struct frame {
	enum frame_state state;
	unsigned id;         /* of the request, unless FRAME_IDLE */
	const char *problem; /* constant text; set by FRAME_INVALID */

	/* the name-value pair that a PARAMS record ended in */
	unsigned char lengths[8];
	size_t lengths_count;
	size_t pair_left;
};

/*
 * Judge the record at the start of these bytes, which follows what was judged
 * before: a request is BEGIN_REQUEST, the PARAMS records and an empty one, the
 * STDIN records and an empty one, all of one id. Unless it is FRAME_PARTIAL or
 * FRAME_INVALID, *length is the record's size without its padding, and *next
 * where the record behind it begins. FastCGI specification 1.0, sections 3 and
 * 5: https://fastcgi-archives.github.io/FastCGI_Specification.html
 */
enum frame_status frame_judge(struct frame *frame, const unsigned char *bytes,
    size_t size, size_t *length, size_t *next);

/* A number of two bytes, as records have it. */
unsigned frame_read_16(const unsigned char *bytes);

#endif
