/*
 * Bodies on a connection: up to the limit of their route and above it, many at
 * once, and those that never end.
 */
#include "support.h"

#include <sys/socket.h>

#include "fastcgi/connection.h"
#include "records.h"
#include "web_server.h"

static char content[HUGE_BODY + 1];

/* Send the parameters of a request whose body follows. */
static void
begin_on(int web_server, const char *path, const char *length)
{
	struct records pairs = {0};
	struct records records = {0};

	records_pair(&pairs, "REQUEST_METHOD", "POST");
	records_pair(&pairs, "PATH_INFO", path);
	if (length)
		records_pair(&pairs, "CONTENT_LENGTH", length);
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, RECORDS_PARAMS, pairs.bytes, pairs.size);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	assert_int_equal(write(web_server, records.bytes, records.size),
	    (ssize_t)records.size);
}

static void
begin(const char *path, size_t length)
{
	char text[32];

	snprintf(text, sizeof(text), "%zu", length);
	begin_on(nginx, path, text);
}

/* Send so much of content in records as nginx does, and read each. */
static void
send_content(size_t size)
{
	for (size_t at = 0; at < size;) {
		struct records records = {0};
		size_t length = size - at < 32768 ? size - at : 32768;

		records_add(&records, RECORDS_STDIN, content + at, length);
		send_bytes(records.bytes, records.size);
		assert_status(CONNECTION_PARTIAL);
		assert_status(CONNECTION_PARTIAL); /* nothing more came */
		at += length;
	}
}

static void
end(enum connection_status expected)
{
	struct records records = {0};

	records_add(&records, RECORDS_STDIN, NULL, 0);
	send_bytes(records.bytes, records.size);
	assert_status(expected);
}

static void
answer_and_go_on(void)
{
	assert_int_equal(respond("Status: 200 OK\r\n\r\n", ""), 0);
	read_answer();
	assert_null(connection.body.bytes);
	exchange("/health");
}

static void
post(const char *path, size_t size)
{
	begin(path, size);
	send_content(size);
	end(CONNECTION_REQUEST);
}

static void
a_body_of_the_limit_is_whole_and_one_of_a_byte_more_is_refused(void **state)
{
	static const struct {
		const char *path;
		size_t max;
	} routes[] = {{"/small", SMALL_BODY}, {"/", 64 << 10},
	    {"/large", LARGE_BODY}, {"/huge", HUGE_BODY}};

	(void)state;
	for (size_t i = 0; i < COUNT(routes); i++) {
		const struct body *body = &connection.body;

		post(routes[i].path, routes[i].max);
		assert_int_equal(body->refusal, BODY_ACCEPTED);
		assert_int_equal(body->length, routes[i].max);
		assert_memory_equal(body->bytes, content, routes[i].max);
		assert_int_equal(body->bytes[body->length], '\0');
		answer_and_go_on();
		post(routes[i].path, routes[i].max + 1);
		assert_int_equal(body->refusal, BODY_TOO_LARGE);
		assert_null(body->bytes);
		answer_and_go_on();
	}
}

static void
more_than_the_content_length_is_discarded(void **state)
{
	static const char *const lengths[] = {"0", "", "-1", "x", "+1", " 1"};

	(void)state;
	begin("/large", 70000);
	send_content(200000);
	end(CONNECTION_REQUEST);
	assert_int_equal(connection.body.length, 70000);
	answer_and_go_on();
	for (size_t i = 0; i <= COUNT(lengths); i++) {
		begin_on(
		    nginx, "/large", i < COUNT(lengths) ? lengths[i] : NULL);
		send_content(200000);
		end(CONNECTION_REQUEST);
		assert_int_equal(connection.body.refusal, BODY_ACCEPTED);
		assert_null(connection.body.bytes);
		answer_and_go_on();
	}
}

static void
a_content_length_that_no_type_holds_is_too_large(void **state)
{
	(void)state;
	begin_on(nginx, "/large", "18446744073709551617");
	send_content(10);
	end(CONNECTION_REQUEST);
	assert_int_equal(connection.body.refusal, BODY_TOO_LARGE);
	answer_and_go_on();
}

