/*
 * Part of the build: fails for a line of fcgi/app/options.def that does not
 * work, or that the engine already has.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

/* As in fcgi/options.c: whether a line is one of the application's. */
enum { COMMAND_SERVE = 0, COMMAND_METRICS = 0, COMMAND_LOAD = 0 };
enum { OPTION_OF_APP = 1 };

enum kind { TEXT, WHOLE, NUMBER, SWITCH, CHOICE };

static const struct option {
	int line;
	bool is_of_app;
	enum kind kind;
	const char *name;
	const char *argument; /* NULL: none */
	const char *fallback; /* NULL: none */
	double min;
	double max;
	const char *help;
} options[] = {
#define TEXT(commands, name, argument, fallback, help)                         \
	{__LINE__, commands, TEXT, #name, argument, fallback, 0, 0, help},
#define WHOLE(commands, name, argument, fallback, min, max, help)              \
	{__LINE__, commands, WHOLE, #name, argument, #fallback, min, max, help},
#define NUMBER(commands, name, argument, fallback, min, max, help)             \
	{__LINE__, commands, NUMBER, #name, argument, #fallback, min, max,     \
	    help},
#define SWITCH(commands, name, fallback, help)                                 \
	{__LINE__, commands, SWITCH, #name, NULL, (fallback) ? "on" : NULL, 0, \
	    0, help},
#define CHOICE(commands, name, argument, fallback, choices, help)              \
	{__LINE__, commands, CHOICE, #name, argument, fallback, 0, 0, help},
#include "options.def"
    {0},
};

#define SMALL   "abcdefghijklmnopqrstuvwxyz"
#define CAPITAL "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

enum { NAME_MAX = 40, ARGUMENT_MAX = 15, HELP_LEFT = 26, HELP_WIDTH = 80 };

/* A double holds all whole numbers up to this one. */
static const double WHOLE_MAX = 1e15;

static const char *
find_fault_in_name(const struct option *option)
{
	const char *name = option->name;

	if (!*name || !strchr(SMALL, name[0]) ||
	    name[strspn(name, SMALL "0123456789_")])
		return "a name has only a to z, 0 to 9, and _ for -, and "
		       "begins with a letter";
	if (strlen(name) > NAME_MAX)
		return "a name has at most 40 characters";
	if (strcmp(name, "help") == 0)
		return "--help prints the options";
	if (strcmp(name, "inherited") == 0) /* fcgi/master/inherited.c */
		return "HUP passes sockets in the variable of this name";
	if (strncmp(name, "no_", 3) == 0)
		return "a name does not begin with no_: --no-NAME turns a "
		       "switch off";
	for (const struct option *other = options; other < option; other++)
		if (strcmp(name, other->name) == 0)
			return other->is_of_app
				   ? "it is declared twice"
				   : "the engine has an option of this name";
	return NULL;
}

static bool
is_integer(double number)
{
	return (double)(long)number == number;
}

static const char *
find_fault_in_range(const struct option *option)
{
	bool is_whole = option->kind == WHOLE;
	double value;

	if (!(option->min >= 0) || !(option->max >= option->min) ||
	    option->max > 1e300)
		return "min is at least 0, and max at least min";
	if (is_whole && (option->max > WHOLE_MAX || !is_integer(option->min) ||
			    !is_integer(option->max)))
		return "min and max are whole numbers up to 10^15";
	if (number_parse(option->fallback, &value) < 0 ||
	    (is_whole && strchr(option->fallback, '.')))
		return is_whole ? "the default is a whole number such as 5"
				: "the default is a number such as 5 or 0.5";
	if (value < option->min || value > option->max)
		return "the default is not between min and max";
	return NULL;
}

/* Whether the line of the help, as fcgi/options.c prints it, is too long. */
static bool
is_too_wide(const struct option *option)
{
	size_t left = strlen("--") + strlen(option->name) +
		      (option->kind == SWITCH ? strlen("[no-]") : 0) +
		      (option->argument ? 1 + strlen(option->argument) : 0);

	return 3 + (left < HELP_LEFT ? HELP_LEFT : left) +
		   strlen(option->help) +
		   (option->fallback ? 3 + strlen(option->fallback) : 0) >
	       HELP_WIDTH;
}

/* Returns what is wrong with an option, or NULL. */
static const char *
find_fault(const struct option *option)
{
	const char *fault = find_fault_in_name(option);

	if (fault)
		return fault;
	if (option->kind != SWITCH &&
	    (!option->argument || !*option->argument ||
		strlen(option->argument) > ARGUMENT_MAX ||
		option->argument[strspn(option->argument, CAPITAL)]))
		return "the argument has 1 to 15 capital letters";
	if (!*option->help || strchr(option->help, '\n'))
		return "a help is one line";
	if (option->kind == TEXT && option->fallback && !*option->fallback)
		return "the default is NULL, or a text that is not empty";
	if (option->kind == WHOLE || option->kind == NUMBER)
		fault = find_fault_in_range(option);
	if (!fault && is_too_wide(option))
		fault = "its line in the help has more than 80 characters";
	return fault;
}

int
main(void)
{
	int status = 0;

	for (const struct option *option = options; option->name; option++) {
		const char *fault =
		    option->is_of_app ? find_fault(option) : NULL;

		if (!fault)
			continue;
		fprintf(stderr, "fcgi/app/options.def:%d: option \"%s\": %s\n",
		    option->line, option->name, fault);
		status = 1;
	}
	return status;
}
