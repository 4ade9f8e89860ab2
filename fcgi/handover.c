/*
 * How workers give each other connections: a socket pair for each of them, on
 * which a message is one byte and one descriptor.
 */
#include "handover.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Room for one descriptor, aligned as cmsg(3) wants it. */
union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int
handover_open(struct handover *handover)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		0, pair) < 0)
		return -errno;
	*handover = (struct handover){.in = pair[0], .out = pair[1]};
	return 0;
}

int
handover_send(const struct handover *to, int connection)
{
	union control control = {.bytes = {0}};
	char byte = 0;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {
	    .msg_iov = &data,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &connection, sizeof(int));
	return sendmsg(to->out, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int
handover_receive(const struct handover *handover)
{
	union control control;
	char byte;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {
	    .msg_iov = &data,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	int connection;

	if (recvmsg(handover->in, &message, MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS) /* no descriptor left */
		return -EMFILE;
	memcpy(&connection, CMSG_DATA(header), sizeof(int));
	return connection;
}
