#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>

#include "base/log.h"

/* One bit a command, to say which options it takes. */
enum command {
	COMMAND_SERVE = 1,
	COMMAND_METRICS = 2,
	COMMAND_LOAD = 4,
};

/* What the user asked for. Strings live as long as argv and the environment. */
struct options {
	const char *socket;
	const char *metrics_socket;
	const char *metrics_file;
	long workers; /* nonblocking; 0: the CPUs allowed, at least 2 */
	long blocking_workers;  /* 0: four for each CPU allowed, at least 8 */
	long max_requests;      /* 0: no end */
	double request_timeout; /* seconds */
	double drain_timeout;   /* seconds */
	bool exercise;
	double max_load_seconds;
	long log_level;  /* enum log_level */
	long log_format; /* enum log_format */

	long format; /* enum exposition_format */

	const char *cpu;    /* NULL: none */
	const char *memory; /* NULL: none */
	double seconds;
	long threads; /* 0: as many as the load takes */
	bool quiet;
};

/*
 * Fill in options for a command from the defaults, the environment and argv,
 * each beating the one before. argv[0] is the command's name. Returns 0; 1
 * where help was asked for and printed; -EINVAL after one line on stderr that
 * names what is wrong and what it takes.
 */
int options_parse(struct options *options, enum command command, int argc,
    char *const argv[]);

/* From the defaults and the environment alone. Returns as options_parse. */
int options_from_environment(struct options *options, enum command command);

#endif
