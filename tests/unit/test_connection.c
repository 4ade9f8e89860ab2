/*
 * One kept FastCGI connection, with real records on a real socket: nginx's end
 * is ours.
 */
#include "support.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "fastcgi/connection.h"
#include "records.h"

/* --- a web server of our choice
 * --------------------------------------------------
 */

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

static struct connection connection;
static int nginx; /* the other end */

static int
set_up(void **state)
{
	int ends[2];

	(void)state;
	server_credentials = NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	nginx = ends[0];
	return connection_open(&connection, ends[1]);
}

static int
tear_down(void **state)
{
	connection_close(&connection);
	close(nginx);
	return support_release(state);
}

static void
send_bytes(const void *bytes, size_t size)
{
	assert_int_equal(write(nginx, bytes, size), (ssize_t)size);
}

static void
send_request(const char *method, const char *path, const char *body)
{
	struct records records = {0};

	records_request(&records, method, path, body);
	send_bytes(records.bytes, records.size);
}

static void
assert_status(enum connection_status expected)
{
	assert_int_equal(connection_read(&connection), expected);
}

static const char *
param(const char *name)
{
	return FCGX_GetParam(name, connection.fcgi.envp);
}

/* --- answers, parsed
 * ---------------------------------------------------------- */

struct answer {
	char output[128 << 10]; /* all of STDOUT */
	size_t size;
	bool is_complete; /* END_REQUEST came, with status 0 */
	bool is_closed;   /* and then the connection was */
};

static void
read_exactly(void *bytes, size_t size)
{
	assert_int_equal(recv(nginx, bytes, size, MSG_WAITALL), (ssize_t)size);
}

/* Read records up to END_REQUEST. */
static struct answer *
read_answer(void)
{
	static struct answer answer;
	struct pollfd in = {.fd = nginx, .events = POLLIN};

	memset(&answer, 0, sizeof(answer));
	while (!answer.is_complete) {
		unsigned char content[65536 + 256];
		unsigned char header[8];
		size_t size;

		read_exactly(header, sizeof(header));
		assert_int_equal(header[0], 1);
		assert_int_equal(header[2] << 8 | header[3], 1);
		size = (size_t)(header[4] << 8 | header[5]);
		read_exactly(content, size + header[6]);
		if (header[1] == RECORDS_END) {
			assert_int_equal(size, 8);
			assert_memory_equal(content, "\0\0\0\0\0", 5);
			answer.is_complete = true;
			break;
		}
		assert_int_equal(header[1], RECORDS_STDOUT);
		assert_true(answer.size + size < sizeof(answer.output));
		memcpy(answer.output + answer.size, content, size);
		answer.size += size;
	}
	answer.is_closed =
	    poll(&in, 1, 0) == 1 &&
	    recv(nginx, &(char){0}, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
	return &answer;
}

/* Nothing but connection_close() closes. */
static void
assert_still_open(void)
{
	assert_true(fcntl(connection.fd, F_GETFD) >= 0);
}

static int
respond(const char *head, const char *body)
{
	int result = connection_respond(
	    &connection, head, strlen(head), body, strlen(body));

	assert_still_open();
	if (result != 0)
		connection_close(&connection);
	return result;
}

/* A whole request and its answer on the connection, which is kept. */
static void
exchange(const char *path)
{
	const struct answer *answer;

	send_request("GET", path, "");
	assert_status(CONNECTION_REQUEST);
	assert_string_equal(param("PATH_INFO"), path);
	assert_int_equal(respond("Status: 200 OK\r\n\r\n", path), 0);
	answer = read_answer();
	assert_int_equal(
	    strncmp(answer->output, "Status: 200 OK\r\n\r\n", 18), 0);
	assert_string_equal(answer->output + 18, path);
	assert_false(answer->is_closed);
}

/* --- kept connections
 * ------------------------------------------------------------ */

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
	assert_non_null(connection.body);
	respond("Status: 200 OK\r\n\r\n", "");
	read_answer();
	send_request("GET", "/second", "");
	assert_status(CONNECTION_REQUEST);
	assert_null(connection.body);
	assert_int_equal(connection.body_length, 0);
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

/* --- half and broken requests
 * ----------------------------------------------------- */

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
	assert_string_equal(connection.body, "seconds=1");
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

/* --- records of no request -------------------------------------------------
 */

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

/* --- parameters ------------------------------------------------------------
 */

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
	assert_string_equal(connection.body, "body");
	assert_int_equal(respond("Status: 200 OK\r\n\r\n", ""), 0);
	read_answer();
	exchange("/next");
}

