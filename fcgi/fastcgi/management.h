#ifndef MANAGEMENT_H
#define MANAGEMENT_H

#include <stddef.h>

enum { MANAGEMENT_ANSWER_MAX = 96 };

/*
 * Write the answer to a complete record for which record_validate() returned
 * RECORD_ANSWER or RECORD_ABORT:
 *
 * - GET_VALUES: the requested values of FCGI_MAX_CONNS, FCGI_MAX_REQS (both
 *   connections_max) and FCGI_MPXS_CONNS (0)
 * - any other management record: UNKNOWN_TYPE
 * - BEGIN_REQUEST: END_REQUEST with UNKNOWN_ROLE or, for a responder,
 *   CANT_MPX_CONN
 * - ABORT_REQUEST: END_REQUEST with REQUEST_COMPLETE
 *
 * Writes at most MANAGEMENT_ANSWER_MAX bytes. Returns their number, or 0 if a
 * GET_VALUES has an invalid length. FastCGI specification 1.0,
 * sections 4 and 5.5:
 * https://fastcgi-archives.github.io/FastCGI_Specification.html
 */
size_t management_answer(const unsigned char *record, unsigned connections_max,
    unsigned char *answer);

#endif
