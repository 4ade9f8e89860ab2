/*
 * Records on a connection that are no part of its request: management
 * records, other roles, a second request, and aborts.
 */
#include "support.h"

#include <sys/socket.h>

#include "fastcgi/connection.h"
#include "records.h"
#include "web_server.h"

static void
assert_record(const void *expected, size_t size)
{
	unsigned char bytes[256];

	read_exactly(bytes, size);
	assert_memory_equal(bytes, expected, size);
}

static void
add_get_values(struct records *records)
{
	struct records names = {0};

	/* Many times the same: libfcgi would write beyond its buffer. */
	for (int i = 0; i < 100; i++)
		records_pair(&names, "FCGI_MPXS_CONNS", "");
	records->id = RECORDS_NULL_ID;
	records_add(records, 9, names.bytes, names.size);
	records->id = 0;
}

static void
get_values_is_answered_before_a_request_and_within(void **state)
{
	static const char values[] = "\1\12\0\0\0\22\0\0\17\1FCGI_MPXS_CONNS0";
	struct records records = {0};

	(void)state;
	add_get_values(&records);
	send_bytes(records.bytes, 100);
	assert_status(CONNECTION_PARTIAL);
	send_bytes(records.bytes + 100, records.size - 100);
	assert_status(CONNECTION_WAITING);
	assert_null(connection.partial);
	assert_record(values, sizeof(values) - 1);
	exchange("/first");
	records.size = 0;
	add_get_values(&records);
	records_begin(&records, RECORDS_RESPONDER, 1);
	add_get_values(&records);
	records_add(&records, RECORDS_PARAMS, "\11\7PATH_INFO/second", 18);
	add_get_values(&records);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	add_get_values(&records);
	records_add(&records, RECORDS_STDIN, NULL, 0);
	add_get_values(&records);
	send_bytes(records.bytes, records.size);
	assert_status(CONNECTION_REQUEST);
	for (int i = 0; i < 5; i++)
		assert_record(values, sizeof(values) - 1);
	assert_string_equal(param("PATH_INFO"), "/second");
	assert_int_equal(respond("Status: 200 OK\r\n\r\n", ""), 0);
	read_answer();
	exchange("/third");
}

static void
another_role_is_refused_and_the_connection_kept_if_it_is_to_be(void **state)
{
	static const char unknown_role[] = "\1\3\0\1\0\10\0\0\0\0\0\0\3\0\0\0";
	struct records records = {0};

	(void)state;
	records_begin(&records, 2, 1); /* FCGI_AUTHORIZER */
	records_add(&records, RECORDS_PARAMS, "\1\1ab", 4);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	send_bytes(records.bytes, records.size);
	assert_status(CONNECTION_WAITING);
	assert_record(unknown_role, 16);
	exchange("/next");
	records.size = 0;
	records_begin(&records, 2, 0);
	send_bytes(records.bytes, records.size);
	support_capture();
	assert_status(CONNECTION_ENDED);
	assert_silent_about(support_said(), "closed");
	assert_record(unknown_role, 16);
}

static void
a_second_request_meanwhile_is_refused_and_the_first_one_answered(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "GET", "/first", "");
	records.id = 2;
	records_request(&records, "GET", "/second", "");
	send_bytes(records.bytes, records.size);
	assert_status(CONNECTION_REQUEST);
	assert_record("\1\3\0\2\0\10\0\0\0\0\0\0\1\0\0\0", 16);
	assert_string_equal(param("PATH_INFO"), "/first");
	assert_int_equal(respond("Status: 200 OK\r\n\r\n", ""), 0);
	read_answer();
	exchange("/third");
}

static void
an_aborted_request_is_ended_and_the_connection_kept_if_it_is_to_be(void **state)
{
	static const char ended[] = "\1\3\0\1\0\10\0\0\0\0\0\0\0\0\0\0";

	(void)state;
	for (unsigned keep = 2; keep-- > 0;) {
		struct records records = {0};

		records_begin(&records, RECORDS_RESPONDER, keep);
		records_add(&records, RECORDS_PARAMS, "\1\1ab", 4);
		send_bytes(records.bytes, records.size);
		assert_status(CONNECTION_PARTIAL);
		records.size = 0;
		records_add(&records, RECORDS_ABORT, NULL, 0);
		send_bytes(records.bytes, records.size);
		assert_status(keep ? CONNECTION_WAITING : CONNECTION_ENDED);
		assert_record(ended, 16);
		if (keep)
			exchange("/next");
	}
}

static void
a_web_server_that_takes_no_answers_is_closed_and_holds_up_nobody(void **state)
{
	struct records records = {0};
	enum connection_status status = CONNECTION_WAITING;

	(void)state;
	while (records.size < RECORD_REQUEST_MAX / 2) {
		records.id = RECORDS_NULL_ID;
		records_add(&records, 12, NULL, 0);
	}
	setsockopt(nginx, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int));
	support_capture();
	for (int i = 0; i < 1000 && status == CONNECTION_WAITING; i++) {
		send_bytes(records.bytes, records.size);
		status = connection_read(&connection);
	}
	assert_says(support_said(), "the web server does not read an answer");
	assert_int_equal(status, CONNECTION_ENDED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(get_values_is_answered_before_a_request_and_within),
	    TEST(
		another_role_is_refused_and_the_connection_kept_if_it_is_to_be),
	    TEST(
		a_second_request_meanwhile_is_refused_and_the_first_one_answered),
	    TEST(
		an_aborted_request_is_ended_and_the_connection_kept_if_it_is_to_be),
	    TEST(
		a_web_server_that_takes_no_answers_is_closed_and_holds_up_nobody),
	};

	if (connection_init(1024, body_max) < 0)
		return 1;
	return SUPPORT_RUN(tests);
}
