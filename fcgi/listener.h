#ifndef LISTENER_H
#define LISTENER_H

#include <stdint.h>

/*
 * Bind and listen on a unix socket, mode 0660. A file left behind by a dead
 * process is replaced. Returns the fd, non-blocking; or a negative errno,
 * logged with what to do: -EADDRINUSE where somebody answers there.
 */
int listener_open(const char *path);

/* The inode number that sock_diag(7) knows the socket by; 0 on failure. */
uint32_t listener_inode(int fd);

#endif
