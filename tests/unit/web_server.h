#ifndef WEB_SERVER_H
#define WEB_SERVER_H

/*
 * The web server's end of one FastCGI connection: sends records and reads
 * answers on a real socket.
 */

#include "support.h"

#include <poll.h>
#include <sys/socket.h>

#include "fastcgi/connection.h"
#include "records.h"

static struct connection connection;
static int nginx; /* the other end */

enum { SMALL_BODY = 100, LARGE_BODY = 1 << 20, HUGE_BODY = 32 << 20 };

/* The limits for bodies: by the path. */
static inline size_t
body_max(char *const *parameters)
{
	const char *path = FCGX_GetParam("PATH_INFO", (char **)parameters);

	if (strcmp(path, "/small") == 0)
		return SMALL_BODY;
	if (strcmp(path, "/large") == 0)
		return LARGE_BODY;
	return strcmp(path, "/huge") == 0 ? HUGE_BODY : 64 << 10;
}

static inline int
set_up(void **state)
{
	int ends[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	nginx = ends[0];
	return connection_open(&connection, ends[1]);
}

static inline int
tear_down(void **state)
{
	connection_close(&connection);
	close(nginx);
	return support_release(state);
}

static inline void
send_bytes(const void *bytes, size_t size)
{
	assert_int_equal(write(nginx, bytes, size), (ssize_t)size);
}

static inline void
send_request(const char *method, const char *path, const char *body)
{
	struct records records = {0};

	records_request(&records, method, path, body);
	send_bytes(records.bytes, records.size);
}

static inline void
assert_status(enum connection_status expected)
{
	assert_int_equal(connection_read(&connection), expected);
}

static inline const char *
param(const char *name)
{
	return FCGX_GetParam(name, connection.fcgi.envp);
}

struct answer {
	char output[128 << 10]; /* all of STDOUT */
	size_t size;
	bool is_complete; /* END_REQUEST came, with status 0 */
	bool is_closed;   /* and then the connection was */
};

static inline void
read_exactly(void *bytes, size_t size)
{
	assert_int_equal(recv(nginx, bytes, size, MSG_WAITALL), (ssize_t)size);
}

/* Read records up to END_REQUEST. */
static inline struct answer *
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
static inline void
assert_still_open(void)
{
	assert_true(fcntl(connection.fd, F_GETFD) >= 0);
}

static inline int
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
static inline void
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

#endif
