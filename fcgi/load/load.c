/*
 * Load on purpose. A child process burns: threads with a duty cycle for the
 * CPU, one chunk list for memory. The parent watches the cgroup and tells.
 *
 * Each thread makes up for what it missed, by its own CPU clock, so that 0.9 is
 * 0.9 whatever else runs. Beyond the limit there is nothing to make up: each
 * slice asks for its share, and the kernel throttles what is over.
 */
#include "load/load.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"

static const int64_t SLICE_NS = 10000000;
/* What a thread up to the limit may have to make up for. */
static const int64_t DEBT_MAX_NS = 500000000;

enum { CHUNK = 1 << 20 };

/* --- amounts ----------------------------------------------------------- */

static int
refuse(char *problem, size_t size, const char *sentence)
{
	snprintf(problem, size, "%s", sentence);
	return -EINVAL;
}

/* The amount is a share of a limit that could not be read. */
static int
refuse_unread(char *problem, size_t size, const char *limit, int error)
{
	snprintf(problem, size, "The %s limit cannot be read: %s.", limit,
	    strerror(-error));
	return error;
}

/* The number before a suffix, which *suffix points to. */
static int
split_number(const char *text, double *number, const char **suffix)
{
	char digits[33];
	size_t length = strspn(text, "0123456789.");

	if (length == 0 || length >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, length);
	digits[length] = '\0';
	*suffix = text + length;
	return number_parse(digits, number);
}

int
load_parse_cpu(struct load *load, const char *text, const struct cgroup *cgroup,
    char *problem, size_t size)
{
	const char *suffix;
	double number;
	double fraction;

	if (split_number(text, &number, &suffix) < 0)
		suffix = "?";
	else if (number > 0 && cgroup->cpu_error)
		return refuse_unread(problem, size, "CPU", cgroup->cpu_error);
	if (*suffix == '\0')
		fraction = number;
	else if (strcmp(suffix, "%") == 0)
		fraction = number / 100;
	else if (strcmp(suffix, "cores") == 0 || strcmp(suffix, "core") == 0)
		fraction = number / cgroup->cpu_limit_cores;
	else
		return refuse(problem, size,
		    "The CPU load must be a fraction of the limit such as 1.5 "
		    "or 150%, or cores such as 0.5cores.");
	if (fraction > LOAD_FRACTION_MAX)
		return refuse(problem, size,
		    "The CPU load must be at most 10 times the limit.");
	load->cpu_cores = fraction * cgroup->cpu_limit_cores;
	load->cpu_floor = fmin(fraction, 1) * cgroup->cpu_limit_cores;
	return 0;
}

/*
 * The bytes of a size with a unit. A double, so that more than 64 bits hold is
 * still more than the limit.
 */
static int
parse_size(const char *unit, double number, double *bytes)
{
	static const char units[] = "KMGT";
	const char *prefix = *unit ? strchr(units, *unit) : NULL;

	if (!prefix || (unit[1] && strcmp(unit + 1, "iB") != 0 &&
			   strcmp(unit + 1, "i") != 0))
		return -EINVAL;
	*bytes = number * pow(1024, (double)(prefix - units + 1));
	return 0;
}

static int
set_memory_target(struct load *load, double percent,
    const struct cgroup *cgroup, char *problem, size_t size)
{
	if (percent > LOAD_MEMORY_PERCENT_MAX)
		return refuse(problem, size,
		    "The memory must be at most 150% of the limit.");
	if (!cgroup->memory_limited && percent > 90)
		return refuse(problem, size,
		    "Without a memory limit at most 90% of the machine's "
		    "memory can be asked for.");
	load->memory_target =
	    (uint64_t)((double)cgroup->memory_limit_bytes * percent / 100);
	return 0;
}

static int
set_memory_bytes(struct load *load, double bytes, const struct cgroup *cgroup,
    char *problem, size_t size)
{
	int percent = cgroup->memory_limited ? LOAD_MEMORY_PERCENT_MAX : 90;

	if (bytes > (double)cgroup->memory_limit_bytes * percent / 100)
		return refuse(problem, size,
		    "The memory must be at most 150% of the limit, or 90% of "
		    "the machine's memory where there is no limit.");
	load->memory_bytes = (uint64_t)bytes;
	return 0;
}

