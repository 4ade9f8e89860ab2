#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>
#include <stddef.h>

enum {
	/* The largest request, headers included; nginx allows less (nginx/). */
	RECORD_REQUEST_MAX = 128 << 10,
	RECORD_HEADER_SIZE = 8,
};

/* FastCGI specification 1.0, sections 3.3 and 8. */
enum record_type {
	RECORD_BEGIN_REQUEST = 1,
	RECORD_ABORT_REQUEST = 2,
	RECORD_END_REQUEST = 3,
	RECORD_PARAMS = 4,
	RECORD_STDIN = 5,
	RECORD_DATA = 8, /* the last type that belongs to a request */
	RECORD_GET_VALUES = 9,
	RECORD_GET_VALUES_RESULT = 10,
	RECORD_UNKNOWN_TYPE = 11,
};

enum { RECORD_RESPONDER = 1 }; /* a role */
enum { RECORD_KEEP_CONN = 1 }; /* a flag */

enum record_status {
	RECORD_PARTIAL,  /* the record has not come whole */
	RECORD_PART,     /* the next record of the request */
	RECORD_COMPLETE, /* its last one */
	RECORD_ANSWER,   /* of no request here: for management_answer() */
	RECORD_ABORT,    /* the request ends unanswered: for the same */
	RECORD_IGNORE,   /* of a request that is not active */
	RECORD_INVALID   /* breaks the protocol; guard->problem says how */
};

enum record_state {
	RECORD_IDLE, /* no request is active */
	RECORD_IN_PARAMS,
	RECORD_IN_STDIN,
	RECORD_ENDED /* all of the request is here */
};

/* What came of the request on a connection. All zeros: nothing. */
struct record_guard {
	enum record_state state;
	unsigned id;         /* of the request, unless RECORD_IDLE */
	const char *problem; /* constant text; set by RECORD_INVALID */

	/* the name-value pair that a PARAMS record ended in */
	unsigned char lengths[8];
	size_t lengths_count;
	size_t pair_left;
};

/*
 * Judge the record at the start of these bytes, which follows what was judged
 * before: a request is BEGIN_REQUEST, the PARAMS records and an empty one, the
 * STDIN records and an empty one, all of one id. Unless it is RECORD_PARTIAL or
 * RECORD_INVALID, *length is the record's size without its padding, and *next
 * where the record behind it begins. FastCGI specification 1.0, sections 3 and
 * 5: https://fastcgi-archives.github.io/FastCGI_Specification.html
 */
enum record_status record_validate(struct record_guard *guard,
    const unsigned char *bytes, size_t size, size_t *length, size_t *next);

/* A number of two bytes, as records have it. */
unsigned record_read_16(const unsigned char *bytes);

#endif
