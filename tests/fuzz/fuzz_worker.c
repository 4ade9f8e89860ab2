/*
 * The FastCGI byte stream into a worker, in two pieces: from the socket through
 * the guard and libfcgi to a handler, and the answer back, or to the answer to
 * a management record. Must end, and must not need the peer to close.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/cgi.h"
#include "fastcgi/connection.h"
#include "fuzz.h"
#include "base/log.h"
#include "http/router.h"

/*
 * Routes that need a pool, or end the process on purpose, are left out. Returns
 * whether the connection is kept.
 */
static bool
dispatch(struct connection *connection)
{
	struct request request;
	struct response response;
	char head[CGI_HEAD_SIZE];
	int endpoint;
	int result;
	size_t length;

	cgi_parse(connection->fcgi.envp, &request);
	response_init(&response);
	endpoint = router_find(request.method, request.path);
	if (endpoint == ENDPOINT_root || endpoint == ENDPOINT_health ||
	    endpoint == ENDPOINT_bye || endpoint == ENDPOINT_version ||
	    endpoint == ENDPOINT_status || endpoint == ENDPOINT_delay ||
	    endpoint == ENDPOINT_OTHER)
		router_dispatch(&request, &response);
	length = cgi_format_head(&response, endpoint, head);
	result = connection_respond(
	    connection, head, length, response.body, response.body_length);
	response_release(&response);
	return result == 0;
}

/* Send a piece and answer what it makes. Returns whether to go on. */
static bool
feed(struct connection *connection, int peer, const uint8_t *data, size_t size)
{
	char answer[65536];
	enum connection_status status = CONNECTION_REQUEST;

	if (write(peer, data, size) != (ssize_t)size)
		return false;
	while (status == CONNECTION_REQUEST) {
		status = connection_read(connection);
		if (status == CONNECTION_REQUEST && !dispatch(connection))
			return false;
		while (read(peer, answer, sizeof(answer)) > 0)
			;
	}
	return status != CONNECTION_ENDED;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int is_open;
	struct connection connection;
	size_t half = size / 2;
	int pair[2];

	if (!is_open) {
		log_configure(LOG_ERROR, LOG_JSON);
		connection_init(1024, cgi_body_max);
		router_open(true);
		is_open = 1;
	}
	if (size > 100000 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	if (connection_open(&connection, pair[0]) == 0) {
		if (feed(&connection, pair[1], data, half))
			feed(&connection, pair[1], data + half, size - half);
		connection_close(&connection);
	}
	close(pair[1]);
	return 0;
}