static void
a_body_that_comes_byte_by_byte_is_whole(void **state)
{
	struct records records = {.padding = 7};

	(void)state;
	begin("/large", 70000);
	assert_status(CONNECTION_PARTIAL);
	records_add(&records, RECORDS_STDIN, content, 35000);
	records_add(&records, RECORDS_STDIN, content + 35000, 35000);
	records_add(&records, RECORDS_STDIN, NULL, 0);
	for (size_t i = 0; i < records.size; i++) {
		send_bytes(records.bytes + i, 1);
		assert_status(i + 1 < records.size ? CONNECTION_PARTIAL
						   : CONNECTION_REQUEST);
	}
	assert_int_equal(connection.body.length, 70000);
	assert_memory_equal(connection.body.bytes, content, 70000);
	answer_and_go_on();
}

static void
an_abort_in_the_middle_frees_the_body_and_the_connection_goes_on(void **state)
{
	struct records records = {0};

	(void)state;
	begin("/large", LARGE_BODY);
	send_content(LARGE_BODY / 2);
	assert_int_equal(connection.body.length, LARGE_BODY / 2);
	records_add(&records, RECORDS_ABORT, NULL, 0);
	send_bytes(records.bytes, records.size);
	assert_status(CONNECTION_WAITING);
	assert_null(connection.body.bytes);
	assert_true(read_answer()->is_complete);
	exchange("/next");
}

static void
clients_that_leave_in_the_middle_make_room_for_others(void **state)
{
	for (int i = 0; i < 2 * BODY_HELD_MAX / LARGE_BODY; i++) {
		begin("/large", LARGE_BODY);
		send_content(LARGE_BODY / 16);
		assert_int_equal(connection.body.refusal, BODY_ACCEPTED);
		shutdown(nginx, SHUT_WR);
		assert_status(CONNECTION_ENDED);
		tear_down(state);
		assert_null(connection.body.bytes);
		assert_int_equal(set_up(state), 0);
	}
}

static void
many_large_bodies_at_once_are_bounded_and_small_ones_go_on(void **state)
{
	static struct connection others[32];
	int ends[COUNT(others)];
	size_t accepted = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(others); i++) {
		struct records records = {0};
		int pair[2];

		records_add(&records, RECORDS_STDIN, content, 1);
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
		ends[i] = pair[0];
		assert_int_equal(connection_open(&others[i], pair[1]), 0);
		begin_on(ends[i], "/large", "1048576");
		assert_int_equal(
		    write(ends[i], records.bytes, records.size), 9);
		assert_int_equal(
		    connection_read(&others[i]), CONNECTION_PARTIAL);
		accepted += others[i].body.refusal == BODY_ACCEPTED;
		assert_true(others[i].body.refusal != BODY_TOO_LARGE);
	}
	assert_int_equal(accepted, BODY_HELD_MAX / LARGE_BODY);
	post("/large", LARGE_BODY);
	assert_int_equal(connection.body.refusal, BODY_NO_MEMORY);
	answer_and_go_on();
	post("/", BODY_SMALL);
	assert_int_equal(connection.body.length, BODY_SMALL);
	answer_and_go_on();
	for (size_t i = 0; i < COUNT(others); i++) {
		connection_close(&others[i]);
		close(ends[i]);
	}
	post("/large", LARGE_BODY);
	assert_int_equal(connection.body.length, LARGE_BODY);
	answer_and_go_on();
}

static int
fill(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)('a' + i % 23);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(
		a_body_of_the_limit_is_whole_and_one_of_a_byte_more_is_refused),
	    TEST(more_than_the_content_length_is_discarded),
	    TEST(a_content_length_that_no_type_holds_is_too_large),
	    TEST(a_body_that_comes_byte_by_byte_is_whole),
	    TEST(
		an_abort_in_the_middle_frees_the_body_and_the_connection_goes_on),
	    TEST(clients_that_leave_in_the_middle_make_room_for_others),
	    TEST(many_large_bodies_at_once_are_bounded_and_small_ones_go_on),
	};

	if (connection_init(1024, body_max) < 0 || fill(NULL) < 0)
		return 1;
	return SUPPORT_RUN(tests);
}
