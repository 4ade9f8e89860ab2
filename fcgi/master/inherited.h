#ifndef INHERITED_H
#define INHERITED_H

/*
 * Passes the listening sockets to the next program of this process, through
 * execve(2). A variable of the environment says which they are:
 *
 *   PID FD:DEVICE:INODE FD:DEVICE:INODE FD:DEVICE:INODE
 *
 * All are decimal numbers. DEVICE and INODE identify the socket's file. A
 * variable with another PID was set for another process and is ignored.
 */

#include <stddef.h>

#include "master/listener.h"

enum { INHERITED_MAX = 3 };

struct inherited {
	size_t count;
	struct inherited_socket {
		int fd; /* -1: taken */
		struct listener_file file;
	} sockets[INHERITED_MAX];
};

/* Set the variable and keep the sockets open through execve(). Returns 0 or
 * -ENOMEM. */
int inherited_pass(const struct inherited *inherited);

/* After an execve() that failed: undo inherited_pass(). */
void inherited_unpass(const struct inherited *inherited);

/*
 * Read the variable and remove it from the environment. Without a variable for
 * this process there are no sockets. If anything in it is not a listening unix
 * socket, such as in the format of another version, there are none either: log
 * that, and close those that it names, so that others can be opened.
 */
void inherited_read(struct inherited *inherited);

/*
 * Take the socket that listens on this path. Returns its descriptor, which the
 * caller owns, and sets *file; -1: there is none.
 */
int inherited_take(
    struct inherited *inherited, const char *path, struct listener_file *file);

/* Close the sockets that were not taken, and unlink their files. */
void inherited_close(struct inherited *inherited);

#endif