/* --- more of what is broken ------------------------------------------------
 */

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
a_request_that_never_ends_is_closed_at_the_limit(void **state)
{
	static const char chunk[32768];
	struct records records = {0};

	(void)state;
	setsockopt(nginx, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int));
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	for (int i = 0; i < 5; i++)
		records_add(&records, RECORDS_STDIN, chunk, sizeof(chunk));
	assert_true(records.size > RECORD_REQUEST_MAX);
	send_bytes(records.bytes, records.size);
	support_capture();
	assert_status(CONNECTION_ENDED);
	assert_says(support_said(), "a request exceeds 128 KiB");
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

/* --- bodies
 * ------------------------------------------------------------------------- */

static void
a_body_is_read_whole_and_terminated(void **state)
{
	static char body[60001];

	(void)state;
	memset(body, 'b', sizeof(body) - 1);
	send_request("POST", "/", body);
	assert_status(CONNECTION_REQUEST);
	assert_int_equal(connection.body_length, sizeof(body) - 1);
	assert_string_equal(connection.body, body);
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

		records_request_with(
		    &records, "POST", "/", lies[i].length, "0123456789", 1);
		send_bytes(records.bytes, records.size);
		assert_status(CONNECTION_REQUEST);
		assert_int_equal(connection.body_length, lies[i].read);
		assert_int_equal(respond("Status: 200 OK\r\n\r\n", ""), 0);
		read_answer();
		exchange("/health"); /* what was left is not in the way */
	}
}

/* --- answers
 * ------------------------------------------------------------------------- */

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
	    TEST(
		a_request_that_comes_byte_by_byte_is_partial_until_it_is_whole),
	    TEST(half_a_request_and_then_nothing_is_closed_by_its_end),
	    TEST(garbage_is_closed_and_the_log_says_why),
	    TEST(get_values_is_answered_before_a_request_and_within),
	    TEST(
		another_role_is_refused_and_the_connection_kept_if_it_is_to_be),
	    TEST(
		a_second_request_meanwhile_is_refused_and_the_first_one_answered),
	    TEST(
		an_aborted_request_is_ended_and_the_connection_kept_if_it_is_to_be),
	    TEST(
		a_web_server_that_takes_no_answers_is_closed_and_holds_up_nobody),
	    TEST(a_parameter_over_several_records_is_read_whole),
	    TEST(padding_anywhere_is_no_content),
	    TEST(
		garbage_behind_a_request_closes_the_connection_after_its_answer),
	    TEST(a_request_that_never_ends_is_closed_at_the_limit),
	    TEST(another_user_is_refused),
	    TEST(root_the_same_user_and_the_same_group_are_let_in),
	    TEST(a_body_is_read_whole_and_terminated),
	    TEST(a_content_length_that_lies_breaks_nothing),
	    TEST(a_long_answer_is_handed_over_whole),
	    TEST(bytes_of_any_value_pass),
	    TEST(an_answer_without_a_body_is_whole),
	    TEST(after_it_stopped_reading_what_has_come_is_still_answered),
	    TEST(after_it_stopped_reading_nothing_more_is_taken),
	};

	if (connection_init(1024) < 0)
		return 1;
	return SUPPORT_RUN(tests);
}
