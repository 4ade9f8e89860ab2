/*
 * The parser, the help and the environment variables of the options in
 * options.def.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/program.h"

enum kind { TEXT, WHOLE, NUMBER, SWITCH, CHOICE };

struct option_spec {
	const char *name;  /* of the field: "_" for "-" */
	unsigned commands; /* bits of enum command, and OPTION_OF_APP */
	enum kind kind;
	size_t offset;
	const char *fallback; /* the default; NULL: zero */
	double min;
	double max;
	const char *const *choices; /* ends with NULL; the value is the index */
	const char *argument;       /* name of the value in the help */
	const char *help;
};

/* A bit beside those of enum command: a line of app/options.def. */
enum { OPTION_OF_APP = 8 };

#define SPEC(commands, kind, name, ...)                                        \
	{#name, commands, kind, offsetof(struct options, name), __VA_ARGS__},
#define CHOICES(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct option_spec specs[] = {
#define TEXT(commands, name, argument, fallback, help)                         \
	SPEC(commands, TEXT, name, fallback, 0, 0, NULL, argument, help)
#define WHOLE(commands, name, argument, fallback, min, max, help)              \
	SPEC(commands, WHOLE, name, #fallback, min, max, NULL, argument, help)
#define NUMBER(commands, name, argument, fallback, min, max, help)             \
	SPEC(commands, NUMBER, name, #fallback, min, max, NULL, argument, help)
#define SWITCH(commands, name, fallback, help)                                 \
	SPEC(commands, SWITCH, name, (fallback) ? "true" : "false", 0, 0,      \
	    NULL, NULL, help)
#define CHOICE(commands, name, argument, fallback, choices, help)              \
	SPEC(commands, CHOICE, name, fallback, 0, 0, choices, argument, help)
#include "options.def"
};

enum { SPEC_COUNT = sizeof(specs) / sizeof(specs[0]) };

/* For "no-" or a prefix, and a name: scripts/check-options.c limits names. */
enum { NAME_SIZE = 128 };

/* Codes for getopt_long(), above the characters that it returns ('?', ':'). */
enum { CODE_HELP = 256, CODE_SPECS };

static const struct {
	enum command command;
	const char *summary;
	const char *example;
} commands[] = {
    {COMMAND_SERVE, "Run the pool that nginx talks to.",
	PROGRAM_NAME " serve --socket ./a --metrics-socket ./m --metrics-file "
		     "./c"},
    {COMMAND_METRICS,
	"Print the metrics from the counter file, even without a running pool.",
	PROGRAM_NAME " metrics --metrics-file ./counters --format openmetrics"},
    {COMMAND_LOAD, "Raise CPU or memory load for a time, in its own process.",
	PROGRAM_NAME " load --cpu 1.5 --seconds 180"},
};

/* Print an error. given_by is the option or environment variable. */
static int
complain(
    const char *given_by, const char *value, const struct option_spec *spec)
{
	fprintf(stderr, PROGRAM_NAME ": %s takes ", given_by);
	switch (spec->kind) {
	case WHOLE:
		fprintf(stderr, "a whole number from %.0f to %.0f", spec->min,
		    spec->max);
		break;
	case NUMBER:
		fprintf(stderr, "a number from %g to %g", spec->min, spec->max);
		break;
	case SWITCH:
		fputs("true or false", stderr);
		break;
	case CHOICE:
		fputs(spec->help, stderr);
		break;
	case TEXT:
		fputs("a value that is not empty", stderr);
		break;
	}
	fprintf(stderr, ", not '%s'\n", value);
	return -EINVAL;
}

static int
set_choice(const struct option_spec *spec, const char *value, void *field)
{
	for (long i = 0; spec->choices[i]; i++)
		if (strcmp(spec->choices[i], value) == 0) {
			*(long *)field = i;
			return 0;
		}
	return -EINVAL;
}

static int
set_number(const struct option_spec *spec, const char *value, void *field)
{
	double number;

	if (number_parse(value, &number) < 0 || number < spec->min ||
	    number > spec->max)
		return -EINVAL;
	if (spec->kind == NUMBER)
		*(double *)field = number;
	else if (strchr(value, '.'))
		return -EINVAL;
	else
		*(long *)field = (long)number;
	return 0;
}

static int
set(struct options *options, const struct option_spec *spec, const char *value,
    const char *given_by)
{
	void *field = (char *)options + spec->offset;
	int error = 0;

	switch (spec->kind) {
	case TEXT:
		*(const char **)field = value;
		error = *value ? 0 : -EINVAL;
		break;
	case SWITCH:
		if (strcmp(value, "true") == 0)
			*(bool *)field = true;
		else if (strcmp(value, "false") == 0)
			*(bool *)field = false;
		else
			error = -EINVAL;
		break;
	case CHOICE:
		error = set_choice(spec, value, field);
		break;
	case WHOLE:
	case NUMBER:
		error = set_number(spec, value, field);
		break;
	}
	return error ? complain(given_by, value, spec) : 0;
}

/* The variable of request_timeout ends in _REQUEST_TIMEOUT. */
static void
variable_name(const struct option_spec *spec, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, PROGRAM_VARIABLES "%s", spec->name);
	for (char *c = name; *c; c++)
		*c = (char)toupper((unsigned char)*c);
}

/* The option of request_timeout is --request-timeout. */
static void
option_name(
    const struct option_spec *spec, const char *prefix, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%s%s", prefix, spec->name);
	for (char *c = name; *c; c++)
		if (*c == '_')
			*c = '-';
}

int
options_from_environment(struct options *options, enum command command)
{
	memset(options, 0, sizeof(*options));
	for (int i = 0; i < SPEC_COUNT; i++) {
		char name[NAME_SIZE];
		const char *value;
		int error = 0;

		if (!(specs[i].commands & command))
			continue;
		variable_name(&specs[i], name);
		value = getenv(name);
		if (specs[i].fallback)
			set(options, &specs[i], specs[i].fallback, "");
		if (value)
			error = set(options, &specs[i], value, name);
		if (error)
			return error;
	}
	return 0;
}

static void
print_option(const struct option_spec *spec)
{
	char name[NAME_SIZE];
	char left[2 * NAME_SIZE];

	option_name(spec, spec->kind == SWITCH ? "--[no-]" : "--", name);
	snprintf(left, sizeof(left), "%s%s%s", name, spec->argument ? " " : "",
	    spec->argument ? spec->argument : "");
	printf("  %-26s %s", left, spec->help);
	if (spec->fallback && spec->kind != SWITCH &&
	    strcmp(spec->fallback, "0") != 0)
		printf(" [%s]", spec->fallback);
	else if (spec->kind == SWITCH && spec->fallback &&
		 strcmp(spec->fallback, "true") == 0)
		printf(" [on]");
	putchar('\n');
}

/* Print the options of a command: the engine's, or the application's. */
static void
print_options(enum command command, unsigned of_app, const char *heading)
{
	for (int i = 0; i < SPEC_COUNT; i++) {
		if (!(specs[i].commands & command) ||
		    (specs[i].commands & OPTION_OF_APP) != of_app)
			continue;
		fputs(heading, stdout);
		heading = "";
		print_option(&specs[i]);
	}
}

static void
print_help(enum command command, const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].command == command)
			printf("Usage: " PROGRAM_NAME " %s [OPTION]...\n%s\n\n"
			       "Example: %s\n\n",
			    name, commands[i].summary, commands[i].example);
	print_options(command, 0, "");
	printf("  %-26s %s\n", "--help", "print this and exit");
	print_options(command, OPTION_OF_APP, "\nApplication:\n");
	puts("\nEvery option is also an environment variable: --log-level "
	     "is\n" PROGRAM_VARIABLES
	     "LOG_LEVEL, --no-exercise " PROGRAM_VARIABLES "EXERCISE=false. "
	     "An option\noverrides the environment.");
}

