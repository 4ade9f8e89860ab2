#ifndef OPTION_WORDS_H
#define OPTION_WORDS_H

/*
 * Parses words as the options of a command, in an environment without the
 * variables of the program.
 */

#include "support.h"

#include "options.h"

static const char *const variables[] = {"SOCKET", "METRICS_SOCKET",
    "METRICS_FILE", "WORKERS", "MAX_REQUESTS", "REQUEST_TIMEOUT",
    "DRAIN_TIMEOUT", "EXERCISE", "MAX_LOAD_SECONDS", "LOG_LEVEL", "LOG_FORMAT",
    "FORMAT", "CPU", "MEMORY", "SECONDS", "THREADS", "QUIET"};

static struct options options;

/* Set the variable of an option; NULL removes it. */
static inline void
set_variable(const char *name, const char *value)
{
	char variable[128];

	snprintf(variable, sizeof(variable), PROGRAM_VARIABLES "%s", name);
	assert_int_equal(
	    value ? setenv(variable, value, 1) : unsetenv(variable), 0);
}

/* Remove every variable. For cmocka's set-up of one test. */
static inline int
set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(variables); i++)
		set_variable(variables[i], NULL);
	return 0;
}

enum { ARGUMENTS_MAX = 8 };

/* Parse these words behind the command's name. */
static inline int
parse(enum command command, const char *const *words, size_t count)
{
	char *arguments[ARGUMENTS_MAX + 2] = {(char[]){"serve"}};

	assert_in_range(count, 0, ARGUMENTS_MAX);
	for (size_t i = 0; i < count; i++)
		arguments[i + 1] = (char *)(uintptr_t)words[i];
	return options_parse(&options, command, (int)count + 1, arguments);
}

#define PARSE(command, ...)                                                    \
	parse(command, (const char *const[]){__VA_ARGS__},                     \
	    COUNT(((const char *const[]){__VA_ARGS__})))

#endif
