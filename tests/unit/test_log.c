/*
 * The log: every line can be parsed, and none makes a process wait.
 */
#include "support.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <json-c/json.h>

#include "base/log.h"

/* --- someone who fills the pipe between a look and a write ---------------- */

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

/* Log into a file from here on. */
static void
capture(enum log_level level, enum log_format format)
{
	support_capture();
	log_configure(level, format);
}

/* The line that was logged, as an object for the caller to put. */
static struct json_object *
parse(const char *line)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;

	object = json_tokener_parse_ex(tokener, line, (int)strcspn(line, "\n"));
	if (!object && json_tokener_get_error(tokener) == json_tokener_continue)
		object = json_tokener_parse_ex(tokener, "", 1);
	if (!object)
		fail_msg("not JSON: %s", line);
	json_tokener_free(tokener);
	return object;
}

static const char *
field(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(object, name, &value))
		fail_msg("there is no %s", name);
	return json_object_get_string(value);
}

static void
assert_one_line(const char *text)
{
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void
a_line_is_a_json_object_with_its_fields(void **state)
{
	struct json_object *object;
	const char *line;

	(void)state;
	capture(LOG_DEBUG, LOG_JSON);
	LOG(LOG_WARNING, "a worker ended", LOG_NUMBER("worker", 3),
	    LOG_STRING("reason", "crashed"), LOG_NUMBER("big", INT64_MIN));
	line = support_said();
	assert_one_line(line);
	object = parse(line);
	assert_string_equal(field(object, "level"), "warning");
	assert_string_equal(field(object, "msg"), "a worker ended");
	assert_string_equal(field(object, "reason"), "crashed");
	assert_string_equal(field(object, "worker"), "3");
	assert_string_equal(field(object, "big"), "-9223372036854775808");
	assert_int_equal(atoi(field(object, "pid")), getpid());
	json_object_put(object);
}

static void
the_time_is_utc_in_rfc_3339_with_milliseconds(void **state)
{
	struct timespec before;
	struct timespec after;
	struct json_object *object;
	struct tm utc = {0};
	const char *rest;

	(void)state;
	/* not time(): that may be a tick behind */
	clock_gettime(CLOCK_REALTIME, &before);
	capture(LOG_DEBUG, LOG_JSON);
	log_text(LOG_INFO, "now");
	clock_gettime(CLOCK_REALTIME, &after);
	object = parse(support_said());
	rest = strptime(field(object, "time"), "%Y-%m-%dT%H:%M:%S", &utc);
	assert_non_null(rest);
	assert_int_equal(strlen(rest), 5);
	assert_int_equal(rest[0], '.');
	assert_int_equal(rest[4], 'Z');
	assert_in_range((uint64_t)timegm(&utc), (uint64_t)before.tv_sec,
	    (uint64_t)after.tv_sec);
	json_object_put(object);
}

static void
what_would_break_json_is_escaped(void **state)
{
	static const char nasty[] =
	    "a \"b\" \\ \n \t \r \001 </script> \303\274";
	struct json_object *object;
	const char *line;

	(void)state;
	capture(LOG_DEBUG, LOG_JSON);
	LOG(LOG_INFO, nasty, LOG_STRING("field", nasty));
	line = support_said();
	assert_one_line(line);
	object = parse(line);
	assert_string_equal(field(object, "msg"), nasty);
	assert_string_equal(field(object, "field"), nasty);
	json_object_put(object);
}

static void
a_message_is_made_as_by_printf(void **state)
{
	struct json_object *object;

	(void)state;
	capture(LOG_DEBUG, LOG_JSON);
	log_text(LOG_ERROR, "%s listens on %d", "nginx", 8081);
	object = parse(support_said());
	assert_string_equal(field(object, "msg"), "nginx listens on 8081");
	json_object_put(object);
}

static void
a_line_that_is_too_long_is_still_json_and_tells_its_message(void **state)
{
	static char text[100000];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct json_object *object;
		const char *line;

		memset(text, i ? '\001' : 'x', sizeof(text) - 1);
		capture(LOG_DEBUG, LOG_JSON);
		LOG(LOG_INFO, "the message", LOG_STRING("long", text));
		line = support_said();
		assert_one_line(line);
		assert_in_range(strlen(line), 1, 4096);
		object = parse(line);
		assert_string_equal(field(object, "msg"), "the message");
		json_object_put(object);
		capture(LOG_DEBUG, LOG_JSON);
		log_text(LOG_INFO, "%s", text);
		line = support_said();
		assert_one_line(line);
		assert_in_range(strlen(line), 1, 4096);
		json_object_put(parse(line));
	}
}

static void
lines_below_the_level_are_not_written(void **state)
{
	static const char *const names[] = {
	    "debug", "info", "warning", "error"};

	(void)state;
	for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
		const char *said;

		capture((enum log_level)level, LOG_TEXT);
		for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
			log_text((enum log_level)i, "at %s", names[i]);
		said = support_said();
		for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
			char wanted[32];

			snprintf(wanted, sizeof(wanted), "at %s", names[i]);
			assert_int_equal(
			    strstr(said, wanted) != NULL, i >= level);
		}
	}
}

static void
the_text_format_is_one_plain_line(void **state)
{
	char wanted[128];
	const char *line;

	(void)state;
	capture(LOG_INFO, LOG_TEXT);
	LOG(LOG_ERROR, "it ended", LOG_STRING("role", "worker"),
	    LOG_NUMBER("number", -2));
	line = support_said();
	assert_one_line(line);
	snprintf(wanted, sizeof(wanted),
	    "Z error [%d] it ended role=worker number=-2\n", getpid());
	assert_says(line, wanted);
}

static void
a_text_line_that_is_too_long_is_cut(void **state)
{
	static char text[100000];
	const char *line;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	capture(LOG_INFO, LOG_TEXT);
	LOG(LOG_INFO, "long", LOG_STRING("a", text), LOG_STRING("b", text));
	line = support_said();
	assert_one_line(line);
	assert_int_equal(strlen(line), 4096);
}

/* --- where nobody reads -----------------------------------------------------
 */

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
	    TEST(a_line_is_a_json_object_with_its_fields),
	    TEST(the_time_is_utc_in_rfc_3339_with_milliseconds),
	    TEST(what_would_break_json_is_escaped),
	    TEST(a_message_is_made_as_by_printf),
	    TEST(a_line_that_is_too_long_is_still_json_and_tells_its_message),
	    TEST(lines_below_the_level_are_not_written),
	    TEST(the_text_format_is_one_plain_line),
	    TEST(a_text_line_that_is_too_long_is_cut),
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
