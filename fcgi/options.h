#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>

/* The commands, one bit each: an option can belong to several. */
enum command {
	COMMAND_SERVE = 1,
	COMMAND_METRICS = 2,
	COMMAND_LOAD = 4,
};

/* The values of all options. Strings point into argv and the environment. */
struct options {
	const char *socket;
	const char *metrics_socket;
	const char *metrics_file;
	long workers; /* nonblocking; 0: the CPUs allowed, at least 2 */
	long blocking_workers;  /* 0: four for each CPU allowed, at least 8 */
	long max_requests;      /* of a worker; 0: no limit */
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
	long threads; /* 0: as many as the CPU load needs */
	bool quiet;
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
