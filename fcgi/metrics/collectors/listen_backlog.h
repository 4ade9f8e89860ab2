#ifndef METRICS_LISTEN_BACKLOG_H
#define METRICS_LISTEN_BACKLOG_H

#include <stdint.h>

/* A listening socket's queue of connections that nobody has accepted. */
struct listen_backlog {
	uint64_t length;
	uint64_t limit;
};

/* A netlink socket to ask with, or a negative errno. The caller closes it. */
int listen_backlog_open(void);

/*
 * Ask the kernel for the queue of the listening unix socket with this inode
 * number. Returns 0, or a negative errno (-ENOENT: there is no such socket).
 */
int listen_backlog_read(
    int netlink, uint32_t inode, struct listen_backlog *queue);

#endif
