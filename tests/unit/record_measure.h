#ifndef RECORD_MEASURE_H
#define RECORD_MEASURE_H

/*
 * Gives whole sequences of records to the guard in front of libfcgi.
 */

#include "support.h"

#include "fastcgi/record.h"
#include "records.h"

static struct record_guard guard;
static unsigned seen[RECORD_INVALID + 1]; /* how often each status came */

/*
 * Give the bytes to a new guard, record by record. Returns the last status:
 * RECORD_COMPLETE if they end with a whole request.
 */
static inline enum record_status
measure_bytes(const unsigned char *bytes, size_t size)
{
	enum record_status status;
	size_t at = 0;

	guard = (struct record_guard){0};
	memset(seen, 0, sizeof(seen));
	for (;;) {
		size_t length;
		size_t next;

		status = record_validate(
		    &guard, bytes + at, size - at, &length, &next);
		seen[status]++;
		if (status == RECORD_PARTIAL || status == RECORD_INVALID)
			break;
		assert_in_range(length, RECORD_HEADER_SIZE, next);
		assert_in_range(next, RECORD_HEADER_SIZE, size - at);
		at += next;
	}
	if (status == RECORD_PARTIAL && guard.state == RECORD_ENDED &&
	    at == size)
		return RECORD_COMPLETE;
	return status;
}

static inline enum record_status
measure(const struct records *records)
{
	return measure_bytes(records->bytes, records->size);
}

static inline void
assert_invalid(const struct records *records, const char *problem)
{
	assert_int_equal(measure(records), RECORD_INVALID);
	assert_string_equal(guard.problem, problem);
}

#endif