int
load_parse_memory(struct load *load, const char *text,
    const struct cgroup *cgroup, char *problem, size_t size)
{
	const char *suffix;
	double number = 0;
	double bytes = 0;
	bool is_share;

	if (split_number(text, &number, &suffix) < 0)
		suffix = "?";
	is_share = *suffix == '\0' || strcmp(suffix, "%") == 0;
	if (*suffix == '\0') {
		number *= 100;
		if (number > LOAD_MEMORY_PERCENT_MAX)
			return refuse(problem, size,
			    "A memory value without a unit is a fraction of "
			    "the limit, at most 1.5: write 64M or 64MiB for a "
			    "size.");
	} else if (!is_share && parse_size(suffix, number, &bytes) < 0) {
		return refuse(problem, size,
		    "The memory must be a fraction of the limit such as 0.95 "
		    "or 95%, or a size such as 64M.");
	}
	if (number > 0 && cgroup->memory_error)
		return refuse_unread(
		    problem, size, "memory", cgroup->memory_error);
	/* Kubernetes 1.28 and newer: no process is picked, all are killed. */
	if (number > 0 && cgroup->memory_limited && cgroup->memory_oom_group &&
	    !(is_share && number <= LOAD_MEMORY_GROUP_PERCENT))
		return refuse(problem, size,
		    "At its memory limit this container is killed as a whole "
		    "(memory.oom.group): ask for 0.97 or 97% at most.");
	return is_share ? set_memory_target(load, number, cgroup, problem, size)
			: set_memory_bytes(load, bytes, cgroup, problem, size);
}

/* --- burning ----------------------------------------------------------- */

static void
sleep_until(int64_t when)
{
	struct timespec at = {
	    when / CLOCK_NS_PER_SECOND, when % CLOCK_NS_PER_SECOND};

	while (
	    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

struct burner {
	double share;     /* of one CPU, to ask for: 0 to 1 */
	double floor;     /* of one CPU, to really get: up to the limit */
	int64_t debt_max; /* what a thread may have to make up for */
	int64_t end;
};

/* Use up the thread's CPU clock until it shows this, or the slice's end. */
static void
spin(int64_t cpu_until, int64_t until)
{
	volatile unsigned sink = 0; /* volatile: the work is not left out */

	while (clock_read(CLOCK_THREAD_CPUTIME_ID) < cpu_until &&
	       clock_now() < until)
		while (++sink % 2000 != 0)
			;
}

static void *
burn_cpu(void *argument)
{
	const struct burner *burner = argument;
	double slice = (double)SLICE_NS;
	int64_t want = (int64_t)(burner->share * slice);
	int64_t until = clock_now();
	int64_t began = until;
	int64_t used = 0;
	int64_t given_up = 0;

	while (until < burner->end) {
		int64_t now = clock_now();
		int64_t owed =
		    (int64_t)(burner->floor * (double)(now - began)) - used -
		    given_up;

		/* Beyond the limit more is asked for than the floor, always. */
		if (owed < 0 && burner->floor < burner->share) {
			given_up += owed;
			owed = 0;
		}
		if (owed > burner->debt_max) {
			given_up += owed - burner->debt_max;
			owed = burner->debt_max;
		}
		until = now + SLICE_NS;
		spin(used + want + owed, until);
		if (clock_now() < until)
			sleep_until(until);
		used = clock_read(CLOCK_THREAD_CPUTIME_ID);
	}
	return NULL;
}

static int
start_cpu(const struct load *load, struct burner *burner)
{
	unsigned threads = load->threads;
	pthread_t thread;

	if (threads == 0)
		threads = (unsigned)ceil(load->cpu_cores - 1e-9);
	if (threads > 256)
		threads = 256;
	burner->share = fmin(load->cpu_cores / threads, 1);
	burner->floor = fmin(load->cpu_floor / threads, 1);
	/* Over the limit, making up for more would only saturate a core. */
	burner->debt_max = load->cpu_floor < load->cpu_cores
			       ? (int64_t)(burner->floor * (double)SLICE_NS)
			       : DEBT_MAX_NS;
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, burn_cpu, burner) != 0)
			return -EAGAIN;
	return 0;
}

/* Touched pages, chunk by chunk, so that the kernel really hands them out. */
struct hoard {
	void **chunks;
	size_t count;
	size_t room;
};

