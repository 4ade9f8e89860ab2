#ifndef METRICS_QUEUE_H
#define METRICS_QUEUE_H

#include <stdint.h>

/* A listening socket's queue of connections that nobody has accepted. */
struct queue {
	uint32_t length;
	uint32_t limit;
};

/* A netlink socket to ask with, or a negative errno. The caller closes it. */
int queue_open(void);

/*
 * Ask the kernel for the queue of the listening unix socket with this inode
 * number. Returns 0, or a negative errno (-ENOENT: there is no such socket).
 */
int queue_read(int netlink, uint32_t inode, struct queue *queue);

#endif
