/*
 * One FastCGI connection to the web server: it is kept from request to
 * request, and closed when the web server leaves.
 */
#include "support.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "fastcgi/connection.h"
#include "records.h"
#include "web_server.h"

static void
a_silent_connection_is_waiting(void **state)
{
	(void)state;
	assert_status(CONNECTION_WAITING);
	assert_status(CONNECTION_WAITING);
}

static void
a_request_is_read_and_its_answer_is_sound(void **state)
{
	(void)state;
	exchange("/health");
	assert_status(CONNECTION_WAITING);
}

static void
a_connection_is_kept_for_request_after_request(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/status/%d", i);
		exchange(path);
	}
}

static void
what_a_request_did_not_send_is_not_the_one_befores(void **state)
{
	(void)state;
	send_request("POST", "/first", "a body");
	assert_status(CONNECTION_REQUEST);
	assert_non_null(connection.body.bytes);
	respond("Status: 200 OK\r\n\r\n", "");
	read_answer();
	send_request("GET", "/second", "");
	assert_status(CONNECTION_REQUEST);
	assert_null(connection.body.bytes);
	assert_int_equal(connection.body.length, 0);
}

static void
a_web_server_that_does_not_keep_the_connection_has_it_closed(void **state)
{
	struct records records = {0};

	(void)state;
	records_request_with(&records, "GET", "/", "", "", 0);
	send_bytes(records.bytes, records.size);
	assert_status(CONNECTION_REQUEST);
	assert_int_equal(respond("Status: 200 OK\r\n\r\n", "{}"), 1);
	assert_true(read_answer()->is_closed);
}

static void
a_web_server_that_leaves_ends_it(void **state)
{
	(void)state;
	shutdown(nginx, SHUT_RDWR);
	assert_status(CONNECTION_ENDED);
	assert_still_open();
	connection_close(&connection);
	assert_int_equal(connection.fd, -1);
	connection_close(&connection); /* twice is safe */
}

static void
a_web_server_that_leaves_after_a_request_ends_it(void **state)
{
	(void)state;
	exchange("/health");
	shutdown(nginx, SHUT_WR);
	assert_status(CONNECTION_ENDED);
}

static void
a_web_server_that_leaves_before_its_answer_is_an_error_and_no_signal(
    void **state)
{
	static char body[1 << 20];

	(void)state;
	memset(body, 'x', sizeof(body) - 1);
	send_request("GET", "/", "");
	assert_status(CONNECTION_REQUEST);
	close(nginx);
	nginx = -1;
	assert_true(respond("Status: 200 OK\r\n\r\n", body) < 0);
}

static void
do_nothing(int signal)
{
	(void)signal;
}

/* A signal does not make the time-out begin again. */
static void
a_web_server_that_does_not_read_is_given_up_through_all_signals(void **state)
{
	static char body[1 << 22];
	const struct itimerval often = {{0, 50000}, {0, 50000}};
	const struct itimerval never = {{0, 0}, {0, 0}};
	struct sigaction before;

	(void)state;
	memset(body, 'x', sizeof(body) - 1);
	sigaction(SIGALRM,
	    &(struct sigaction){
		.sa_handler = do_nothing, .sa_flags = SA_RESTART},
	    &before);
	send_request("GET", "/", "");
	assert_status(CONNECTION_REQUEST);
	setitimer(ITIMER_REAL, &often, NULL);
	assert_true(respond("Status: 200 OK\r\n\r\n", body) < 0);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
}

static void
closing_leaks_no_descriptor(void **state)
{
	int before = dup(STDERR_FILENO);
	int after;

	(void)state;
	close(before);
	for (int i = 0; i < 50; i++) {
		int ends[2];
		struct connection other;

		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
		    0);
		assert_int_equal(connection_open(&other, ends[1]), 0);
		if (i % 2)
			assert_int_equal(write(ends[0], "garbage!", 8), 8);
		support_capture();
		if (i % 2)
			assert_int_equal(
			    connection_read(&other), CONNECTION_ENDED);
		support_said();
		connection_close(&other);
		close(ends[0]);
	}
	after = dup(STDERR_FILENO);
	close(after);
	assert_int_equal(after, before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_silent_connection_is_waiting),
	    TEST(a_request_is_read_and_its_answer_is_sound),
	    TEST(a_connection_is_kept_for_request_after_request),
	    TEST(what_a_request_did_not_send_is_not_the_one_befores),
	    TEST(a_web_server_that_does_not_keep_the_connection_has_it_closed),
	    TEST(a_web_server_that_leaves_ends_it),
	    TEST(a_web_server_that_leaves_after_a_request_ends_it),
	    TEST(
		a_web_server_that_leaves_before_its_answer_is_an_error_and_no_signal),
	    TEST(
		a_web_server_that_does_not_read_is_given_up_through_all_signals),
	    TEST(closing_leaks_no_descriptor),
	};

	if (connection_init(1024, body_max) < 0)
		return 1;
	return SUPPORT_RUN(tests);
}
