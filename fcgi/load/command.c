/*
 * The load command: a child process burns, this process watches the cgroup and
 * shows what the load does to it.
 */
#include "load/command.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/program.h"
#include "load/burn.h"
#include "metrics/collectors/cgroup.h"

static volatile sig_atomic_t stop_signal;

static void
note_signal(int number)
{
	stop_signal = number;
}

static void
print_bar(const char *name, double fraction, const char *colour, bool colours)
{
	enum { WIDTH = 30 };
	int filled = (int)(fraction * WIDTH + 0.5);

	if (filled > WIDTH)
		filled = WIDTH;
	if (isnan(fraction)) {
		printf("  %-10s unknown\033[K\n", name);
		return;
	}
	printf("  %-10s %s", name, colours ? colour : "");
	for (int i = 0; i < WIDTH; i++)
		fputs(i < filled ? "█" : "░", stdout);
	printf("%s %5.1f %%\033[K\n", colours ? "\033[0m" : "", fraction * 100);
}

/*
 * Usage between two readings of the cgroup, as fractions of the limits. NAN
 * means unknown. The kernel does not tell how much CPU time was wanted beyond
 * the limit.
 */
struct sample {
	double usage;
	double throttled; /* fraction of the quota's periods */
	double memory;
	double left; /* seconds */
};

/* The growth of a counter. NAN if it went back: the cgroup is another one. */
static double
growth(uint64_t before, uint64_t after)
{
	return after >= before ? (double)(after - before) : (double)NAN;
}

static struct sample
compare(const struct cgroup *before, const struct cgroup *after, double elapsed,
    double left)
{
	bool known = !before->cpu_error && !after->cpu_error;
	double had = known ? elapsed * after->cpu_limit_cores : (double)NAN;
	double periods = growth(before->cpu_periods, after->cpu_periods);
	double throttled =
	    growth(before->cpu_throttled_periods, after->cpu_throttled_periods);

	return (struct sample){
	    .usage =
		growth(before->cpu_usage_ns, after->cpu_usage_ns) / 1e9 / had,
	    .throttled = !known         ? (double)NAN
			 : periods <= 0 ? 0
					: throttled / periods,
	    .memory = after->memory_error
			  ? (double)NAN
			  : (double)after->memory_working_set_bytes /
				(double)after->memory_limit_bytes,
	    .left = left > 0 ? left : 0,
	};
}

static void
print_value(const char *name, double fraction)
{
	if (isnan(fraction))
		printf("%s=unknown ", name);
	else
		printf("%s=%.2f ", name, fraction);
}

static void
show(const struct sample *sample, bool terminal, bool colours, bool first)
{
	if (!terminal) {
		print_value("usage", sample->usage);
		print_value("throttled", sample->throttled);
		print_value("memory", sample->memory);
		printf("left=%.0fs\n", sample->left);
		fflush(stdout);
		return;
	}
	if (!first)
		fputs("\033[4A", stdout);
	print_bar("usage", sample->usage, "\033[32m", colours);
	print_bar("throttled", sample->throttled, "\033[31m", colours);
	print_bar("memory", sample->memory, "\033[36m", colours);
	printf("  %.0f s left; Ctrl-C stops it\033[K\n", sample->left);
	fflush(stdout);
}

/* Wait for the child, a signal or the time. True: the child has exited. */
static bool
wait_child(pid_t child, int *status, int64_t until)
{
	while (!stop_signal && clock_now() < until) {
		struct timespec step = {0, 50000000};

		if (waitpid(child, status, WNOHANG) == child)
			return true;
		nanosleep(&step, NULL);
	}
	return false;
}

static void
watch_child(const struct load *load, pid_t child, int *status, bool quiet)
{
	bool terminal = isatty(STDOUT_FILENO) == 1;
	bool colours = terminal && !getenv("NO_COLOR");
	int64_t start = clock_now();
	int64_t last = start;
	bool first = true;
	struct cgroup before;
	struct cgroup after;

	cgroup_read("", &before);
	for (;;) {
		struct sample sample;
		int64_t now;

		if (wait_child(child, status, last + CLOCK_NS_PER_SECOND) ||
		    stop_signal)
			return;
		now = clock_now();
		cgroup_read("", &after);
		sample = compare(&before, &after, (double)(now - last) / 1e9,
		    load->seconds - (double)(now - start) / 1e9);
		if (!quiet)
			show(&sample, terminal, colours, first);
		first = false;
		before = after;
		last = now;
	}
}

static void
print_limits(void)
{
	struct cgroup cgroup;

	cgroup_read("", &cgroup);
	if (cgroup.cpu_error)
		printf(
		    "limits: CPU unknown (%s), ", strerror(-cgroup.cpu_error));
	else
		printf("limits: %g cores%s, ", cgroup.cpu_limit_cores,
		    cgroup.cpu_limited ? "" : " (the machine's)");
	if (cgroup.memory_error)
		printf("memory unknown (%s)\n", strerror(-cgroup.memory_error));
	else
		printf("%.0f MiB%s\n",
		    (double)cgroup.memory_limit_bytes / (1 << 20),
		    cgroup.memory_limited ? "" : " (the machine's)");
	fflush(stdout);
}

static int
explain(int status)
{
	if (stop_signal)
		return 128 + stop_signal;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		fputs(PROGRAM_NAME
		    ": the kernel killed the load: the memory "
		    "limit was reached. The service was not touched.\n",
		    stderr);
		return 1;
	}
	if (WIFSIGNALED(status)) {
		fprintf(stderr, PROGRAM_NAME ": the load ended: %s\n",
		    strsignal(WTERMSIG(status)));
		return 1;
	}
	if (WEXITSTATUS(status) != 0)
		fputs(PROGRAM_NAME ": the load could not be raised: out of "
				   "memory or threads\n",
		    stderr);
	return WEXITSTATUS(status);
}

int
load_command(const struct load *load, bool quiet)
{
	struct sigaction action = {.sa_handler = note_signal};
	int status = 0;
	pid_t parent = getpid();
	pid_t child;

	if (!quiet)
		print_limits();
	/*
	 * The load ends with the shell that started it. A parent pid of 0 is
	 * outside of this PID namespace: the container runtime of `kubectl
	 * exec`, which exits as soon as it has started us.
	 */
	if (getppid() != 0)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	child = fork();
	if (child < 0) {
		perror(PROGRAM_NAME ": cannot start the load");
		return 1;
	}
	if (child == 0)
		load_burn(load, parent);
	watch_child(load, child, &status, quiet);
	if (stop_signal) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
	}
	return explain(status);
}
