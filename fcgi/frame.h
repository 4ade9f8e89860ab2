#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>

enum frame_status {
	FRAME_PARTIAL,  /* a sound beginning: more has to come */
	FRAME_COMPLETE, /* one whole request */
	FRAME_INVALID   /* nothing that nginx sends */
};

/*
 * Measure the FastCGI request at the start of these bytes: BEGIN_REQUEST, the
 * PARAMS records and an empty one, the STDIN records and an empty one, all of
 * one id, each name-value pair within its record, padding after content of the
 * latter two only. *length is the size of a complete one. FastCGI
 * specification 1.0, sections 3 and 5:
 * https://fastcgi-archives.github.io/FastCGI_Specification.html
 */
enum frame_status frame_measure(
    const unsigned char *bytes, size_t size, size_t *length);

#endif
