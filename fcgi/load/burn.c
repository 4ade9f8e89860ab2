/*
 * Burning: one thread per CPU with a duty cycle, and a list of memory chunks.
 *
 * Each thread compensates for CPU time that it did not get, measured by its own
 * CPU clock, so a load of 0.9 stays 0.9 while other processes compete for the
 * CPU. A load over the limit needs no compensation: each thread asks for its
 * share in every slice, and the kernel throttles what exceeds the limit.
 */
#include "load/burn.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "metrics/collectors/cgroup.h"

static const int64_t SLICE_NS = 10000000;
/* The most missed CPU time that a thread up to the limit compensates for. */
static const int64_t DEBT_MAX_NS = 500000000;

enum { CHUNK = 1 << 20, THREADS_MAX = 256 };

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
	double share;     /* of one CPU to ask for, 0 to 1 */
	double floor;     /* of one CPU to get for certain, up to the limit */
	int64_t debt_max; /* missed CPU time to compensate for, in ns */
	int64_t end;      /* CLOCK_MONOTONIC ns */
};

/* Spin until the thread's CPU clock or the monotonic clock is at its limit. */
static void
spin(int64_t cpu_until, int64_t until)
{
	volatile unsigned sink = 0; /* volatile: keep the loop */

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

		/* A load over the limit may use more than its floor. */
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
	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	burner->share = fmin(load->cpu_cores / threads, 1);
	burner->floor = fmin(load->cpu_floor / threads, 1);
	/* Over the limit, more compensation would only saturate a core. */
	burner->debt_max = load->cpu_floor < load->cpu_cores
			       ? (int64_t)(burner->floor * (double)SLICE_NS)
			       : DEBT_MAX_NS;
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, burn_cpu, burner) != 0)
			return -EAGAIN;
	return 0;
}

/* Memory that was written to, because the kernel allocates pages on write. */
struct hoard {
	void **chunks;
	size_t count;
	size_t capacity;
};

static int
hoard_grow(struct hoard *hoard)
{
	void *chunk;

	if (hoard->count == hoard->capacity) {
		size_t capacity = hoard->capacity ? 2 * hoard->capacity : 256;
		void **chunks =
		    realloc(hoard->chunks, capacity * sizeof(*chunks));

		if (!chunks)
			return -ENOMEM;
		hoard->chunks = chunks;
		hoard->capacity = capacity;
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

/*
 * Allocate or free chunks until the cgroup uses the target. Call it repeatedly:
 * other processes in the cgroup change their memory, too. Returns 0 or -ENOMEM.
 */
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
			break; /* usage unknown: keep what we have */
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

/* Make the kernel kill this process first when memory runs out (proc(5)). */
static void
raise_oom_score(void)
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
	if (getppid() != parent) /* it died before prctl() */
		_exit(1);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	raise_oom_score();
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
