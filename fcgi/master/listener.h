#ifndef LISTENER_H
#define LISTENER_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Bind and listen on a unix socket with mode 0660. A socket file that a dead
 * process left behind is replaced. Returns the non-blocking descriptor, or a
 * negative errno that is logged with advice: -EADDRINUSE if another process
 * listens on this path.
 */
int listener_open(const char *path);

/* Identifies the file of a socket, to recognise it later. */
struct listener_file {
	dev_t device;
	ino_t inode;
};

/* The file at this path; all zeros if there is none. */
struct listener_file listener_file(const char *path);

/* Unlink the path, unless it is another file by now: a new pool's socket. */
void listener_unlink(const char *path, struct listener_file file);

/* The socket's inode number, as in sock_diag(7); 0 on error. */
uint32_t listener_inode(int fd);

#endif
