/*
 * The FastCGI byte stream into a worker: from the socket through the guard and
 * libfcgi to a handler, and the answer back. Must end, and must not need the
 * peer to close.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cgi.h"
#include "connection.h"
#include "fuzz.h"
#include "log.h"
#include "router.h"

/*
 * Routes that need a pool, or end the process on purpose, are left out. Returns
 * whether the connection is kept.
 */
static bool
dispatch(struct connection *connection)
{
	struct request request;
	struct response response;
	char head[1024];
	const char *parameter;
	int endpoint;
	int result;
	size_t length;

	cgi_parse(connection->fcgi.envp, &request);
	response_init(&response);
	endpoint = router_find(request.path, &parameter);
	if (endpoint == ENDPOINT_root || endpoint == ENDPOINT_health ||
	    endpoint == ENDPOINT_bye || endpoint == ENDPOINT_version ||
	    endpoint == ENDPOINT_status || endpoint == ENDPOINT_delay ||
	    endpoint == ENDPOINT_OTHER)
		router_dispatch(&request, &response);
	length = cgi_format_head(&response, head, sizeof(head));
	result = connection_respond(
	    connection, head, length, response.body, response.body_length);
	response_release(&response);
	return result == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int is_open;
	struct connection connection;
	char answer[65536];
	bool is_kept = true;
	int pair[2];

	if (!is_open) {
		log_configure(LOG_ERROR, LOG_JSON);
		connection_init();
		router_open(true);
		is_open = 1;
	}
	if (size > 100000 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	if (write(pair[1], data, size) == (ssize_t)size &&
	    connection_open(&connection, pair[0]) == 0) {
		while (is_kept &&
		       connection_read(&connection) == CONNECTION_REQUEST) {
			is_kept = dispatch(&connection);
			while (read(pair[1], answer, sizeof(answer)) > 0)
				;
		}
		connection_close(&connection);
	}
	close(pair[1]);
	return 0;
}
