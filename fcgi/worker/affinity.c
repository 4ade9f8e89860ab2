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
is_light(const struct placement *placement)
{
	return placement->slow_ns <= LIGHT_NS;
}

/* One step down for each that took less, nine up for each that took more, come
 * to rest where one in ten takes more. */
void
placement_note(struct placement *placement, int64_t duration_ns)
{
	int64_t step = placement->slow_ns / 64 + 1;

	placement->slow_ns +=
	    duration_ns > placement->slow_ns ? 9 * step : -step;
}

bool
placement_is_due(const struct placement *placement, unsigned answered)
{
	return placement->worker_count > 0 &&
	       answered % (is_light(placement) ? EVERY : EVERY_SLOW) ==
		   PLACEMENT_FIRST;
}

/* Whether a worker would serve one more connection, and at once. */
static bool
is_available(const struct placement *placement, unsigned slot)
{
	const struct store_state *state = store_state(placement->store, slot);
	int64_t started = state->request_started;

	return store_is_serving(state) &&
	       (size_t)state->connections < placement->connections_max &&
	       !(started && clock_now() - started > BUSY_NS);
}

/*
 * Whether a worker still lives. The master may be stopped or busy and not have
 * reaped it yet. This takes three system calls, so only the chosen worker is
 * checked. It takes no lock and no memory, as a signal handler requires.
 */
static bool
is_alive(const struct placement *placement, unsigned slot)
{
	char text[512];
	char path[32];
	const char *state;
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat",
	    (int)store_state(placement->store, slot)->pid);
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
if_alive(const struct placement *placement, unsigned slot)
{
	return slot == placement->slot || is_alive(placement, slot)
		   ? slot
		   : placement->slot;
}

static int64_t
connections_of(const struct placement *placement, unsigned slot)
{
	return store_state(placement->store, slot)->connections;
}

/* Who has the fewest, of those with so many at most; itself, where none has. */
static unsigned
find_least_connected(const struct placement *placement, int64_t most)
{
	unsigned found = placement->slot;

	for (unsigned i = 0; i < placement->worker_count; i++) {
		unsigned slot = STORE_WORKER + i;
		int64_t connections = connections_of(placement, slot);

		if (slot != placement->slot && connections <= most &&
		    is_available(placement, slot)) {
			most = connections - 1;
			found = slot;
		}
	}
	return if_alive(placement, found);
}

unsigned
placement_find(const struct placement *placement, pid_t nginx)
{
	unsigned slot;

	if (!is_light(placement) || nginx == 0) {
		int64_t own = connections_of(placement, placement->slot);

		/* Those who have about as many keep theirs. */
		return find_least_connected(placement, own - 2 - own / 8);
	}
	/* Its processes start one after another, so their pids do so too. */
	slot = STORE_WORKER + (unsigned)nginx % placement->worker_count;
	return slot != placement->slot && is_available(placement, slot)
		   ? if_alive(placement, slot)
		   : placement->slot;
}

unsigned
placement_find_other(const struct placement *placement)
{
	return find_least_connected(placement, INT64_MAX);
}
