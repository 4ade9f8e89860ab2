/*
 * One worker owns all connections of one process of nginx. What that process
 * asks at once, one worker then answers at once, on the same CPU. It saves half
 * of the context switches between the two, and a sixth of all CPU time
 * (docs/architecture.md).
 */
#include "worker/affinity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* A worker that has been on one request for longer is passed no connection. */
static const int64_t BUSY_NS = 1000000;

/* Every how many answers to look at a connection again. */
enum { EVERY = 1024 };

bool
affinity_is_due(const struct affinity *affinity, unsigned answered)
{
	return affinity->worker_count > 0 && answered % EVERY == AFFINITY_FIRST;
}

/* Whether a worker would serve one more connection, and at once. */
static bool
is_available(const struct affinity *affinity, unsigned slot)
{
	const struct scoreboard_entry *entry =
	    scoreboard_entry(affinity->scoreboard, slot);
	int64_t started = entry->request_started;

	return scoreboard_is_serving(entry) &&
	       (size_t)entry->connections < affinity->connections_max &&
	       !(started && clock_now() - started > BUSY_NS);
}

/*
 * Whether a worker still lives. The master may be stopped or busy and not have
 * reaped it yet. This takes three system calls, so only the chosen worker is
 * checked.
 */
static bool
is_alive(const struct affinity *affinity, unsigned slot)
{
	char text[512];
	char path[32];
	const char *state;
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat",
	    (int)scoreboard_entry(affinity->scoreboard, slot)->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size <= 0)
		return false; /* ESRCH: it is just going */
	text[size] = '\0';
	state = strrchr(text, ')'); /* the name may hold anything */
	return state && state[1] && !strchr("ZXx", state[2]);
}

unsigned
affinity_find(const struct affinity *affinity, pid_t nginx)
{
	unsigned slot;

	if (nginx == 0)
		return affinity->slot;
	/* nginx starts its processes one after another, so their pids follow
	 * each other and each gets a worker of its own. */
	slot = SLOT_WORKER + (unsigned)nginx % affinity->worker_count;
	return slot != affinity->slot && is_available(affinity, slot) &&
		       is_alive(affinity, slot)
		   ? slot
		   : affinity->slot;
}
