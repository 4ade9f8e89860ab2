/*
 * Answers to records that belong to no active request. libfcgi never sees these
 * records: its answer to a GET_VALUES that repeats a name overflows a buffer of
 * 64 bytes.
 */
#include "fastcgi/management.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "fastcgi/record.h"

enum { REQUEST_COMPLETE = 0, CANT_MPX_CONN = 1, UNKNOWN_ROLE = 3 };

enum value { MAX_CONNS, MAX_REQS, MPXS_CONNS, VALUE_COUNT };

static const char *const value_names[VALUE_COUNT] = {
    [MAX_CONNS] = "FCGI_MAX_CONNS",
    [MAX_REQS] = "FCGI_MAX_REQS",
    [MPXS_CONNS] = "FCGI_MPXS_CONNS",
};

static size_t
add_header(
    unsigned char *answer, enum record_type type, unsigned id, size_t size)
{
	const unsigned char header[RECORD_HEADER_SIZE] = {1,
	    (unsigned char)type, (unsigned char)(id >> 8), (unsigned char)id, 0,
	    (unsigned char)size};

	memcpy(answer, header, sizeof(header));
	return sizeof(header) + size;
}

static size_t
end_request(unsigned char *answer, unsigned id, int protocol_status)
{
	unsigned char *content = answer + RECORD_HEADER_SIZE;

	memset(content, 0, 8);
	content[4] = (unsigned char)protocol_status;
	return add_header(answer, RECORD_END_REQUEST, id, 8);
}

static size_t
unknown_type(unsigned char *answer, unsigned char type)
{
	unsigned char *content = answer + RECORD_HEADER_SIZE;

	memset(content, 0, 8);
	content[0] = type;
	return add_header(answer, RECORD_UNKNOWN_TYPE, 0, 8);
}

/*
 * Read the length of a name or a value, and advance *at. Returns SIZE_MAX if it
 * is incomplete.
 */
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

/* Find the names that are asked for. Returns 0, or -1 for invalid lengths. */
static int
read_names(const unsigned char *bytes, size_t size, int asked[VALUE_COUNT])
{
	size_t at = 0;

	while (at < size) {
		size_t name = read_length(bytes, size, &at);
		size_t value = read_length(bytes, size, &at);

		if (name > size - at || value > size - at - name)
			return -1;
		for (int i = 0; i < VALUE_COUNT; i++)
			if (strlen(value_names[i]) == name &&
			    memcmp(value_names[i], bytes + at, name) == 0)
				asked[i] = 1;
		at += name + value;
	}
	return 0;
}

/* Answer each value once, even if its name is repeated, to bound the answer. */
static size_t
get_values(
    unsigned char *answer, const unsigned char *record, unsigned connections)
{
	unsigned char *content = answer + RECORD_HEADER_SIZE;
	int asked[VALUE_COUNT] = {0};
	size_t used = 0;

	if (read_names(record + RECORD_HEADER_SIZE, record_read_16(record + 4),
		asked) < 0)
		return 0;
	for (int i = 0; i < VALUE_COUNT; i++) {
		char value[12];
		size_t name_length = strlen(value_names[i]);
		int length = snprintf(value, sizeof(value), "%u",
		    i == MPXS_CONNS ? 0 : connections);

		if (!asked[i])
			continue;
		content[used++] = (unsigned char)name_length;
		content[used++] = (unsigned char)length;
		memcpy(content + used, value_names[i], name_length);
		used += name_length;
		memcpy(content + used, value, (size_t)length);
		used += (size_t)length;
	}
	return add_header(answer, RECORD_GET_VALUES_RESULT, 0, used);
}

size_t
management_answer(const unsigned char *record, unsigned connections_max,
    unsigned char *answer)
{
	unsigned id = record_read_16(record + 2);

	switch (record[1]) {
	case RECORD_GET_VALUES:
		return get_values(answer, record, connections_max);
	case RECORD_BEGIN_REQUEST:
		return end_request(answer, id,
		    record_read_16(record + RECORD_HEADER_SIZE) ==
			    RECORD_RESPONDER
			? CANT_MPX_CONN
			: UNKNOWN_ROLE);
	case RECORD_ABORT_REQUEST:
		return end_request(answer, id, REQUEST_COMPLETE);
	default:
		return unknown_type(answer, record[1]);
	}
}
