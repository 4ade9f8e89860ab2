/*
 * How workers give each other connections: a socket pair for each of them, on
 * which a message is one byte and one descriptor.
 */
#include "worker/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* A message with room for one descriptor, aligned as cmsg(3) wants it. */
struct envelope {
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec data;
	struct msghdr message;
};

static void
prepare(struct envelope *envelope)
{
	*envelope = (struct envelope){
	    .data = {.iov_base = &envelope->byte, .iov_len = 1},
	    .message =
		{
		    .msg_iov = &envelope->data,
		    .msg_iovlen = 1,
		    .msg_control = envelope->control,
		    .msg_controllen = sizeof(envelope->control),
		},
	};
}

int
channel_open(struct channel *channel)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		0, pair) < 0)
		return -errno;
	*channel = (struct channel){.in = pair[0], .out = pair[1]};
	return 0;
}

int
channel_send(const struct channel *to, int connection)
{
	struct envelope envelope;
	struct cmsghdr *header;

	prepare(&envelope);
	header = CMSG_FIRSTHDR(&envelope.message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &connection, sizeof(int));
	return sendmsg(to->out, &envelope.message, MSG_NOSIGNAL) < 0 ? -errno
								     : 0;
}

int
channel_receive(const struct channel *channel)
{
	struct envelope envelope;
	const struct cmsghdr *header;
	int connection;

	prepare(&envelope);
	if (recvmsg(channel->in, &envelope.message, MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&envelope.message);
	if (!header || header->cmsg_type != SCM_RIGHTS) /* no descriptor left */
		return -EMFILE;
	memcpy(&connection, CMSG_DATA(header), sizeof(int));
	return connection;
}
