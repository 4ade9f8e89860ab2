/*
 * The guard in front of libfcgi. Only the records of a complete, valid request
 * reach libfcgi. It therefore never blocks on an incomplete request, and never
 * sees an invalid length or a management record (its answer to GET_VALUES
 * overflows a buffer). A protocol violation closes the connection.
 */
#include "fastcgi/record.h"

enum { VERSION = 1, BEGIN_SIZE = 8 };

unsigned
record_read_16(const unsigned char *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

static enum record_status
invalid(struct record_guard *guard, const char *problem)
{
	guard->problem = problem;
	return RECORD_INVALID;
}

/* A length has one byte, or four if the top bit is set. */
static size_t
size_of_length(unsigned char first)
{
	return first & 0x80 ? 4 : 1;
}

static size_t
read_length(const unsigned char *bytes)
{
	if (!(bytes[0] & 0x80))
		return bytes[0];
	return (size_t)(bytes[0] & 0x7f) << 24 | (size_t)bytes[1] << 16 |
	       (size_t)bytes[2] << 8 | bytes[3];
}

/*
 * Read one byte of the two lengths at the start of a name-value pair. Returns
 * NULL or a protocol violation.
 */
static const char *
read_length_byte(struct record_guard *guard, unsigned char byte)
{
	const unsigned char *lengths = guard->lengths;
	size_t first;
	size_t name;

	guard->lengths[guard->lengths_count++] = byte;
	first = size_of_length(lengths[0]);
	if (guard->lengths_count <= first ||
	    guard->lengths_count < first + size_of_length(lengths[first]))
		return NULL;
	guard->lengths_count = 0;
	name = read_length(lengths);
	guard->pair_left = name + read_length(lengths + first);
	if (name == 0)
		return "a parameter has no name";
	if (guard->pair_left > RECORD_REQUEST_MAX)
		return "a parameter exceeds 128 KiB";
	return NULL;
}

/*
 * Read the content of a PARAMS record. A pair may continue in the next record.
 * Returns NULL or a protocol violation.
 */
static const char *
read_params(struct record_guard *guard, const unsigned char *bytes, size_t size)
{
	const char *problem = NULL;

	for (size_t at = 0; at < size && !problem;) {
		size_t rest = size - at;

		if (guard->pair_left == 0) {
			problem = read_length_byte(guard, bytes[at++]);
		} else if (guard->pair_left < rest) {
			at += guard->pair_left;
			guard->pair_left = 0;
		} else {
			guard->pair_left -= rest;
			break;
		}
	}
	return problem;
}

static enum record_status
validate_begin(
    struct record_guard *guard, const unsigned char *record, unsigned id)
{
	if (record_read_16(record + 4) != BEGIN_SIZE)
		return invalid(guard, "BEGIN_REQUEST has a wrong size");
	if (guard->state != RECORD_IDLE)
		return id == guard->id
			   ? invalid(guard, "BEGIN_REQUEST came twice")
			   : RECORD_ANSWER;
	if (record_read_16(record + RECORD_HEADER_SIZE) != RECORD_RESPONDER)
		return RECORD_ANSWER;
	guard->state = RECORD_IN_PARAMS;
	guard->id = id;
	return RECORD_PART;
}

/* Validate a record of the active request. */
static enum record_status
validate_part(struct record_guard *guard, const unsigned char *record)
{
	const size_t size = record_read_16(record + 4);
	const char *problem;

	if (record[1] == RECORD_ABORT_REQUEST) {
		*guard = (struct record_guard){0};
		return RECORD_ABORT;
	}
	if (guard->state == RECORD_IN_STDIN && record[1] == RECORD_STDIN) {
		if (size > 0)
			return RECORD_PART;
		guard->state = RECORD_ENDED;
		return RECORD_COMPLETE;
	}
	if (guard->state != RECORD_IN_PARAMS || record[1] != RECORD_PARAMS)
		return invalid(guard, "a record is out of order");
	problem = read_params(guard, record + RECORD_HEADER_SIZE, size);
	if (problem)
		return invalid(guard, problem);
	if (size == 0) {
		if (guard->pair_left > 0 || guard->lengths_count > 0)
			return invalid(guard, "PARAMS ends inside a parameter");
		guard->state = RECORD_IN_STDIN;
	}
	return RECORD_PART;
}

enum record_status
record_validate(struct record_guard *guard, const unsigned char *bytes,
    size_t size, size_t *length, size_t *next)
{
	unsigned id;

	if (size < RECORD_HEADER_SIZE)
		return RECORD_PARTIAL;
	if (bytes[0] != VERSION)
		return invalid(guard, "this is not FastCGI version 1");
	id = record_read_16(bytes + 2);
	if (id == 0 && bytes[1] <= RECORD_DATA)
		return invalid(guard, "a record of a request has the id 0");
	*length = RECORD_HEADER_SIZE + record_read_16(bytes + 4);
	*next = *length + bytes[6];
	if (size < *next)
		return RECORD_PARTIAL;
	if (id == 0)
		return RECORD_ANSWER;
	if (bytes[1] == RECORD_BEGIN_REQUEST)
		return validate_begin(guard, bytes, id);
	if (guard->state == RECORD_IDLE || id != guard->id)
		return RECORD_IGNORE;
	return validate_part(guard, bytes);
}
