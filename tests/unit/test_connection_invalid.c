/*
 * What is not FastCGI, and parameters above the size limit: the connection is
 * closed and the log says why.
 */
#include "support.h"

#include <sys/socket.h>

#include "fastcgi/connection.h"
#include "records.h"
#include "web_server.h"

static void
assert_closed_for(const char *problem, const void *bytes, size_t size)
{
	send_bytes(bytes, size);
	support_capture();
	assert_status(CONNECTION_ENDED);
	assert_says(support_said(), problem);
	assert_still_open();
	tear_down(NULL);
	assert_int_equal(set_up(NULL), 0);
}

static void
garbage_is_closed_and_the_log_says_why(void **state)
{
	struct records values = {.id = RECORDS_NULL_ID};
	struct records records = {0};

	(void)state;
	assert_closed_for("connection closed: this is not FastCGI version 1",
	    "GET / HTTP/1.1\r\n\r\n", 18);
	assert_closed_for("connection closed: this is not FastCGI version 1",
	    "\0\0\0\0\0\0\0\0\0", 9);
	records_add(&values, 9, "\2\0a", 3);
	assert_closed_for("connection closed: GET_VALUES has an invalid length",
	    values.bytes, values.size);
	/* a pair that says it is longer than a request */
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(
	    &records, RECORDS_PARAMS, "\377\377\377\377\377\377\377\377x", 9);
	assert_closed_for("connection closed: a parameter exceeds 128 KiB",
	    records.bytes, records.size);
}

static void
garbage_behind_a_request_closes_the_connection_after_its_answer(void **state)
{
	(void)state;
	send_request("GET", "/", "");
	send_bytes("garbage", 7);
	assert_status(CONNECTION_REQUEST);
	assert_int_equal(respond("Status: 200 OK\r\n\r\n", "{}"), 1);
	assert_string_equal(read_answer()->output, "Status: 200 OK\r\n\r\n{}");
}

static void
parameters_that_never_end_are_closed_at_the_limit(void **state)
{
	static char value[32001];
	struct records pair = {0};
	struct records records = {0};

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	records_pair(&pair, "X", value);
	setsockopt(nginx, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int));
	records_begin(&records, RECORDS_RESPONDER, 1);
	for (int i = 0; i < 5; i++)
		records_add(&records, RECORDS_PARAMS, pair.bytes, pair.size);
	assert_true(records.size > RECORD_REQUEST_MAX);
	send_bytes(records.bytes, records.size);
	support_capture();
	assert_status(CONNECTION_ENDED);
	assert_says(support_said(), "the parameters exceed 128 KiB");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(garbage_is_closed_and_the_log_says_why),
	    TEST(
		garbage_behind_a_request_closes_the_connection_after_its_answer),
	    TEST(parameters_that_never_end_are_closed_at_the_limit),
	};

	if (connection_init(1024, body_max) < 0)
		return 1;
	return SUPPORT_RUN(tests);
}
