/*
 * Real workers, each in a process of its own: where the kernel has no memory
 * for a descriptor in epoll, and where the application has not started.
 */
#include "records.h"

#include "listening_socket.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "base/clock.h"
#include "http/request_metrics.h"
#include "http/router.h"
#include "metrics/registry.h"
#include "options.h"
#include "worker/blocking_worker.h"
#include "worker/nonblocking_worker.h"
#include "worker/worker.h"

/* The descriptors that a nonblocking worker adds, in this order. */
enum { ADD_SIGNALS = 1, ADD_LISTENING_SOCKET, ADD_CONNECTION };

static struct registry *registry;
static struct counters counters;
static struct options options;
static struct service service = {.options = &options, .counters = &counters};
static struct worker_config config;
static int failing_add; /* which EPOLL_CTL_ADD fails, from 1 */
static pid_t worker;

/* In the place of the C library's. */
int
epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	static int adds;

	if (operation == EPOLL_CTL_ADD && ++adds == failing_add) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

static int
dispatch(struct request *request, struct response *response)
{
	(void)request;
	response_problem(response, 404, "There is nothing.");
	return ENDPOINT_UNCOUNTED;
}

static int
set_up_worker(void **state)
{
	if (set_up(state) < 0)
		return -1;
	worker = 0;
	registry = request_metrics_registry();
	config = (struct worker_config){
	    .service = &service,
	    .listen_fd = listener_open(path),
	    .slot = SLOT_WORKER,
	    .dispatch = dispatch,
	    .writable_fd = -1,
	};
	return registry && config.listen_fd >= 0
		   ? counters_open(
			 &counters, support_path("counters"), registry, 1)
		   : -1;
}

static int
tear_down(void **state)
{
	if (worker)
		kill(worker, SIGKILL);
	if (worker)
		waitpid(worker, NULL, 0);
	close(config.listen_fd);
	counters_close(&counters);
	registry_free(registry);
	return support_release(state);
}

static int
run_nonblocking(void *unused)
{
	(void)unused;
	return nonblocking_worker_run(&config);
}

static void
start_nonblocking(int add)
{
	failing_add = add;
	worker = support_fork(run_nonblocking, NULL);
}

static int
run_unready(void *unused)
{
	(void)unused;
	return blocking_worker_run_unready(&config);
}

/* So that a worker that does not answer is a failure and not a wait. */
static void
limit_wait(int fd)
{
	const struct timeval patience = {.tv_sec = SUPPORT_DEADLINE / 4};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

/* nginx's end of a new connection, with a request on it. */
static int
send_request(void)
{
	struct records records = {0};
	int fd = connect_to(path);

	assert_true(fd >= 0);
	limit_wait(fd);
	records_request(&records, "GET", "/", "");
	assert_int_equal(
	    write(fd, records.bytes, records.size), (ssize_t)records.size);
	return fd;
}

static void
assert_answered(int fd)
{
	char answer[4096] = "";

	assert_true(recv(fd, answer, sizeof(answer) - 1, 0) > 8);
	assert_says(answer + 8, "Status: 404"); /* behind a record's header */
}

static void
a_worker_that_could_not_listen_tries_again(void **state)
{
	int fd;

	(void)state;
	start_nonblocking(ADD_LISTENING_SOCKET);
	fd = send_request();
	assert_answered(fd);
	close(fd);
}

static void
a_connection_that_cannot_be_watched_is_answered_and_closed(void **state)
{
	int fd = send_request(); /* it waits in the backlog */
	char byte;

	(void)state;
	start_nonblocking(ADD_CONNECTION);
	assert_answered(fd);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
}

/* nginx would wait on it for an answer; on a new one it gets 503 at once. */
static void
an_unready_worker_closes_connections_that_others_passed_to_it(void **state)
{
	struct channel channel;
	int ends[2];
	char byte;

	(void)state;
	assert_int_equal(channel_open(&channel), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(channel_send(&channel, ends[1]), 0);
	close(ends[1]);
	config.channels = &channel;
	config.worker_count = 1;
	config.retry_ns = SUPPORT_DEADLINE * CLOCK_NS_PER_SECOND;
	worker = support_fork(run_unready, NULL);
	limit_wait(ends[0]);
	assert_int_equal(recv(ends[0], &byte, 1, 0), 0);
	close(ends[0]);
	close(channel.in);
	close(channel.out);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_worker, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_worker_that_could_not_listen_tries_again),
	    TEST(a_connection_that_cannot_be_watched_is_answered_and_closed),
	    TEST(an_unready_worker_closes_connections_that_others_passed_to_it),
	};

	return SUPPORT_RUN(tests);
}
