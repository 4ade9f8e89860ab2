#ifndef RECORDS_H
#define RECORDS_H

/*
 * FastCGI records as a web server makes them (specification 1.0, sections 3 and
 * 5), sound or not: whoever calls decides.
 */

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
	RECORDS_BEGIN = 1,
	RECORDS_ABORT = 2,
	RECORDS_END = 3,
	RECORDS_PARAMS = 4,
	RECORDS_STDIN = 5,
	RECORDS_STDOUT = 6,
	RECORDS_RESPONDER = 1,
	RECORDS_NULL_ID = 1 << 16, /* 0, of management records */
	RECORDS_SIZE = 256 << 10,
};

struct records {
	unsigned char bytes[RECORDS_SIZE];
	size_t size;
	unsigned id;      /* 0: 1; RECORDS_NULL_ID: 0 */
	unsigned padding; /* behind each record that nginx pads */
};

static inline void
records_append(struct records *records, const void *bytes, size_t size)
{
	assert(records->size + size <= RECORDS_SIZE);
	if (size > 0)
		memcpy(records->bytes + records->size, bytes, size);
	records->size += size;
}

static inline void
records_add(
    struct records *records, unsigned type, const void *content, size_t size)
{
	static const unsigned char padding[256];
	const unsigned id = records->id ? records->id : 1;
	const unsigned pad =
	    size > 0 && type != RECORDS_BEGIN ? records->padding : 0;
	const unsigned char header[8] = {1, (unsigned char)type,
	    (unsigned char)(id >> 8), (unsigned char)id,
	    (unsigned char)(size >> 8), (unsigned char)size, (unsigned char)pad,
	    0};

	assert(size <= 65535);
	records_append(records, header, sizeof(header));
	records_append(records, content, size);
	records_append(records, padding, pad);
}

static inline void
records_begin(struct records *records, unsigned role, unsigned flags)
{
	const unsigned char content[8] = {(unsigned char)(role >> 8),
	    (unsigned char)role, (unsigned char)flags};

	records_add(records, RECORDS_BEGIN, content, sizeof(content));
}

static inline void
records_length(struct records *records, size_t length)
{
	const unsigned char bytes[4] = {(unsigned char)(length >> 24 | 0x80),
	    (unsigned char)(length >> 16), (unsigned char)(length >> 8),
	    (unsigned char)length};

	records_append(
	    records, length < 128 ? bytes + 3 : bytes, length < 128 ? 1 : 4);
}

/* A name-value pair as content of a PARAMS record. */
static inline void
records_pair(struct records *pairs, const char *name, const char *value)
{
	records_length(pairs, strlen(name));
	records_length(pairs, strlen(value));
	records_append(pairs, name, strlen(name));
	records_append(pairs, value, strlen(value));
}

/* A whole request as nginx sends it; keep: FCGI_KEEP_CONN. */
static inline void
records_request_with(struct records *records, const char *method,
    const char *path, const char *length, const char *body, unsigned keep)
{
	static struct records pairs;

	pairs.size = 0;
	records_pair(&pairs, "REQUEST_METHOD", method);
	records_pair(&pairs, "PATH_INFO", path);
	records_pair(&pairs, "CONTENT_LENGTH", length);
	records_begin(records, RECORDS_RESPONDER, keep);
	records_add(records, RECORDS_PARAMS, pairs.bytes, pairs.size);
	records_add(records, RECORDS_PARAMS, NULL, 0);
	if (*body)
		records_add(records, RECORDS_STDIN, body, strlen(body));
	records_add(records, RECORDS_STDIN, NULL, 0);
}

static inline void
records_request(struct records *records, const char *method, const char *path,
    const char *body)
{
	char length[32] = "";

	if (*body)
		snprintf(length, sizeof(length), "%zu", strlen(body));
	records_request_with(records, method, path, length, body, 1);
}

#endif
