/*
 * Answers on a connection: they arrive whole, also after the connection has
 * stopped reading.
 */
#include "support.h"

#include <sys/socket.h>

#include "fastcgi/connection.h"
#include "web_server.h"

static void
a_long_answer_is_handed_over_whole(void **state)
{
	static char body[100001];
	const struct answer *answer;

	(void)state;
	for (size_t i = 0; i < sizeof(body) - 1; i++)
		body[i] = (char)('a' + i % 26);
	setsockopt(
	    connection.fd, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int));
	send_request("GET", "/", "");
	assert_status(CONNECTION_REQUEST);
	assert_int_equal(respond("Status: 200 OK\r\n\r\n", body), 0);
	answer = read_answer();
	assert_int_equal(answer->size, 18 + sizeof(body) - 1);
	assert_memory_equal(answer->output + 18, body, sizeof(body) - 1);
}

static void
bytes_of_any_value_pass(void **state)
{
	static char body[256];
	const char *head = "Status: 200 OK\r\n\r\n";
	const struct answer *answer;

	(void)state;
	for (int i = 0; i < 256; i++)
		body[i] = (char)i;
	send_request("GET", "/", "");
	assert_status(CONNECTION_REQUEST);
	assert_int_equal(connection_respond(&connection, head, strlen(head),
			     body, sizeof(body)),
	    0);
	answer = read_answer();
	assert_int_equal(answer->size, 18 + 256);
	assert_memory_equal(answer->output + 18, body, 256);
}

static void
an_answer_without_a_body_is_whole(void **state)
{
	(void)state;
	send_request("HEAD", "/", "");
	assert_status(CONNECTION_REQUEST);
	assert_int_equal(respond("Status: 204 No Content\r\n\r\n", ""), 0);
	assert_string_equal(
	    read_answer()->output, "Status: 204 No Content\r\n\r\n");
}

static void
after_it_stopped_reading_what_has_come_is_still_answered(void **state)
{
	(void)state;
	send_request("GET", "/last", "");
	connection_stop_reading(&connection);
	assert_status(CONNECTION_REQUEST);
	assert_string_equal(param("PATH_INFO"), "/last");
	assert_int_equal(respond("Status: 200 OK\r\n\r\n", "{}"), 1);
	assert_true(read_answer()->is_closed);
}

static void
after_it_stopped_reading_nothing_more_is_taken(void **state)
{
	(void)state;
	connection_stop_reading(&connection);
	assert_int_equal(send(nginx, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE); /* nginx tries another worker */
	assert_status(CONNECTION_ENDED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_long_answer_is_handed_over_whole),
	    TEST(bytes_of_any_value_pass),
	    TEST(an_answer_without_a_body_is_whole),
	    TEST(after_it_stopped_reading_what_has_come_is_still_answered),
	    TEST(after_it_stopped_reading_nothing_more_is_taken),
	};

	if (connection_init(1024, body_max) < 0)
		return 1;
	return SUPPORT_RUN(tests);
}
