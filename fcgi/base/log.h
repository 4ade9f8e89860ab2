#ifndef LOG_H
#define LOG_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_JSON, LOG_TEXT };

/* One name with either a string or, where string is NULL, a number. */
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

/* Lines below the level are not written. Until called: info, JSON. */
void log_configure(enum log_level level, enum log_format format);

/* Count lines that a full pipe made us drop in this cell; NULL: nowhere. */
void log_count_dropped(_Atomic uint64_t *cell);

/*
 * Write one line on stderr: time (UTC, RFC 3339), level, pid, message, fields.
 * Never blocks: a line that a full pipe would not take is dropped and counted.
 */
void log_fields(enum log_level level, const char *message,
    const struct log_field *fields, size_t count);

/* The same without fields, the message made as by printf. */
void log_text(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What to do about an error, as a negative errno. */
struct log_advice {
	int error;
	const char *text;
};

/*
 * Log "cannot WHAT PATH: " and the advice, or else the error's own text; the
 * advices end with one of error 0. Returns the error.
 */
int log_failure(int error, const char *what, const char *path,
    const struct log_advice *advices);

#endif
