#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>
#include <stddef.h>

enum {
	/* Bytes of the largest parameters with all record headers. nginx's
	 * limits are lower (nginx/nginx.conf.template). */
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
	RECORD_PARTIAL,  /* the record is incomplete */
	RECORD_PART,     /* the next record of the active request */
	RECORD_COMPLETE, /* the last record of the active request */
	RECORD_ANSWER,   /* of no active request: call management_answer() */
	RECORD_ABORT,    /* aborts the active request: call it as well */
	RECORD_IGNORE,   /* of a request that is not active: ignore it */
	RECORD_INVALID   /* a protocol violation; see guard->problem */
};

enum record_state {
	RECORD_IDLE, /* no request is active */
	RECORD_IN_PARAMS,
	RECORD_IN_STDIN,
	RECORD_ENDED /* the request is complete */
};

/* The request that is arriving on a connection. All zeros: none. */
struct record_guard {
	enum record_state state;
	unsigned id;         /* of the request; unset if RECORD_IDLE */
	const char *problem; /* constant text; set by RECORD_INVALID */

	/* The name-value pair that continues in the next PARAMS record. */
	unsigned char lengths[8];
	size_t lengths_count;
	size_t pair_left; /* bytes of it that have not arrived */
};

/*
 * Validate the record at the start of these bytes, which follows the records
 * that this guard has validated before. A request is BEGIN_REQUEST, PARAMS
 * records and an empty one, STDIN records and an empty one, all with one id.
 * Unless the result is RECORD_PARTIAL or RECORD_INVALID, *length is the size of
 * the record without padding, and *next is the offset of the next record.
 * FastCGI specification 1.0, sections 3 and 5:
 * https://fastcgi-archives.github.io/FastCGI_Specification.html
 */
enum record_status record_validate(struct record_guard *guard,
    const unsigned char *bytes, size_t size, size_t *length, size_t *next);

/* Read a 16-bit number, most significant byte first. */
unsigned record_read_16(const unsigned char *bytes);

#endif
