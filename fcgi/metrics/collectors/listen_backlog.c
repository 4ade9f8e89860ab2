/*
 * The collector listen_queue: the listen backlog of a unix socket. For a
 * listening socket, UDIAG_SHOW_RQLEN of sock_diag(7) gives length and limit.
 */
#include "metrics/collectors/listen_backlog.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

#include "metrics/collectors.h"

int
listen_backlog_open(void)
{
	struct timeval patience = {.tv_usec = 100000};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/*
 * Each metrics process inherits the socket from the supervisor. One that was
 * killed may have left an answer in it.
 */
static void
discard_answers(int netlink)
{
	char byte;

	while (recv(netlink, &byte, sizeof(byte), MSG_DONTWAIT) >= 0)
		;
}

static int
ask(int netlink, uint32_t inode)
{
	struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} message = {
	    .header =
		{
		    .nlmsg_len = sizeof(message),
		    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		    .nlmsg_flags = NLM_F_REQUEST,
		    .nlmsg_seq = inode, /* the answer has it too */
		},
	    .request =
		{
		    .sdiag_family = AF_UNIX,
		    .udiag_states = UINT32_MAX,
		    .udiag_ino = inode,
		    .udiag_show = UDIAG_SHOW_RQLEN,
		    .udiag_cookie = {UINT32_MAX, UINT32_MAX},
		},
	};

	return send(netlink, &message, sizeof(message), 0) < 0 ? -errno : 0;
}

/* Find the backlog in an answer. */
static int
parse(const struct nlmsghdr *header, struct listen_backlog *queue)
{
	const struct unix_diag_msg *message = NLMSG_DATA(header);
	const struct rtattr *attribute = (const struct rtattr *)(message + 1);
	unsigned length =
	    header->nlmsg_len - (unsigned)NLMSG_LENGTH(sizeof(*message));

	for (; RTA_OK(attribute, length);
	     attribute = RTA_NEXT(attribute, length))
		if (attribute->rta_type == UNIX_DIAG_RQLEN) {
			const struct unix_diag_rqlen *found =
			    RTA_DATA(attribute);

			*queue = (struct listen_backlog){
			    found->udiag_rqueue, found->udiag_wqueue};
			return 0;
		}
	return -ENOENT;
}

int
listen_backlog_read(int netlink, uint32_t inode, struct listen_backlog *queue)
{
	_Alignas(struct nlmsghdr) char buffer[1024];
	const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;
	ssize_t size;
	int error;

	discard_answers(netlink);
	error = ask(netlink, inode);
	if (error)
		return error;
	size = recv(netlink, buffer, sizeof(buffer), 0);
	if (size < 0)
		return -errno;
	if (!NLMSG_OK(header, (unsigned)size) || header->nlmsg_seq != inode)
		return -EBADMSG;
	if (header->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
	return parse(header, queue);
}

struct backlogs {
	struct listen_backlog nonblocking;
	struct listen_backlog blocking;
};

static int
read_collector(const struct collector_source *source, void *data)
{
	const struct scoreboard_entry *master =
	    scoreboard_entry(source->scoreboard, SLOT_MASTER);
	struct backlogs *backlogs = data;
	int error;

	if (source->backlog_fd < 0)
		return source->backlog_fd;
	error = listen_backlog_read(
	    source->backlog_fd, master->listen_inode, &backlogs->nonblocking);
	return error ? error
		     : listen_backlog_read(source->backlog_fd,
			   master->blocking_inode, &backlogs->blocking);
}

/* clang-format off */
#define LENGTH {"fcgi_listen_queue_length", METRIC_GAUGE, NULL,                \
	"Connections that wait for a worker to accept them, by kind of worker."}
#define LIMIT {"fcgi_listen_queue_limit", METRIC_GAUGE, NULL,                  \
	"Connections that may wait before the kernel refuses more."}
/* clang-format on */

static const struct collector_metric metrics[] = {
    {LENGTH, {"kind", "nonblocking"},
	COLLECTOR_FIELD(struct backlogs, nonblocking.length)},
    {LENGTH, {"kind", "blocking"},
	COLLECTOR_FIELD(struct backlogs, blocking.length)},
    {LIMIT, {"kind", "nonblocking"},
	COLLECTOR_FIELD(struct backlogs, nonblocking.limit)},
    {LIMIT, {"kind", "blocking"},
	COLLECTOR_FIELD(struct backlogs, blocking.limit)},
};

const struct collector collector_listen_backlog = {
    .name = "listen_queue",
    .needs_pool = true,
    .size = sizeof(struct backlogs),
    .read = read_collector,
    .metrics = metrics,
    .metric_count = sizeof(metrics) / sizeof(metrics[0]),
};
