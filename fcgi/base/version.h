#ifndef VERSION_H
#define VERSION_H

/* The version of this build. scripts/version writes version.c. */
extern const char version_number[];
extern const char version_revision[];
extern const char version_built[]; /* RFC 3339 */

#endif
