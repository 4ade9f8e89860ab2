#ifndef VERSION_H
#define VERSION_H

/* Which build this is; the Makefile writes version.c from VERSION and git. */
extern const char version_number[];
extern const char version_revision[];
extern const char version_built[]; /* RFC 3339 */

#endif
