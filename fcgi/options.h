#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>

/* The commands, one bit each: an option can belong to several. */
enum command {
	COMMAND_SERVE = 1,
	COMMAND_METRICS = 2,
	COMMAND_LOAD = 4,
};

/*
 * The values of all options: a field for each line of options.def and
 * app/options.def. Strings point into argv and the environment. A text without
 * a default is NULL if it was not given. A choice is an index.
 */
struct options {
#define TEXT(commands, name, ...)   const char *name;
#define WHOLE(commands, name, ...)  long name;
#define NUMBER(commands, name, ...) double name;
#define SWITCH(commands, name, ...) bool name;
#define CHOICE(commands, name, ...) long name;
#include "options.def"
};

/*
 * Set the options of a command from the defaults, the environment and argv.
 * argv overrides the environment, which overrides the defaults. argv[0] is the
 * name of the command. Returns 0; 1 after --help, which it prints; -EINVAL for
 * an invalid option or value, which it explains in one line on stderr.
 */
int options_parse(struct options *options, enum command command, int argc,
    char *const argv[]);

/* Set the options without argv. Returns 0 or -EINVAL as options_parse(). */
int options_from_environment(struct options *options, enum command command);

#endif
