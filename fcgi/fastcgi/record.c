/*
 * The guard in front of libfcgi. Only the records of a whole and sound request
 * reach it, so that it never blocks on a peer that stops halfway, never sees a
 * management record (its answer to GET_VALUES overflows a buffer), and never a
 * length that lies. What breaks the protocol ends the connection.
 */
#include "fastcgi/record.h"

enum { VERSION = 1, BEGIN_SIZE = 8 };

unsigned
frame_read_16(const unsigned char *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

static enum frame_status
invalid(struct frame *frame, const char *problem)
{
	frame->problem = problem;
	return FRAME_INVALID;
}

/* A name's or a value's length: one byte, or four with the top bit set. */
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

/* One byte more of the two lengths that a pair begins with. */
static const char *
take_length_byte(struct frame *frame, unsigned char byte)
{
	const unsigned char *lengths = frame->lengths;
	size_t first;
	size_t name;

	frame->lengths[frame->lengths_count++] = byte;
	first = size_of_length(lengths[0]);
	if (frame->lengths_count <= first ||
	    frame->lengths_count < first + size_of_length(lengths[first]))
		return NULL;
	frame->lengths_count = 0;
	name = read_length(lengths);
	frame->pair_left = name + read_length(lengths + first);
	if (name == 0)
		return "a parameter without a name";
	if (frame->pair_left > FRAME_REQUEST_MAX)
		return "a parameter over the limit of 128 KiB";
	return NULL;
}

/* The content of one PARAMS record. A pair may go on in the next one. */
static const char *
take_params(struct frame *frame, const unsigned char *bytes, size_t size)
{
	const char *problem = NULL;

	for (size_t at = 0; at < size && !problem;) {
		size_t rest = size - at;

		if (frame->pair_left == 0) {
			problem = take_length_byte(frame, bytes[at++]);
		} else if (frame->pair_left < rest) {
			at += frame->pair_left;
			frame->pair_left = 0;
		} else {
			frame->pair_left -= rest;
			break;
		}
	}
	return problem;
}

static enum frame_status
judge_begin(struct frame *frame, const unsigned char *record, unsigned id)
{
	if (frame_read_16(record + 4) != BEGIN_SIZE)
		return invalid(frame, "BEGIN_REQUEST has a wrong size");
	if (frame->state != FRAME_IDLE)
		return id == frame->id
			   ? invalid(frame, "BEGIN_REQUEST came twice")
			   : FRAME_ANSWER;
	if (frame_read_16(record + FRAME_HEADER_SIZE) != FRAME_RESPONDER)
		return FRAME_ANSWER;
	frame->state = FRAME_IN_PARAMS;
	frame->id = id;
	return FRAME_PART;
}

/* A record of the active request. */
static enum frame_status
judge_part(struct frame *frame, const unsigned char *record)
{
	const size_t size = frame_read_16(record + 4);
	const char *problem;

	if (record[1] == FRAME_ABORT_REQUEST) {
		*frame = (struct frame){0};
		return FRAME_ABORT;
	}
	if (frame->state == FRAME_IN_STDIN && record[1] == FRAME_STDIN) {
		if (size > 0)
			return FRAME_PART;
		frame->state = FRAME_ENDED;
		return FRAME_COMPLETE;
	}
	if (frame->state != FRAME_IN_PARAMS || record[1] != FRAME_PARAMS)
		return invalid(frame, "a record is out of order");
	problem = take_params(frame, record + FRAME_HEADER_SIZE, size);
	if (problem)
		return invalid(frame, problem);
	if (size == 0) {
		if (frame->pair_left > 0 || frame->lengths_count > 0)
			return invalid(frame, "PARAMS ends in a parameter");
		frame->state = FRAME_IN_STDIN;
	}
	return FRAME_PART;
}

enum frame_status
frame_judge(struct frame *frame, const unsigned char *bytes, size_t size,
    size_t *length, size_t *next)
{
	unsigned id;

	if (size < FRAME_HEADER_SIZE)
		return FRAME_PARTIAL;
	if (bytes[0] != VERSION)
		return invalid(frame, "no record of FastCGI 1");
	id = frame_read_16(bytes + 2);
	if (id == 0 && bytes[1] <= FRAME_DATA)
		return invalid(frame, "a record of a request has the id 0");
	*length = FRAME_HEADER_SIZE + frame_read_16(bytes + 4);
	*next = *length + bytes[6];
	if (size < *next)
		return FRAME_PARTIAL;
	if (id == 0)
		return FRAME_ANSWER;
	if (bytes[1] == FRAME_BEGIN_REQUEST)
		return judge_begin(frame, bytes, id);
	if (frame->state == FRAME_IDLE || id != frame->id)
		return FRAME_IGNORE;
	return judge_part(frame, bytes);
}
