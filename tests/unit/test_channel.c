/*
 * Connections from one worker to another.
 */
#include "support.h"

#include <sys/socket.h>

#include "worker/channel.h"

static struct channel channel;

static int
set_up(void **state)
{
	(void)state;
	return channel_open(&channel);
}

static int
tear_down(void **state)
{
	close(channel.in);
	close(channel.out);
	return support_release(state);
}

static void
a_connection_that_was_sent_is_the_same_on_the_other_side(void **state)
{
	int ends[2];
	int received;
	char byte = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(channel_send(&channel, ends[1]), 0);
	close(ends[1]);
	assert_int_equal(write(ends[0], "x", 1), 1);
	received = channel_receive(&channel);
	assert_true(received >= 0);
	assert_int_equal(read(received, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_true(fcntl(received, F_GETFD) & FD_CLOEXEC);
	close(received);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
}

static void
where_nothing_was_sent_nothing_comes(void **state)
{
	(void)state;
	assert_int_equal(channel_receive(&channel), -EAGAIN);
}

static void
who_does_not_take_anything_stops_nobody(void **state)
{
	int sent = 0;
	int received = 0;
	int error;

	(void)state;
	while (
	    (error = channel_send(&channel, channel.in)) == 0 && sent < 100000)
		sent++;
	assert_true(error == -EAGAIN || error == -ETOOMANYREFS);
	assert_true(sent > 0);
	for (int fd; (fd = channel_receive(&channel)) >= 0; received++)
		close(fd);
	assert_int_equal(received, sent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_connection_that_was_sent_is_the_same_on_the_other_side,
		set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		where_nothing_was_sent_nothing_comes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		who_does_not_take_anything_stops_nobody, set_up, tear_down),
	};

	return SUPPORT_RUN(tests);
}
