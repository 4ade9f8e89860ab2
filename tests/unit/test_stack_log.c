/*
 * What a worker logs as it dies, and when its parent asks for its stack.
 */
#include "support.h"

#include <sys/mman.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/router.h"
#include "log_lines.h"
#include "metrics/counters_guard.h"
#include "worker/stack_log.h"

static struct scoreboard_entry *entry;

/* --- what the child does -------------------------------------------------- */

/* Show a request, as exchange_begin() does. */
static void
begin_request(void)
{
	router_open(true);
	snprintf(entry->request_id, sizeof(entry->request_id), "0123abcd");
	snprintf(entry->path, sizeof(entry->path), "/block/5");
	entry->method = METHOD_GET;
	entry->request_started = clock_now() - 2 * CLOCK_NS_PER_SECOND;
}

/* cmocka has handlers of its own. */
static void
open_log(void)
{
	const int numbers[] = {SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGSYS};

	for (size_t i = 0; i < COUNT(numbers); i++)
		signal(numbers[i], SIG_DFL);
	stack_log_open(entry);
}

static int
die(void *number)
{
	begin_request();
	open_log();
	raise(*(int *)number);
	return 96;
}

static int
die_idle(void *nothing)
{
	(void)nothing;
	open_log();
	abort();
}

static int
access_nothing(void *nothing)
{
	static volatile intptr_t address = 24;

	(void)nothing;
	begin_request();
	open_log();
	*(volatile int *)address = 1;
	return 96;
}

/* What the line is written from is gone, so writing it is a second fault. */
static int
die_without_scoreboard(void *nothing)
{
	(void)nothing;
	open_log();
	munmap(entry, sizeof(*entry));
	abort();
}

static int
die_with_a_handler(void *nothing)
{
	(void)nothing;
	signal(SIGABRT, exit);
	stack_log_open(entry);
	raise(SIGABRT);
	return 96;
}

/* As an application that has a handler of its own. */
static int
be_asked_with_a_handler(void *nothing)
{
	(void)nothing;
	stack_log_open(entry);
	begin_request();
	signal(STACK_LOG_SIGNAL, exit);
	stack_log_open(entry);
	raise(STACK_LOG_SIGNAL);
	return 96;
}

/* Ask this process, and wait until it has got the question. */
static void
ask(int64_t started)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, STACK_LOG_SIGNAL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	stack_log_ask(getpid(), started);
	sigemptyset(&set);
	sigsuspend(&set);
}

static int
be_asked(void *nothing)
{
	(void)nothing;
	begin_request();
	open_log();
	ask(entry->request_started);
	return 0;
}

static int
be_asked_of_another_request(void *nothing)
{
	(void)nothing;
	begin_request();
	open_log();
	ask(entry->request_started - 1);
	return 0;
}

static int
be_asked_while_idle(void *nothing)
{
	(void)nothing;
	open_log();
	ask(1);
	raise(STACK_LOG_SIGNAL);
	return 0;
}

static int
be_asked_by_kill(void *nothing)
{
	(void)nothing;
	begin_request();
	open_log();
	errno = ERANGE;
	kill(getpid(), SIGURG);
	return errno == ERANGE ? 0 : 95;
}

static int
be_asked_without_handler(void *nothing)
{
	(void)nothing;
	stack_log_ask(getpid(), 1);
	return 0;
}

/* --- what is logged ------------------------------------------------------- */

/* The lines of a child; *status is as of support_wait(). */
static const char *
lines_of(int (*run)(void *), void *argument, int *status)
{
	memset(entry, 0, sizeof(*entry));
	support_capture();
	log_configure(LOG_INFO, LOG_JSON);
	*status = support_in_child(run, argument);
	return support_said();
}

/* The only line, for the caller to put. */
static struct json_object *
line_of(int (*run)(void *), void *argument, int *status)
{
	const char *text = lines_of(run, argument, status);

	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	return parse(text);
}

