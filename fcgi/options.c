/*
 * One table of all options. It defines the parser, the help and the environment
 * variables. Tests compare the manual and the README with the help.
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

enum kind { TEXT, WHOLE, NUMBER, SWITCH, CHOICE };

struct option_spec {
	const char *name;
	unsigned commands;
	enum kind kind;
	size_t offset;
	const char *fallback; /* the default; NULL: zero */
	double min;
	double max;
	const char *const *choices; /* ends with NULL; the value is the index */
	const char *argument;       /* name of the value in the help */
	const char *help;
};

static const char *const log_levels[] = {
    "debug", "info", "warning", "error", NULL};
static const char *const log_formats[] = {"json", "text", NULL};
static const char *const formats[] = {"text", "openmetrics", NULL};

#define FIELD(name) offsetof(struct options, name)

static const struct option_spec specs[] = {
    {"socket", COMMAND_SERVE, TEXT, FIELD(socket), "/run/fcgi-webapp/app.sock",
	0, 0, NULL, "PATH", "socket for requests"},
    {"metrics-socket", COMMAND_SERVE, TEXT, FIELD(metrics_socket),
	"/run/fcgi-webapp/metrics.sock", 0, 0, NULL, "PATH",
	"socket for scrapes"},
    {"metrics-file", COMMAND_SERVE | COMMAND_METRICS, TEXT, FIELD(metrics_file),
	"/var/lib/fcgi-webapp/counters", 0, 0, NULL, "PATH",
	"the counter file"},
    {"workers", COMMAND_SERVE, WHOLE, FIELD(workers), "0", 0, 256, NULL,
	"COUNT", "nonblocking workers; 0: one a CPU, at least 2"},
    {"blocking-workers", COMMAND_SERVE, WHOLE, FIELD(blocking_workers), "0", 0,
	512, NULL, "COUNT", "blocking workers; 0: four a CPU, at least 8"},
    {"max-requests", COMMAND_SERVE, WHOLE, FIELD(max_requests), "0", 0,
	1000000000, NULL, "COUNT",
	"recycle a worker after this many requests; 0: never"},
    {"request-timeout", COMMAND_SERVE, NUMBER, FIELD(request_timeout), "10",
	0.1, 3600, NULL, "SECONDS", "kill a worker whose request takes longer"},
    {"drain-timeout", COMMAND_SERVE, NUMBER, FIELD(drain_timeout), "30", 0.1,
	3600, NULL, "SECONDS", "maximum drain time"},
    {"exercise", COMMAND_SERVE, SWITCH, FIELD(exercise), "true", 0, 0, NULL,
	NULL, "the fault injection routes"},
    {"max-load-seconds", COMMAND_SERVE, NUMBER, FIELD(max_load_seconds), "600",
	1, 86400, NULL, "SECONDS", "the longest load that /riseload accepts"},
    {"log-level", COMMAND_SERVE, CHOICE, FIELD(log_level), "info", 0, 0,
	log_levels, "LEVEL", "debug, info, warning or error"},
    {"log-format", COMMAND_SERVE, CHOICE, FIELD(log_format), "json", 0, 0,
	log_formats, "FORMAT", "json or text"},
    {"format", COMMAND_METRICS, CHOICE, FIELD(format), "text", 0, 0, formats,
	"FORMAT", "text (0.0.4) or openmetrics (1.0)"},
    {"cpu", COMMAND_LOAD, TEXT, FIELD(cpu), NULL, 0, 0, NULL, "AMOUNT",
	"CPU: 1.5 or 150% of the limit, or 0.5cores"},
    {"memory", COMMAND_LOAD, TEXT, FIELD(memory), NULL, 0, 0, NULL, "AMOUNT",
	"memory: 0.95 or 95% of the limit, or 64M more"},
    {"seconds", COMMAND_LOAD, NUMBER, FIELD(seconds), "60", 0.1, 86400, NULL,
	"SECONDS", "duration"},
    {"threads", COMMAND_LOAD, WHOLE, FIELD(threads), "0", 0, 256, NULL, "COUNT",
	"threads of the CPU load; 0: as many as it needs"},
    {"quiet", COMMAND_LOAD, SWITCH, FIELD(quiet), "false", 0, 0, NULL, NULL,
	"print errors only"},
};

enum { SPEC_COUNT = sizeof(specs) / sizeof(specs[0]) };

/* Codes for getopt_long(), above the characters that it returns ('?', ':'). */
enum { CODE_HELP = 256, CODE_SPECS };

