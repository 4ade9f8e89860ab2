#ifndef LISTENER_H
#define LISTENER_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Bind and listen on a unix socket, mode 0660. A file left behind by a dead
 * process is replaced. Returns the fd, non-blocking; or a negative errno,
 * logged with what to do: -EADDRINUSE where somebody answers there.
 */
int listener_open(const char *path);

/* Which file a socket's path leads to, to know it again later. */
struct listener_file {
	dev_t device;
	ino_t inode;
};

/* The file at the path; all zero where there is none. */
struct listener_file listener_file(const char *path);

/* Unlink the path, unless it leads to another file: a successor's socket. */
void listener_unlink(const char *path, struct listener_file file);

/* The inode number that sock_diag(7) knows the socket by; 0 on failure. */
uint32_t listener_inode(int fd);

#endif