static void
each_signal_of_a_bug_is_logged_with_the_request_and_ends_the_process(
    void **state)
{
	static const struct {
		int number;
		const char *name;
	} signals[] = {{SIGSEGV, "Segmentation fault"}, {SIGABRT, "Aborted"},
	    {SIGILL, "Illegal instruction"},
	    {SIGFPE, "Floating point exception"}, {SIGSYS, "Bad system call"}};

	(void)state;
	for (size_t i = 0; i < COUNT(signals); i++) {
		int number = signals[i].number;
		int status;
		struct json_object *line = line_of(die, &number, &status);

		assert_int_equal(status, 1000 + number);
		assert_string_equal(field(line, "msg"), "crashed");
		assert_string_equal(field(line, "level"), "error");
		assert_string_equal(field(line, "signal"), signals[i].name);
		assert_string_equal(field(line, "request_id"), "0123abcd");
		assert_string_equal(field(line, "endpoint"), "block");
		assert_true(strlen(field(line, "build_id")) >= 16);
		assert_says(field(line, "frames"), PROGRAM_NAME "+0x");
		json_object_put(line);
	}
}

static void
without_a_request_the_line_names_none(void **state)
{
	int status;
	struct json_object *line = line_of(die_idle, NULL, &status);

	(void)state;
	assert_int_equal(status, 1000 + SIGABRT);
	assert_string_equal(field(line, "request_id"), "");
	assert_string_equal(field(line, "endpoint"), "");
	json_object_put(line);
}

static void
an_access_of_memory_has_its_address(void **state)
{
	struct json_object *line;
	int status;

	(void)state;
	line = line_of(access_nothing, NULL, &status);
	assert_int_equal(status, 1000 + SIGSEGV);
	assert_string_equal(field(line, "address"), "0x18");
	json_object_put(line);
}

static void
a_crash_while_a_crash_is_logged_ends_the_process(void **state)
{
	int status;

	(void)state;
	lines_of(die_without_scoreboard, NULL, &status);
	assert_int_equal(status, 1000 + SIGSEGV);
}

static void
a_handler_that_is_there_stays(void **state)
{
	int status;

	(void)state;
	assert_string_equal(lines_of(die_with_a_handler, NULL, &status), "");
	assert_int_equal(status, SIGABRT);
	assert_string_equal(
	    lines_of(be_asked_with_a_handler, NULL, &status), "");
	assert_int_equal(status, STACK_LOG_SIGNAL);
}

static void
the_request_that_is_asked_for_is_logged_and_goes_on(void **state)
{
	int status;
	struct json_object *line = line_of(be_asked, NULL, &status);

	(void)state;
	assert_int_equal(status, 0);
	assert_string_equal(field(line, "msg"), "slow request");
	assert_string_equal(field(line, "level"), "warning");
	assert_string_equal(field(line, "endpoint"), "block");
	assert_string_equal(field(line, "request_id"), "0123abcd");
	assert_in_range(atoi(field(line, "milliseconds")), 2000, 60000);
	assert_says(field(line, "frames"), PROGRAM_NAME "+0x");
	json_object_put(line);
}

static void
a_question_that_comes_too_late_has_no_answer(void **state)
{
	int (*const runs[])(void *) = {be_asked_of_another_request,
	    be_asked_while_idle, be_asked_without_handler};

	(void)state;
	for (size_t i = 0; i < COUNT(runs); i++) {
		int status;

		assert_string_equal(lines_of(runs[i], NULL, &status), "");
		assert_int_equal(status, 0);
	}
}

static void
kill_asks_for_whatever_is_under_way(void **state)
{
	int status;
	struct json_object *line = line_of(be_asked_by_kill, NULL, &status);

	(void)state;
	assert_int_equal(status, 0);
	assert_string_equal(field(line, "request_id"), "0123abcd");
	json_object_put(line);
}

static int
set_up(void **state)
{
	(void)state;
	entry = mmap(NULL, sizeof(*entry), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return entry == MAP_FAILED ? -1 : 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, support_release)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(
		each_signal_of_a_bug_is_logged_with_the_request_and_ends_the_process),
	    TEST(without_a_request_the_line_names_none),
	    TEST(an_access_of_memory_has_its_address),
	    TEST(a_crash_while_a_crash_is_logged_ends_the_process),
	    TEST(a_handler_that_is_there_stays),
	    TEST(the_request_that_is_asked_for_is_logged_and_goes_on),
	    TEST(a_question_that_comes_too_late_has_no_answer),
	    TEST(kill_asks_for_whatever_is_under_way),
	};

	return SUPPORT_RUN_WITH(tests, set_up, NULL);
}