/* The names of an option for getopt_long(), which are valid while it runs. */
struct option_names {
	char plain[NAME_SIZE];
	char negated[NAME_SIZE];
};

/*
 * Make the list of a command's options for getopt_long(). val is CODE_SPECS + 2
 * x index, plus 1 for the no- form of a switch.
 */
static void
list_options(struct option *list, enum command command,
    struct option_names names[SPEC_COUNT])
{
	int count = 0;

	for (int i = 0; i < SPEC_COUNT; i++) {
		const struct option_spec *spec = &specs[i];

		if (!(spec->commands & command))
			continue;
		option_name(spec, "", names[i].plain);
		list[count++] = (struct option){names[i].plain,
		    spec->kind == SWITCH ? no_argument : required_argument,
		    NULL, CODE_SPECS + 2 * i};
		if (spec->kind != SWITCH)
			continue;
		option_name(spec, "no-", names[i].negated);
		list[count++] = (struct option){names[i].negated, no_argument,
		    NULL, CODE_SPECS + 2 * i + 1};
	}
	list[count++] = (struct option){"help", no_argument, NULL, CODE_HELP};
	list[count] = (struct option){0};
}

/* Print an error about one word of the command line, and where to find help. */
static int
refuse(const char *format, const char *word, const char *command)
{
	fputs(PROGRAM_NAME ": ", stderr);
	fprintf(stderr, format, word);
	fprintf(stderr, "; see " PROGRAM_NAME " %s --help\n", command);
	return -EINVAL;
}

int
options_parse(
    struct options *options, enum command command, int argc, char *const argv[])
{
	struct option list[2 * SPEC_COUNT + 2];
	struct option_names names[SPEC_COUNT];
	int error = options_from_environment(options, command);
	int val;

	if (error)
		return error;
	list_options(list, command, names);
	opterr = 0;
	optind = 0; /* glibc: restart, independent of earlier calls */
	for (;;) {
		int word = optind ? optind : 1; /* "+" keeps the order */
		const struct option_spec *spec;
		char given_by[NAME_SIZE];

		val = getopt_long(argc, argv, "+:h", list, NULL);
		if (val == -1)
			break;
		if (val == 'h' || val == CODE_HELP) {
			print_help(command, argv[0]);
			return 1;
		}
		if (val == '?' || val == ':')
			return refuse(val == ':' ? "%s needs a value"
						 : "unknown option '%s'",
			    argv[word], argv[0]);
		spec = &specs[(val - CODE_SPECS) / 2];
		option_name(spec, "--", given_by);
		if (spec->kind == SWITCH)
			optarg = (val - CODE_SPECS) % 2 ? "false" : "true";
		error = set(options, spec, optarg, given_by);
		if (error)
			return error;
	}
	if (optind < argc)
		return refuse("'%s' is not an option", argv[optind], argv[0]);
	return 0;
}
