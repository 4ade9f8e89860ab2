/*
 * The logger writes one JSON object or one line of text for each event to
 * stderr. Each line is a single write(), so lines of several processes never
 * mix. A line that does not fit into the pipe is dropped: a worker must not
 * wait for the reader of the log.
 *
 * log_fields() is called by handlers of signals, so it takes no lock and
 * allocates nothing. (The formats that it gives to snprintf() need neither.)
 */
#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

/* A write of up to PIPE_BUF (4096) bytes is atomic on a pipe. */
enum { LINE_SIZE = 4096 };

/* Longer ids are cut. */
enum { REQUEST_ID_MAX = 64 };

static const char *const level_names[] = {"debug", "info", "warning", "error"};

static struct {
	enum log_level level;
	enum log_format format;
	_Atomic uint64_t *dropped;
	const char *request_id;
	int fd;
} logger = {LOG_INFO, LOG_JSON, NULL, NULL, STDERR_FILENO};

/*
 * Open the pipe on stderr again, non-blocking. O_NONBLOCK on the inherited
 * descriptor would apply to all processes that share it. poll() alone is not
 * enough: another process can fill the pipe between poll() and write().
 */
static void
open_pipe(void)
{
	struct stat status;
	int fd;

	if (logger.fd != STDERR_FILENO)
		close(logger.fd);
	logger.fd = STDERR_FILENO;
	if (fstat(STDERR_FILENO, &status) < 0 || !S_ISFIFO(status.st_mode))
		return;
	fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		logger.fd = fd;
}

void
log_configure(enum log_level level, enum log_format format)
{
	logger.level = level;
	logger.format = format;
	open_pipe();
}

void
log_count_dropped(_Atomic uint64_t *counter)
{
	logger.dropped = counter;
}

void
log_request_id(const char *id)
{
	logger.request_id = id;
}

/* The id to add to a line with these fields, or "". */
static const char *
find_request_id(const struct log_field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(fields[i].name, "request_id") == 0)
			return "";
	return logger.request_id ? logger.request_id : "";
}

static void
write_line(char *line, size_t length)
{
	struct pollfd out = {.fd = logger.fd, .events = POLLOUT};

	if (length >= LINE_SIZE)
		length = LINE_SIZE - 1;
	line[length] = '\n';
	if (poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) &&
	    write(logger.fd, line, length + 1) > 0)
		return;
	if (logger.dropped)
		atomic_fetch_add(logger.dropped, 1);
}

/* Append text. *used may become more than LINE_SIZE: then it was cut. */
static void
put(char *line, size_t *used, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++, ++*used)
		if (*used < LINE_SIZE)
			line[*used] = text[i];
}

/*
 * Append at most `max` bytes of a text as a string of JSON. JSON must be UTF-8
 * (RFC 8259), but a text can be cut, or quote what a client has sent, so
 * invalid bytes become '?'.
 */
static void
put_string(char *line, size_t *used, const char *text, size_t max)
{
	size_t length;

	put(line, used, "\"", 1);
	for (size_t i = 0; i < max && text[i]; i += length) {
		unsigned char byte = (unsigned char)text[i];
		char escaped[8];

		length = utf8_measure((const unsigned char *)text + i);
		if (byte == '"' || byte == '\\')
			put(line, used, "\\", 1);
		if (length == 0 || length > max - i) {
			put(line, used, "?", 1);
			length = 1;
		} else if (byte < ' ')
			put(line, used, escaped,
			    (size_t)snprintf(
				escaped, sizeof(escaped), "\\u%04x", byte));
		else
			put(line, used, &text[i], length);
	}
	put(line, used, "\"", 1);
}

/* Append a member of an object after the first one. */
static void
put_field(char *line, size_t *used, const struct log_field *field, size_t max)
{
	char number[32];

	put(line, used, ",", 1);
	put_string(line, used, field->name, SIZE_MAX);
	put(line, used, ":", 1);
	if (field->string)
		put_string(line, used, field->string, max);
	else
		put(line, used, number,
		    (size_t)snprintf(
			number, sizeof(number), "%lld", field->number));
}

/* A line that is too long contains only the message, cut. */
static size_t
format_json(char *line, enum log_level level, const char *time,
    const char *message, const struct log_field *fields, size_t count)
{
	/* Escaped, a byte takes up to six. */
	static const size_t max[] = {SIZE_MAX, LINE_SIZE / 8};
	const char *request_id = find_request_id(fields, count);
	size_t used = LINE_SIZE;

	for (int i = 0; i < 2 && used >= LINE_SIZE; i++) {
		used = (size_t)snprintf(line, LINE_SIZE,
		    "{\"time\":\"%s\",\"level\":\"%s\",\"pid\":%d,\"msg\":",
		    time, level_names[level], getpid());
		put_string(line, &used, message, max[i]);
		for (size_t j = 0; i == 0 && j < count; j++)
			put_field(line, &used, &fields[j], SIZE_MAX);
		if (*request_id)
			put_field(line, &used,
			    &LOG_STRING("request_id", request_id),
			    REQUEST_ID_MAX);
		put(line, &used, "}", 1);
	}
	return used;
}

/* A text can contain a newline, which would begin a line of its own. */
static void
replace_control_characters(char *line, size_t length)
{
	for (size_t i = 0; i < length && i < LINE_SIZE; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == '\x7f')
			line[i] = ' ';
}

static size_t
format_plain(char *line, enum log_level level, const char *time,
    const char *message, const struct log_field *fields, size_t count)
{
	const char *request_id = find_request_id(fields, count);
	size_t used = (size_t)snprintf(line, LINE_SIZE, "%s %s [%d] %s", time,
	    level_names[level], getpid(), message);

	for (size_t i = 0; i < count && used < LINE_SIZE; i++) {
		char *end = line + used;
		size_t room = LINE_SIZE - used;

		used += fields[i].string
			    ? (size_t)snprintf(end, room, " %s=%s",
				  fields[i].name, fields[i].string)
			    : (size_t)snprintf(end, room, " %s=%lld",
				  fields[i].name, fields[i].number);
	}
	if (*request_id && used < LINE_SIZE)
		used += (size_t)snprintf(line + used, LINE_SIZE - used,
		    " request_id=%.*s", REQUEST_ID_MAX, request_id);
	replace_control_characters(line, used);
	return used;
}

void
log_fields(enum log_level level, const char *message,
    const struct log_field *fields, size_t count)
{
	char line[LINE_SIZE];
	char time[CLOCK_TEXT_SIZE];
	size_t length;

	if (level < logger.level)
		return;
	clock_format(clock_wall(), time);
	if (logger.format == LOG_JSON)
		length = format_json(line, level, time, message, fields, count);
	else
		length =
		    format_plain(line, level, time, message, fields, count);
	write_line(line, length);
}

void
log_text(enum log_level level, const char *format, ...)
{
	char message[LINE_SIZE / 2];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	log_fields(level, message, NULL, 0);
}

int
log_failure(int error, const char *what, const char *path,
    const struct log_advice *advices)
{
	while (advices->error && advices->error != error)
		advices++;
	log_text(LOG_ERROR, "cannot %s %s: %s", what, path,
	    advices->error ? advices->text : strerror(-error));
	return error;
}
