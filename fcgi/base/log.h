#ifndef LOG_H
#define LOG_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_JSON, LOG_TEXT };

/* A field of a log line: a string, or a number if string is NULL. */
struct log_field {
	const char *name;
	const char *string;
	long long number;
};

#define LOG_STRING(name, value) ((struct log_field){(name), (value), 0})
#define LOG_NUMBER(name, value) ((struct log_field){(name), NULL, (value)})

/*
 * Log a message with one or more fields:
 * LOG(LOG_INFO, "worker started", LOG_NUMBER("worker", 3));
 */
#define LOG(level, message, ...)                                               \
	log_fields((level), (message), (struct log_field[]){__VA_ARGS__},      \
	    sizeof((struct log_field[]){__VA_ARGS__}) /                        \
		sizeof(struct log_field))

/* Set the lowest level to write and the format. The defaults are info, JSON. */
void log_configure(enum log_level level, enum log_format format);

/*
 * Add this text to each line as the field request_id, unless it is "" then or
 * the line has such a field. The text may change; NULL: add nothing.
 */
void log_request_id(const char *id);

/* Count dropped lines in this counter; NULL: do not count them. */
void log_count_dropped(_Atomic uint64_t *counter);

/*
 * Write one line to stderr: time (UTC, RFC 3339), level, pid, message, fields.
 * Never blocks: a line that does not fit into a full pipe is dropped and
 * counted. A handler of a signal may call it.
 */
void log_fields(enum log_level level, const char *message,
    const struct log_field *fields, size_t count);

/* Write one line without fields. The message is formatted as by printf(3). */
void log_text(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An error, as a negative errno, and how the user can solve it. */
struct log_advice {
	int error;
	const char *text;
};

/*
 * Log "cannot WHAT PATH: " and the advice for the error, or strerror(3) if
 * there is none. The list of advices ends with error 0. Returns the error.
 */
int log_failure(int error, const char *what, const char *path,
    const struct log_advice *advices);

#endif
