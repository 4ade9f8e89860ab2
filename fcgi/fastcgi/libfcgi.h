#ifndef LIBFCGI_H
#define LIBFCGI_H

/*
 * Replacements for the functions with which libfcgi reads, writes and closes a
 * socket. The Makefile's WRAPPED links them into libfcgi.
 */

#include <stddef.h>

/* A write fails if the web server does not read for this long. */
enum { LIBFCGI_SEND_TIMEOUT_SECONDS = 5 };

/*
 * Let libfcgi read these bytes of a complete request, and then the end of the
 * stream. The caller keeps them until libfcgi has read them.
 */
void libfcgi_set_input(const unsigned char *bytes, size_t size);

#endif