static int
hoard_grow(struct hoard *hoard)
{
	void *chunk;

	if (hoard->count == hoard->room) {
		size_t room = hoard->room ? 2 * hoard->room : 256;
		void **chunks = realloc(hoard->chunks, room * sizeof(*chunks));

		if (!chunks)
			return -ENOMEM;
		hoard->chunks = chunks;
		hoard->room = room;
	}
	chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (chunk == MAP_FAILED)
		return -ENOMEM;
	memset(chunk, 0x5a, CHUNK);
	hoard->chunks[hoard->count++] = chunk;
	return 0;
}

static void
hoard_shrink(struct hoard *hoard)
{
	munmap(hoard->chunks[--hoard->count], CHUNK);
}

/* Take or give back until the target is met; to be repeated as others move. */
static int
hold_memory(const struct load *load, struct hoard *hoard)
{
	struct cgroup cgroup;
	int error = 0;

	while (!error && hoard->count < load->memory_bytes / CHUNK)
		error = hoard_grow(hoard);
	while (!error && load->memory_target > 0) {
		cgroup_read("", &cgroup);
		if (cgroup.memory_error)
			break; /* not known: neither take nor give back */
		if (cgroup.memory_working_set_bytes + CHUNK <=
		    load->memory_target)
			error = hoard_grow(hoard);
		else if (cgroup.memory_working_set_bytes >
			     load->memory_target + CHUNK &&
			 hoard->count > 0)
			hoard_shrink(hoard);
		else
			break;
	}
	return error;
}

/* Make the kernel pick this process when memory runs out (proc(5)). */
static void
volunteer(void)
{
	FILE *file = fopen("/proc/self/oom_score_adj", "we");

	if (!file)
		return;
	fputs("1000", file);
	fclose(file);
}

_Noreturn void
load_burn(const struct load *load, pid_t parent)
{
	struct burner burner = {
	    .end = clock_now() +
		   (int64_t)(load->seconds * (double)CLOCK_NS_PER_SECOND)};
	struct hoard hoard = {0};
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it died before we asked */
		_exit(1);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	volunteer();
	if (load->cpu_cores > 0 && start_cpu(load, &burner) < 0)
		exit(1);
	while (clock_now() < burner.end) {
		int64_t next = clock_now() + CLOCK_NS_PER_SECOND / 4;

		if (hold_memory(load, &hoard) < 0)
			exit(1);
		sleep_until(next < burner.end ? next : burner.end);
	}
	exit(0);
}

/* --- showing ----------------------------------------------------------- */

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
		printf("  %-10s not known\033[K\n", name);
		return;
	}
	printf("  %-10s %s", name, colours ? colour : "");
	for (int i = 0; i < WIDTH; i++)
		fputs(i < filled ? "█" : "░", stdout);
	printf("%s %5.1f %%\033[K\n", colours ? "\033[0m" : "", fraction * 100);
}

/*
 * What happened between two readings, in fractions of the limits; NAN: not
 * known. How much was wanted beyond the CPU limit, nothing tells.
 */
struct sample {
	double usage;
	double throttled; /* share of the quota's periods */
	double memory;
	double left; /* seconds */
};

/* How much a counter grew by; NAN where it went back: it is another one. */
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

/* Wait for the child, a signal or the time; true when the child has ended. */
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
		printf("limits: CPU not known (%s), ",
		    strerror(-cgroup.cpu_error));
	else
		printf("limits: %g cores%s, ", cgroup.cpu_limit_cores,
		    cgroup.cpu_limited ? "" : " (the machine's)");
	if (cgroup.memory_error)
		printf(
		    "memory not known (%s)\n", strerror(-cgroup.memory_error));
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
		fputs("fcgi-webapp: the kernel killed the load: the memory "
		      "limit was reached. The service was not touched.\n",
		    stderr);
		return 1;
	}
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "fcgi-webapp: the load ended: %s\n",
		    strsignal(WTERMSIG(status)));
		return 1;
	}
	if (WEXITSTATUS(status) != 0)
		fputs("fcgi-webapp: the load could not be raised: out of "
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
	 * The end of a shell ends the load. A parent outside of this PID
	 * namespace, which is 0, is a container's runtime (`kubectl exec`):
	 * that ends as soon as it has started us.
	 */
	if (getppid() != 0)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	child = fork();
	if (child < 0) {
		perror("fcgi-webapp: cannot start the load");
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
