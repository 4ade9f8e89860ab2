/*
 * Where requests are light, one worker has all connections of one process of
 * nginx: what that has to do at once is then for one to do at once, on the same
 * CPU. It saves half of the switches between the two, and a sixth of all CPU
 * time (docs/architecture.md). Where requests are slow, all have as many.
 */
#include "worker/affinity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* About what nginx and a worker together take for a small request. */
static const int64_t LIGHT_NS = 20000;

/* Who has been at one request for longer is not given a connection. */
static const int64_t BUSY_NS = 1000000;

/* Every how many answers to look again, where requests are light or slow. */
enum { EVERY = 1024, EVERY_SLOW = 16 };

static bool
is_light(const struct affinity *affinity)
{
	return affinity->slow_ns <= LIGHT_NS;
}

/* One step down for each that took less, nine up for each that took more, come
 * to rest where one in ten takes more. */
void
affinity_note(struct affinity *affinity, int64_t duration_ns)
{
	int64_t step = affinity->slow_ns / 64 + 1;

	affinity->slow_ns += duration_ns > affinity->slow_ns ? 9 * step : -step;
}

bool
affinity_is_due(const struct affinity *affinity, unsigned answered)
{
	return affinity->worker_count > 0 &&
	       answered % (is_light(affinity) ? EVERY : EVERY_SLOW) ==
		   AFFINITY_FIRST;
}

/* Whether a worker would serve one more connection, and at once. */
static bool
is_available(const struct affinity *affinity, unsigned slot)
{
	const struct scoreboard_entry *state =
	    scoreboard_entry(&affinity->counters->scoreboard, slot);
	int64_t started = state->request_started;

	return scoreboard_is_serving(state) &&
	       (size_t)state->connections < affinity->connections_max &&
	       !(started && clock_now() - started > BUSY_NS);
}

/*
 * Whether a worker still lives. The master may be stopped or busy and not have
 * reaped it yet. This takes three system calls, so only the chosen worker is
 * checked. It takes no lock and no memory, as a signal handler requires.
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
	    (int)scoreboard_entry(&affinity->counters->scoreboard, slot)->pid);
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

/* The worker, or this one where that is dead. */
static unsigned
if_alive(const struct affinity *affinity, unsigned slot)
{
	return slot == affinity->slot || is_alive(affinity, slot)
		   ? slot
		   : affinity->slot;
}

static int64_t
connections_of(const struct affinity *affinity, unsigned slot)
{
	return scoreboard_entry(&affinity->counters->scoreboard, slot)
	    ->connections;
}

/* Who has the fewest, of those with so many at most; itself, where none has. */
static unsigned
find_least_connected(const struct affinity *affinity, int64_t most)
{
	unsigned found = affinity->slot;

	for (unsigned i = 0; i < affinity->worker_count; i++) {
		unsigned slot = SLOT_WORKER + i;
		int64_t connections = connections_of(affinity, slot);

		if (slot != affinity->slot && connections <= most &&
		    is_available(affinity, slot)) {
			most = connections - 1;
			found = slot;
		}
	}
	return if_alive(affinity, found);
}

unsigned
affinity_find(const struct affinity *affinity, pid_t nginx)
{
	unsigned slot;

	if (!is_light(affinity) || nginx == 0) {
		int64_t own = connections_of(affinity, affinity->slot);

		/* Those who have about as many keep theirs. */
		return find_least_connected(affinity, own - 2 - own / 8);
	}
	/* Its processes start one after another, so their pids do so too. */
	slot = SLOT_WORKER + (unsigned)nginx % affinity->worker_count;
	return slot != affinity->slot && is_available(affinity, slot)
		   ? if_alive(affinity, slot)
		   : affinity->slot;
}

unsigned
affinity_find_other(const struct affinity *affinity)
{
	return find_least_connected(affinity, INT64_MAX);
}
