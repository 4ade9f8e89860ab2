#ifndef GRANTS_H
#define GRANTS_H

/*
 * Grants: what app/sandbox.def adds to the sandbox of workers.
 */

#include <stdbool.h>
#include <stddef.h>

#include <seccomp.h>

struct options;

/*
 * What must be done before the filter is loaded: allow the process to write to
 * the declared folders and, if the kernel has Landlock, nowhere else; and load
 * the libraries that look up names. Logs what cannot be done, but not that a
 * folder is missing where app_start() has failed.
 */
void grants_prepare(const struct options *options, bool has_started);

/* Add the rules to a filter. Returns 0 or a negative errno. */
int grants_add_rules(scmp_filter_ctx filter);

/*
 * Write the line for sandbox.def that would allow this system call, such as
 * "ALLOW_NETWORK". name is the call's name.
 */
void grants_find_line(int call, const char *name, char *line, size_t size);

#endif
