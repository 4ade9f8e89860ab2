/*
 * The log where stderr is a pipe or a socket: no process waits for a
 * reader, dropped lines are counted, and lines of several processes do not
 * mix.
 */
#include "support.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <json-c/json.h>

#include "base/log.h"
#include "log_lines.h"

/* Runs between the log's poll() and its write. */
static void (*after_poll)(void);

int
poll(struct pollfd *fds, nfds_t count, int timeout)
{
	int result = (int)syscall(SYS_poll, fds, count, timeout);

	if (after_poll)
		after_poll();
	return result;
}

static int
set_up(void **state)
{
	(void)state;
	after_poll = NULL;
	log_count_dropped(NULL);
	return 0;
}

static int stderr_before = -1;
static int ends[2] = {-1, -1};

/* Log into this from here on. */
static void
log_into(int fd)
{
	stderr_before = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	log_configure(LOG_INFO, LOG_JSON);
}

/* For tear-down, too. */
static int
log_back(void **state)
{
	after_poll = NULL;
	if (stderr_before >= 0) {
		dup2(stderr_before, STDERR_FILENO);
		close(stderr_before);
		stderr_before = -1;
		log_configure(LOG_INFO, LOG_JSON);
	}
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0) {
			close(ends[i]);
			ends[i] = -1;
		}
	return support_release(state);
}

static void
fill(void)
{
	static const char page[4096];
	int flags = fcntl(ends[1], F_GETFL);

	fcntl(ends[1], F_SETFL, flags | O_NONBLOCK);
	while (write(ends[1], page, sizeof(page)) > 0)
		;
	fcntl(ends[1], F_SETFL, flags);
}

static void
a_full_pipe_drops_lines_counts_them_and_blocks_nobody(void **state)
{
	_Atomic uint64_t dropped = 0;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	log_count_dropped(&dropped);
	log_into(ends[1]);
	for (int i = 0; i < 100000 && dropped < 10; i++)
		log_text(LOG_INFO, "nobody reads this");
	assert_int_equal(dropped, 10);
}

static void
a_pipe_that_another_process_fills_meanwhile_blocks_nobody_either(void **state)
{
	_Atomic uint64_t dropped = 0;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	log_count_dropped(&dropped);
	log_into(ends[1]);
	after_poll = fill; /* there was room when we looked */
	log_text(LOG_INFO, "and now there is none");
	assert_int_equal(dropped, 1);
	/* and it has not become non-blocking for whoever else has it */
	assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
}

static void
a_full_socket_blocks_nobody(void **state)
{
	_Atomic uint64_t dropped = 0;

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	log_count_dropped(&dropped);
	log_into(ends[1]);
	for (int i = 0; i < 100000 && dropped < 10; i++)
		log_text(LOG_INFO, "nobody reads this");
	assert_int_equal(dropped, 10);
}

static void
after_a_reader_came_back_lines_are_written_again(void **state)
{
	static char buffer[1 << 20];
	_Atomic uint64_t dropped = 0;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	log_count_dropped(&dropped);
	log_into(ends[1]);
	fill();
	log_text(LOG_INFO, "lost");
	assert_int_equal(dropped, 1);
	assert_true(read(ends[0], buffer, sizeof(buffer)) > 0);
	log_text(LOG_INFO, "heard");
	assert_int_equal(dropped, 1);
	buffer[read(ends[0], buffer, sizeof(buffer) - 1)] = '\0';
	assert_says(buffer, "heard");
}

static void
a_closed_pipe_drops_lines_and_kills_nobody(void **state)
{
	_Atomic uint64_t dropped = 0;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	log_count_dropped(&dropped);
	log_into(ends[1]);
	close(ends[0]);
	ends[0] = -1;
	log_text(LOG_INFO, "nobody will ever read this");
	assert_int_equal(dropped, 1);
}

/* Two processes that log into one pipe, lines of several lengths. */
static int
log_many(void *unused)
{
	static char text[1001];

	(void)unused;
	memset(text, 'y', sizeof(text) - 1);
	for (int i = 0; i < 500; i++)
		LOG(LOG_INFO, "line",
		    LOG_STRING("text", text + (i * 37) % 1000));
	return 0;
}

static void
lines_of_several_processes_never_mix(void **state)
{
	pid_t children[4];
	size_t lines = 0;
	char *line = NULL;
	size_t room = 0;
	FILE *in;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	log_into(ends[1]);
	for (size_t i = 0; i < COUNT(children); i++)
		children[i] = support_fork(log_many, NULL);
	dup2(stderr_before, STDERR_FILENO);
	log_configure(LOG_INFO, LOG_JSON);
	close(ends[1]);
	ends[1] = -1;
	in = fdopen(ends[0], "r");
	assert_non_null(in);
	ends[0] = -1;
	while (getline(&line, &room, in) > 0) {
		struct json_object *object = parse(line);

		assert_string_equal(field(object, "msg"), "line");
		json_object_put(object);
		lines++;
	}
	free(line);
	fclose(in);
	for (size_t i = 0; i < COUNT(children); i++)
		assert_int_equal(support_wait(children[i]), 0);
	/* How many were dropped is the scheduler's; what came is whole. */
	assert_in_range(lines, 1, 2000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, log_back)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_full_pipe_drops_lines_counts_them_and_blocks_nobody),
	    TEST(
		a_pipe_that_another_process_fills_meanwhile_blocks_nobody_either),
	    TEST(a_full_socket_blocks_nobody),
	    TEST(after_a_reader_came_back_lines_are_written_again),
	    TEST(a_closed_pipe_drops_lines_and_kills_nobody),
	    TEST(lines_of_several_processes_never_mix),
	};

	return SUPPORT_RUN(tests);
}
