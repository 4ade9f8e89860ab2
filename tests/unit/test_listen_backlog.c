/*
 * The listen backlog of a socket, as the kernel tells it.
 */
#include "listening_socket.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

#include "metrics/collectors/listen_backlog.h"

static void
the_length_is_the_number_of_connections_that_wait(void **state)
{
	int netlink = listen_backlog_open();
	int fd = listener_open(path);
	uint32_t inode = listener_inode(fd);
	struct listen_backlog backlog;
	int clients[5];

	(void)state;
	assert_true(netlink >= 0);
	assert_int_not_equal(inode, 0);
	assert_int_equal(listen_backlog_read(netlink, inode, &backlog), 0);
	assert_int_equal(backlog.length, 0);
	assert_in_range(backlog.limit, 1, 4096);
	for (size_t i = 0; i < COUNT(clients); i++) {
		clients[i] = connect_to(path);
		assert_true(clients[i] >= 0);
		assert_int_equal(
		    listen_backlog_read(netlink, inode, &backlog), 0);
		assert_int_equal(backlog.length, i + 1);
	}
	close(accept(fd, NULL, NULL));
	assert_int_equal(listen_backlog_read(netlink, inode, &backlog), 0);
	assert_int_equal(backlog.length, COUNT(clients) - 1);
	for (size_t i = 0; i < COUNT(clients); i++)
		close(clients[i]);
	close(fd);
	close(netlink);
}

static void
a_socket_that_is_gone_is_an_error(void **state)
{
	int netlink = listen_backlog_open();
	int fd = listener_open(path);
	uint32_t inode = listener_inode(fd);
	struct listen_backlog backlog;

	(void)state;
	close(fd);
	assert_int_equal(
	    listen_backlog_read(netlink, inode, &backlog), -ENOENT);
	/* The next query gets its own answer. */
	fd = listener_open(path);
	assert_int_equal(
	    listen_backlog_read(netlink, listener_inode(fd), &backlog), 0);
	close(fd);
	close(netlink);
}

/* Ask as a metrics process does that is killed before it reads the answer. */
static void
ask_and_die(int netlink, uint32_t inode)
{
	struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} query = {
	    .header =
		{
		    .nlmsg_len = sizeof(query),
		    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		    .nlmsg_flags = NLM_F_REQUEST,
		    .nlmsg_seq = inode,
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

	assert_int_equal(
	    send(netlink, &query, sizeof(query), 0), (ssize_t)sizeof(query));
}

static void
an_answer_that_nobody_read_is_not_taken_for_the_next(void **state)
{
	int netlink = listen_backlog_open();
	int fd = listener_open(path);
	uint32_t inode = listener_inode(fd);
	int other_fd = listener_open(support_path("other.sock"));
	uint32_t other = listener_inode(other_fd);
	struct listen_backlog backlog;
	int client;

	(void)state;
	/* Of another socket, of this one at another time, and an error. */
	ask_and_die(netlink, other);
	ask_and_die(netlink, inode);
	close(other_fd);
	ask_and_die(netlink, other);
	client = connect_to(path);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(
		    listen_backlog_read(netlink, inode, &backlog), 0);
		assert_int_equal(backlog.length, 1);
	}
	close(client);
	close(fd);
	close(netlink);
}

static void
without_netlink_it_cannot_be_read(void **state)
{
	int fd = listener_open(path);
	struct listen_backlog backlog;

	(void)state;
	assert_int_equal(
	    listen_backlog_read(-1, listener_inode(fd), &backlog), -EBADF);
	assert_int_equal(listener_inode(-1), 0);
	close(fd);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up, support_release)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_length_is_the_number_of_connections_that_wait),
	    TEST(a_socket_that_is_gone_is_an_error),
	    TEST(an_answer_that_nobody_read_is_not_taken_for_the_next),
	    TEST(without_netlink_it_cannot_be_read),
	};

	return SUPPORT_RUN(tests);
}
