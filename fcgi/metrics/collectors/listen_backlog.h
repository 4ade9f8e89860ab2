#ifndef COLLECTORS_LISTEN_BACKLOG_H
#define COLLECTORS_LISTEN_BACKLOG_H

#include <stdint.h>

/* Connections to a listening socket that no process has accepted. */
struct listen_backlog {
	uint64_t length;
	uint64_t limit;
};

/* Open a netlink socket, which the caller closes. Returns it or -errno. */
int listen_backlog_open(void);

/*
 * Read the listen backlog of the unix socket with this inode number. Returns 0,
 * or a negative errno (-ENOENT: there is no such socket).
 */
int listen_backlog_read(
    int netlink, uint32_t inode, struct listen_backlog *queue);

#endif