static const struct {
	enum command command;
	const char *summary;
	const char *example;
} commands[] = {
    {COMMAND_SERVE, "Run the pool that nginx talks to.",
	"fcgi-webapp serve --socket ./a --metrics-socket ./m --metrics-file "
	"./c"},
    {COMMAND_METRICS,
	"Print the metrics from the counter file, even without a running pool.",
	"fcgi-webapp metrics --metrics-file ./counters --format openmetrics"},
    {COMMAND_LOAD, "Raise CPU or memory load for a time, in its own process.",
	"fcgi-webapp load --cpu 1.5 --seconds 180"},
};

/* Print an error. given_by is the option or environment variable. */
static int
complain(
    const char *given_by, const char *value, const struct option_spec *spec)
{
	fprintf(stderr, "fcgi-webapp: %s takes ", given_by);
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

/* The variable of request-timeout is FCGI_WEBAPP_REQUEST_TIMEOUT. */
static void
variable_name(const struct option_spec *spec, char *name, size_t size)
{
	snprintf(name, size, "FCGI_WEBAPP_%s", spec->name);
	for (char *c = name; *c; c++)
		*c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

int
options_from_environment(struct options *options, enum command command)
{
	memset(options, 0, sizeof(*options));
	for (int i = 0; i < SPEC_COUNT; i++) {
		char name[64];
		const char *value;
		int error = 0;

		if (!(specs[i].commands & command))
			continue;
		variable_name(&specs[i], name, sizeof(name));
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
	char left[64];

	snprintf(left, sizeof(left), "--%s%s%s%s",
	    spec->kind == SWITCH ? "[no-]" : "", spec->name,
	    spec->argument ? " " : "", spec->argument ? spec->argument : "");
	printf("  %-26s %s", left, spec->help);
	if (spec->fallback && spec->kind != SWITCH &&
	    strcmp(spec->fallback, "0") != 0)
		printf(" [%s]", spec->fallback);
	else if (spec->kind == SWITCH && spec->fallback &&
		 strcmp(spec->fallback, "true") == 0)
		printf(" [on]");
	putchar('\n');
}

static void
print_help(enum command command, const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].command == command)
			printf("Usage: fcgi-webapp %s [OPTION]...\n%s\n\n"
			       "Example: %s\n\n",
			    name, commands[i].summary, commands[i].example);
	for (int i = 0; i < SPEC_COUNT; i++)
		if (specs[i].commands & command)
			print_option(&specs[i]);
	printf("  %-26s %s\n\n", "--help", "print this and exit");
	puts("Every option is also an environment variable: --log-level is\n"
	     "FCGI_WEBAPP_LOG_LEVEL, --no-exercise FCGI_WEBAPP_EXERCISE=false. "
	     "An option\noverrides the environment.");
}

/*
 * Make the list of a command's options for getopt_long(). val is CODE_SPECS + 2
 * x index, plus 1 for the no- form of a switch.
 */
static void
list_options(
    struct option *list, enum command command, char negated[SPEC_COUNT][64])
{
	int count = 0;

	for (int i = 0; i < SPEC_COUNT; i++) {
		const struct option_spec *spec = &specs[i];

		if (!(spec->commands & command))
			continue;
		list[count++] = (struct option){spec->name,
		    spec->kind == SWITCH ? no_argument : required_argument,
		    NULL, CODE_SPECS + 2 * i};
		if (spec->kind != SWITCH)
			continue;
		snprintf(negated[i], sizeof(negated[i]), "no-%s", spec->name);
		list[count++] = (struct option){
		    negated[i], no_argument, NULL, CODE_SPECS + 2 * i + 1};
	}
	list[count++] = (struct option){"help", no_argument, NULL, CODE_HELP};
	list[count] = (struct option){0};
}

/* Print an error about one word of the command line, and where to find help. */
static int
refuse(const char *format, const char *word, const char *command)
{
	fputs("fcgi-webapp: ", stderr);
	fprintf(stderr, format, word);
	fprintf(stderr, "; see fcgi-webapp %s --help\n", command);
	return -EINVAL;
}

int
options_parse(
    struct options *options, enum command command, int argc, char *const argv[])
{
	struct option list[2 * SPEC_COUNT + 2];
	char negated[SPEC_COUNT][64];
	int error = options_from_environment(options, command);
	int val;

	if (error)
		return error;
	list_options(list, command, negated);
	opterr = 0;
	optind = 0; /* glibc: restart, independent of earlier calls */
	for (;;) {
		int word = optind ? optind : 1; /* "+" keeps the order */
		const struct option_spec *spec;
		char given_by[80];

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
		snprintf(given_by, sizeof(given_by), "--%s", spec->name);
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
