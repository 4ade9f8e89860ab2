/*
 * Which users may connect as the web server.
 */
#include "support.h"

#include <sys/socket.h>
#include <sys/syscall.h>

#include "fastcgi/connection.h"
#include "web_server.h"

/* The credentials of the web server; NULL: those of the socket. */
static struct ucred *server_credentials;

int
getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	if (server_credentials && level == SOL_SOCKET && name == SO_PEERCRED) {
		memcpy(value, server_credentials, sizeof(*server_credentials));
		return 0;
	}
	return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

static int
set_up_credentials(void **state)
{
	server_credentials = NULL;
	return set_up(state);
}

static void
another_user_is_refused(void **state)
{
	struct ucred server = {
	    .pid = 4711, .uid = geteuid() + 12345, .gid = getegid() + 12345};
	struct connection other;
	int ends[2];

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	server_credentials = &server;
	support_capture();
	assert_int_equal(connection_open(&other, ends[1]), -EPERM);
	assert_says(support_said(), "the web server is another user");
	assert_int_equal(recv(ends[0], &(char){0}, 1, 0), 0); /* closed */
	close(ends[0]);
}

static void
root_the_same_user_and_the_same_group_are_let_in(void **state)
{
	struct ucred servers[] = {{1, 0, getegid() + 12345},
	    {1, geteuid(), getegid() + 12345},
	    {1, geteuid() + 12345, getegid()}};

	(void)state;
	for (size_t i = 0; i < COUNT(servers); i++) {
		struct connection other;
		int ends[2];

		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
		    0);
		server_credentials = &servers[i];
		assert_int_equal(connection_open(&other, ends[1]), 0);
		connection_close(&other);
		close(ends[0]);
	}
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_credentials, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(another_user_is_refused),
	    TEST(root_the_same_user_and_the_same_group_are_let_in),
	};

	if (connection_init(1024, body_max) < 0)
		return 1;
	return SUPPORT_RUN(tests);
}
