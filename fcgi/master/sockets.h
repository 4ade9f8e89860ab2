#ifndef SOCKETS_H
#define SOCKETS_H

/*
 * The sockets that nginx connects to: one for each kind of worker, one for
 * scrapes. The supervisor holds them, so that they outlive the master.
 */

#include "master/listener.h"
#include "options.h"

enum { SOCKET_PATH_MAX = 108 + sizeof(".blocking") };

struct socket {
	int fd;
	char path[SOCKET_PATH_MAX]; /* "": not open */
	struct listener_file file;
};

struct sockets {
	struct socket nonblocking; /* --socket */
	struct socket blocking; /* the same path with ".blocking" behind it */
	struct socket metrics;  /* --metrics-socket */
};

/*
 * Listen on all three, or take over what the last program of this process left
 * (inherited.h). Returns 0, or a negative errno, logged. Whoever calls
 * this calls sockets_unlink_all(), on failure too.
 */
int sockets_open(struct sockets *sockets, const struct options *options);

/* Keep all three through execve(), for the next program. Returns 0 or -ENOMEM.
 */
int sockets_pass(const struct sockets *sockets);

/* After an execve() that failed: undo sockets_pass(). */
void sockets_unpass(const struct sockets *sockets);

/* Remove the names of the workers' sockets: nobody connects any more. */
void sockets_unlink_workers(const struct sockets *sockets);

/*
 * Remove the names that are still there and ours. A successor may use them: its
 * files have other inode numbers while these sockets are open.
 */
void sockets_unlink_all(const struct sockets *sockets);

#endif
