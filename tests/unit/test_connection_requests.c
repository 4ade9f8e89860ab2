/*
 * Requests on a connection: in pieces, with long parameters, with padding
 * and with bodies.
 */
#include "support.h"

#include <sys/socket.h>

#include "fastcgi/connection.h"
#include "records.h"
#include "web_server.h"

static void
a_request_that_comes_byte_by_byte_is_partial_until_it_is_whole(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "POST", "/riseload", "seconds=1");
	for (size_t i = 0; i < records.size; i++) {
		send_bytes(records.bytes + i, 1);
		assert_status(i + 1 < records.size ? CONNECTION_PARTIAL
						   : CONNECTION_REQUEST);
	}
	assert_string_equal(connection.body.bytes, "seconds=1");
}

static void
half_a_request_and_then_nothing_is_closed_by_its_end(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "GET", "/", "");
	send_bytes(records.bytes, records.size / 2);
	assert_status(CONNECTION_PARTIAL);
	connection_close(&connection);
	assert_true(recv(nginx, &(char){0}, 1, 0) <= 0); /* reset or ended */
}

static void
a_parameter_over_several_records_is_read_whole(void **state)
{
	static char value[20001];
	struct records pairs = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(value) - 1; i++)
		value[i] = (char)('a' + i % 26);
	records_pair(&pairs, "PATH_INFO", "/long");
	records_pair(&pairs, "HTTP_COOKIE", value);
	records_pair(&pairs, "LAST", "x");
	for (size_t size = 1; size < pairs.size; size += 1 + size / 3) {
		struct records records = {.padding = (unsigned)size % 8};

		records_begin(&records, RECORDS_RESPONDER, 1);
		for (size_t at = 0; at < pairs.size; at += size)
			records_add(&records, RECORDS_PARAMS, pairs.bytes + at,
			    pairs.size - at < size ? pairs.size - at : size);
		records_add(&records, RECORDS_PARAMS, NULL, 0);
		records_add(&records, RECORDS_STDIN, NULL, 0);
		if (records.size > RECORD_REQUEST_MAX)
			continue;
		setsockopt(
		    nginx, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int));
		send_bytes(records.bytes, records.size);
		assert_status(CONNECTION_REQUEST);
		assert_string_equal(param("PATH_INFO"), "/long");
		assert_string_equal(param("HTTP_COOKIE"), value);
		assert_string_equal(param("LAST"), "x");
		assert_int_equal(respond("Status: 200 OK\r\n\r\n", ""), 0);
		read_answer();
	}
}

static void
padding_anywhere_is_no_content(void **state)
{
	static const unsigned char padding[255];
	struct records plain = {0};
	struct records padded = {0};

	(void)state;
	records_request(&plain, "POST", "/padded", "body");
	for (size_t at = 0; at < plain.size;) {
		const unsigned char *record = plain.bytes + at;
		size_t size = 8 + (size_t)(record[4] << 8 | record[5]);

		records_append(&padded, record, size);
		padded.bytes[padded.size - size + 6] = 255;
		records_append(&padded, padding, 255);
		at += size;
	}
	send_bytes(padded.bytes, padded.size);
	assert_status(CONNECTION_REQUEST);
	assert_string_equal(param("PATH_INFO"), "/padded");
	assert_string_equal(connection.body.bytes, "body");
	assert_int_equal(respond("Status: 200 OK\r\n\r\n", ""), 0);
	read_answer();
	exchange("/next");
}

static void
a_body_is_read_whole_and_terminated(void **state)
{
	static char body[60001];

	(void)state;
	memset(body, 'b', sizeof(body) - 1);
	send_request("POST", "/", body);
	assert_status(CONNECTION_REQUEST);
	assert_int_equal(connection.body.length, sizeof(body) - 1);
	assert_string_equal(connection.body.bytes, body);
	assert_int_equal(respond("Status: 200 OK\r\n\r\n", ""), 0);
	read_answer();
	exchange("/health");
}

static void
a_content_length_that_lies_breaks_nothing(void **state)
{
	static const struct {
		const char *length;
		size_t read;
	} lies[] = {{"3", 3}, {"100000", 10}, {"0", 0}, {"", 0}, {"-1", 0},
	    {"99999999999999999999", 0}, {"x", 0}};

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		struct records records = {0};

		records_request_with(&records, "POST", "/large", lies[i].length,
		    "0123456789", 1);
		send_bytes(records.bytes, records.size);
		assert_status(CONNECTION_REQUEST);
		assert_int_equal(connection.body.length, lies[i].read);
		assert_int_equal(respond("Status: 200 OK\r\n\r\n", ""), 0);
		read_answer();
		exchange("/health"); /* what was left is not in the way */
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(
		a_request_that_comes_byte_by_byte_is_partial_until_it_is_whole),
	    TEST(half_a_request_and_then_nothing_is_closed_by_its_end),
	    TEST(a_parameter_over_several_records_is_read_whole),
	    TEST(padding_anywhere_is_no_content),
	    TEST(a_body_is_read_whole_and_terminated),
	    TEST(a_content_length_that_lies_breaks_nothing),
	};

	if (connection_init(1024, body_max) < 0)
		return 1;
	return SUPPORT_RUN(tests);
}
