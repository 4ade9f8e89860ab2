/*
 * The lines of the log: every line can be parsed, and has its level, its
 * time and its fields.
 */
#include "support.h"

#include <json-c/json.h>
#include <sys/time.h>

#include "base/log.h"
#include "base/utf8.h"
#include "log_lines.h"

/* Log into a file from here on. */
static void
capture(enum log_level level, enum log_format format)
{
	support_capture();
	log_configure(level, format);
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

/* One line of JSON, which must be UTF-8 (RFC 8259, section 8.1). */
static void
assert_json_in_utf8(const char *line)
{
	size_t length;

	assert_one_line(line);
	for (const char *text = line; *text; text += length) {
		length = utf8_measure((const unsigned char *)text);
		assert_int_not_equal(length, 0);
	}
	json_object_put(parse(line));
}

static void
invalid_utf8_is_replaced_also_where_a_text_was_cut(void **state)
{
	static char text[8000];
	struct json_object *object;
	const char *line;

	(void)state;
	for (size_t i = 0; i < 30; i++) {
		memset(text, 'x', i);
		for (size_t j = 0; j < 2000; j++)
			memcpy(text + i + 3 * j, "\342\202\254", 3);
		capture(LOG_INFO, LOG_JSON);
		LOG(LOG_INFO, text, LOG_STRING("text", text));
		assert_json_in_utf8(support_said());
		capture(LOG_INFO, LOG_JSON);
		log_text(LOG_INFO, "%s", text);
		assert_json_in_utf8(support_said());
	}
	capture(LOG_INFO, LOG_JSON);
	LOG(LOG_INFO, "\377\n\303", LOG_STRING("field", "\300\200\303\274"));
	line = support_said();
	assert_json_in_utf8(line);
	object = parse(line);
	assert_string_equal(field(object, "msg"), "?\n?");
	assert_string_equal(field(object, "field"), "??\303\274");
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
a_field_cannot_begin_another_line_of_text(void **state)
{
	const char *line;

	(void)state;
	capture(LOG_INFO, LOG_TEXT);
	LOG(LOG_INFO, "a\nb", LOG_STRING("text", "\r\n2027 error\t\033[2J"));
	line = support_said();
	assert_one_line(line);
	assert_says(line, "a b text=  2027 error  [2J\n");
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

static void
a_line_has_the_id_of_the_request_under_way(void **state)
{
	char id[] = "0123abcd";
	struct json_object *object;

	(void)state;
	log_request_id(id);
	capture(LOG_INFO, LOG_JSON);
	LOG(LOG_INFO, "saved", LOG_NUMBER("notes", 3));
	object = parse(support_said());
	assert_string_equal(field(object, "request_id"), "0123abcd");
	json_object_put(object);

	capture(LOG_INFO, LOG_TEXT);
	log_text(LOG_INFO, "saved");
	assert_says(support_said(), "saved request_id=0123abcd\n");

	capture(LOG_INFO, LOG_TEXT);
	LOG(LOG_INFO, "saved", LOG_STRING("request_id", "other"));
	assert_says(support_said(), "saved request_id=other\n");

	id[0] = '\0'; /* no request is under way */
	capture(LOG_INFO, LOG_TEXT);
	log_text(LOG_INFO, "saved");
	assert_says(support_said(), "saved\n");
	log_request_id(NULL);
}

static volatile sig_atomic_t lines_of_handler;

static void
log_in_handler(int number)
{
	LOG(LOG_INFO, "in a handler", LOG_NUMBER("signal", number),
	    LOG_STRING("text", "a \"b\""));
	lines_of_handler++;
}

/* Where a lock was taken twice, this would not come to its end. */
static void
a_handler_may_log_whatever_it_interrupts(void **state)
{
	enum { LINES = 100 };
	const struct itimerval often = {{0, 50}, {0, 50}};
	const struct itimerval never = {{0, 0}, {0, 0}};
	unsigned count = 0;

	(void)state;
	capture(LOG_INFO, LOG_JSON);
	signal(SIGPROF, log_in_handler);
	setitimer(ITIMER_PROF, &often, NULL);
	while (lines_of_handler < LINES) {
		time_t now = count++;
		struct tm utc;

		free(malloc(count % 4096 + 1));
		gmtime_r(&now, &utc);
		if (count % 64 == 0)
			log_text(LOG_DEBUG, "number %u", count);
	}
	setitimer(ITIMER_PROF, &never, NULL);
	for (const char *line = support_said(); *line;
	     line = strchr(line, '\n') + 1)
		json_object_put(parse(line));
}

#define TEST(name) cmocka_unit_test_teardown(name, support_release)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_line_is_a_json_object_with_its_fields),
	    TEST(the_time_is_utc_in_rfc_3339_with_milliseconds),
	    TEST(what_would_break_json_is_escaped),
	    TEST(invalid_utf8_is_replaced_also_where_a_text_was_cut),
	    TEST(a_message_is_made_as_by_printf),
	    TEST(a_line_that_is_too_long_is_still_json_and_tells_its_message),
	    TEST(lines_below_the_level_are_not_written),
	    TEST(the_text_format_is_one_plain_line),
	    TEST(a_field_cannot_begin_another_line_of_text),
	    TEST(a_text_line_that_is_too_long_is_cut),
	    TEST(a_line_has_the_id_of_the_request_under_way),
	    TEST(a_handler_may_log_whatever_it_interrupts),
	};

	return SUPPORT_RUN(tests);
}
