/*
 * The commands. Without arguments, but with a CGI environment, the program
 * answers one request as plain CGI.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "worker/cgi_command.h"
#include "http/request_metrics.h"
#include "load/amount.h"
#include "load/command.h"
#include "base/log.h"
#include "base/program.h"
#include "base/title.h"
#include "metrics/registry.h"
#include "metrics/exposition.h"
#include "metrics/collectors/listen_backlog.h"
#include "metrics/counters_guard.h"
#include "options.h"
#include "http/nginx_headers.h"
#include "http/nginx_locations.h"
#include "master/pool.h"
#include "master/supervisor.h"
#include "base/version.h"

static int
run_serve(int argc, char **argv)
{
	struct registry *registry;
	struct options options;
	int parsed = options_parse(&options, COMMAND_SERVE, argc, argv);
	int status;

	if (parsed != 0)
		return parsed < 0 ? 2 : 0;
	log_configure((enum log_level)options.log_level,
	    (enum log_format)options.log_format);
	registry = request_metrics_registry();
	/* The command line of the program begins one before its command's. */
	status = registry ? supervisor_run(&options, registry, argv - 1) : 1;
	registry_free(registry);
	return status;
}

static int
run_metrics(int argc, char **argv)
{
	struct registry *registry;
	struct exposition_source source = {.backlog_fd = -1, .root = ""};
	struct options options;
	struct counters counters;
	size_t size;
	char *text;
	int parsed = options_parse(&options, COMMAND_METRICS, argc, argv);

	if (parsed != 0)
		return parsed < 0 ? 2 : 0;
	log_configure(LOG_INFO, LOG_TEXT);
	registry = request_metrics_registry();
	counters_guard_exit_on_truncation();
	if (!registry || counters_read(&counters, options.metrics_file,
			     registry, &source.alive) < 0) {
		registry_free(registry);
		return 1;
	}
	source.counters = &counters;
	source.backlog_fd = listen_backlog_open();
	text = exposition_render(
	    &source, (enum exposition_format)options.format, &size);
	if (!text || fwrite(text, 1, size, stdout) != size ||
	    fflush(stdout) != 0) {
		perror(PROGRAM_NAME ": cannot print the metrics");
		return 1;
	}
	free(text);
	counters_close(&counters);
	registry_free(registry);
	return 0;
}

/*
 * For scripts/nginx-conf, which knows the options of serve from the
 * environment. Returns 0, or -1 after it has said what is wrong.
 */
static int
parse_nginx_arguments(int argc, char **argv, struct options *options)
{
	if (argc > 1) {
		fprintf(stderr,
		    PROGRAM_NAME ": %s takes no '%s', only the "
				 "environment variables of serve\n",
		    argv[0], argv[1]);
		return -1;
	}
	return options_from_environment(options, COMMAND_SERVE) < 0 ? -1 : 0;
}

static int
run_nginx_locations(int argc, char **argv)
{
	struct options options;

	if (parse_nginx_arguments(argc, argv, &options) < 0)
		return 2;
	nginx_locations_print(stdout, pool_blocking_count(&options));
	return fflush(stdout) == 0 ? 0 : 1;
}

static int
run_nginx_headers(int argc, char **argv)
{
	struct options options;

	if (parse_nginx_arguments(argc, argv, &options) < 0)
		return 2;
	nginx_headers_print(stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int
run_nginx_bodies(int argc, char **argv)
{
	struct options options;

	if (parse_nginx_arguments(argc, argv, &options) < 0)
		return 2;
	nginx_bodies_print(stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int
run_load(int argc, char **argv)
{
	struct options options;
	struct cgroup cgroup;
	struct load load = {0};
	char problem[200];
	int error = 0;
	int parsed = options_parse(&options, COMMAND_LOAD, argc, argv);

	if (parsed != 0)
		return parsed < 0 ? 2 : 0;
	if (!options.cpu && !options.memory) {
		fputs(PROGRAM_NAME
		    ": give --cpu or --memory, or both; see " PROGRAM_NAME
		    " load --help\n",
		    stderr);
		return 2;
	}
	cgroup_read("", &cgroup);
	if (options.cpu)
		error = load_amount_cpu(
		    &load, options.cpu, &cgroup, problem, sizeof(problem));
	if (!error && options.memory)
		error = load_amount_memory(
		    &load, options.memory, &cgroup, problem, sizeof(problem));
	if (error) {
		fprintf(stderr, PROGRAM_NAME ": %s\n", problem);
		return error == -EINVAL ? 2 : 1;
	}
	load.seconds = options.seconds;
	load.threads = (unsigned)options.threads;
	return load_command(&load, options.quiet);
}

static const struct {
	const char *name;
	const char *summary;
	int (*run)(int, char **);
} commands[] = {
    {"serve", "run the pool that nginx talks to", run_serve},
    {"metrics", "print the metrics from the counter file", run_metrics},
    {"load", "raise CPU or memory load for a time", run_load},
    {"nginx-locations", "print the part of nginx.conf that routes need",
	run_nginx_locations},
    {"nginx-headers", "print the part of nginx.conf that passes headers",
	run_nginx_headers},
    {"nginx-bodies", "print the part of nginx.conf that limits bodies",
	run_nginx_bodies},
};

static void
print_help(void)
{
	puts("Usage: " PROGRAM_NAME " COMMAND [OPTION]...\n"
	     "A web service behind nginx that counts, drains and recovers.\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %-16s %s\n", commands[i].name, commands[i].summary);
	puts("\n  --help     print this; " PROGRAM_NAME
	     " COMMAND --help says more\n"
	     "  --version  print the version\n\n"
	     "Example: " PROGRAM_NAME " load --cpu 0.9 --seconds 30\n"
	     "Without a command, in a CGI environment: answer one request.");
}

int
main(int argc, char **argv)
{
	const char *command;

	title_init(argc, argv);
	command = argc > 1 ? argv[1] : "--help";
	/* By default json-c prints 0.3 as 0.29999999999999999. */
	json_c_set_serialization_double_format("%.15g", JSON_C_OPTION_GLOBAL);
	if (argc == 1 && getenv("GATEWAY_INTERFACE"))
		return cgi_command();
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(command, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (strcmp(command, "--version") == 0) {
		printf(PROGRAM_NAME " %s\n", version_number);
		return 0;
	}
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
		print_help();
		return argc > 1 ? 0 : 2;
	}
	fprintf(stderr,
	    PROGRAM_NAME
	    ": '%s' is not a command; it takes serve, metrics, load, "
	    "nginx-locations, nginx-headers or nginx-bodies (see " PROGRAM_NAME
	    " --help)\n",
	    command);
	return 2;
}
