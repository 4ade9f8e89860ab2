/*
 * Guards the open counter file; see the header.
 *
 * Whoever finds the file too short, in the SIGBUS handler or in the master's
 * tick, first notes where it was cut and then gives it its size again. The note
 * is one word: a generation and an offset. Taking the note starts the next
 * generation, so that a process that was slow to write its note does not report
 * a truncation twice: it looks at the size again.
 *
 * A store that was under way at the very moment of a truncation may write back
 * the value from before, which is then counted twice. That takes a truncation
 * between two neighbouring instructions.
 */
#include "metrics/counters_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/registry.h"
#include "metrics/counters_place.h"
#include "metrics/counters_snapshot.h"

enum { OFFSET_BITS = 48 };
static const uint64_t NOTHING_CUT = (UINT64_C(1) << OFFSET_BITS) - 1;

/* A file that is still too short after so many is cut again and again. */
enum { MENDS_MAX = 100 };

/*
 * Access fails although the file is whole: another process was faster to mend
 * it, or the disk fails. So often in a minute it is the disk.
 */
enum { RETRIES_MAX = 1000 };
static const int64_t RETRIES_NS = 60000000000;

/* Shared by all processes of the pool; survives the master. */
struct shared {
	_Atomic uint64_t cut; /* generation, offset or NOTHING_CUT */
	_Atomic int restoring;
	struct counters_place place;
	unsigned current;  /* of the snapshots */
	bool is_uncertain; /* the file was cut while it was looked through */
};

static struct {
	const char *path;
	int fd;
	const char *map;
	size_t size;
	struct shared *shared;
	struct counters snapshots[2];
	int64_t due; /* when to look at contents and path */
	int retries;
	int64_t retried_at;
} guard = {.fd = -1};

/* --- in a signal handler -------------------------------------------------- */

static void
say(const char *line)
{
	/* There is nobody to tell when this fails. */
	(void)!write(STDERR_FILENO, line, strlen(line));
}

/* Give the file its size, all of it on disk. Returns 0 or an errno. */
static int
reserve(void)
{
	while (fallocate(guard.fd, 0, 0, (off_t)guard.size) < 0) {
		if (errno == EOPNOTSUPP)
			return ftruncate(guard.fd, (off_t)guard.size) < 0
				   ? errno
				   : 0;
		if (errno != EINTR)
			return errno;
	}
	return 0;
}

/*
 * Where the file is too short, note where it was cut and give it its size.
 * Returns 0 where it was whole, 1 where it is now, or a negative errno.
 */
static int
mend(void)
{
	int mended = 0;

	for (int i = 0; i < MENDS_MAX; i++) {
		uint64_t note = atomic_load(&guard.shared->cut);
		uint64_t cut = note & NOTHING_CUT;
		struct stat status;
		int error;

		if (fstat(guard.fd, &status) < 0)
			return -errno;
		if ((size_t)status.st_size >= guard.size)
			return mended;
		if ((uint64_t)status.st_size < cut)
			cut = (uint64_t)status.st_size;
		if (!atomic_compare_exchange_strong(
			&guard.shared->cut, &note, (note & ~NOTHING_CUT) | cut))
			continue;
		error = reserve();
		if (error)
			return -error;
		mended = 1;
	}
	return -EIO;
}

/* Whether to try the access again on a file that is whole. */
static bool
may_retry(void)
{
	int64_t now = clock_now();

	if (now - guard.retried_at > RETRIES_NS) {
		guard.retried_at = now;
		guard.retries = 0;
	}
	/* A hole in it needs space on the disk. */
	return ++guard.retries < RETRIES_MAX && reserve() == 0;
}

static void
on_bus_error(int number, siginfo_t *info, void *context)
{
	const char *address = info->si_addr;
	int saved_errno = errno;

	(void)context;
	if (info->si_code != BUS_ADRERR || address < guard.map ||
	    address - guard.map >= (ptrdiff_t)guard.size) {
		say("fcgi-webapp: bus error outside of the counter file\n");
	} else {
		int result = mend();

		if (result > 0 || (result == 0 && may_retry())) {
			errno = saved_errno;
			return;
		}
		say("fcgi-webapp: the counter file was truncated and cannot "
		    "be given its size again: free some space on its disk, and "
		    "see that the disk works\n");
	}
	signal(number, SIG_DFL); /* the same access is the end now */
	if (info->si_code <= 0)
		raise(number); /* there was no access: somebody sent it */
}

static void
on_bus_error_exit(int number)
{
	(void)number;
	say("fcgi-webapp: the counter file was truncated while it was in use: "
	    "run this again\n");
	_exit(1);
}

/* --- beginning ------------------------------------------------------------ */

void
counters_guard_exit_on_truncation(void)
{
	struct sigaction action = {.sa_handler = on_bus_error_exit};

	sigaction(SIGBUS, &action, NULL);
}

static void *
shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* What processes are doing, in memory of its own. */
static int
move_states(struct counters *counters)
{
	char *states = shared_memory(
	    counters->slot_count * sizeof(struct scoreboard_entry));

	if (!states)
		return -ENOMEM;
	for (unsigned slot = 0; slot < counters->slot_count; slot++)
		memcpy(states + slot * sizeof(struct scoreboard_entry),
		    (const void *)scoreboard_entry(&counters->scoreboard, slot),
		    sizeof(struct scoreboard_entry));
	counters->scoreboard.entries = states;
	counters->scoreboard.stride = sizeof(struct scoreboard_entry);
	return 0;
}

int
counters_guard_install(struct counters *counters, const char *path)
{
	struct sigaction action = {
	    .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
	int error = 0;

	guard.path = path;
	guard.fd = counters->fd;
	guard.map = counters->map;
	guard.size = counters->map_size;
	guard.due = 0;
	guard.shared = shared_memory(sizeof(*guard.shared));
	if (!guard.shared)
		error = -ENOMEM;
	else
		error = counters_place_open(
		    &guard.shared->place, path, counters->fd);
	for (int i = 0; i < 2 && !error; i++)
		error = counters_snapshot_new(&guard.snapshots[i], counters);
	if (!error)
		error = move_states(counters);
	if (error) {
		log_text(LOG_ERROR, "cannot guard the counter file %s: %s",
		    path, strerror(-error));
		return error;
	}
	guard.shared->cut = NOTHING_CUT;
	sigaction(SIGBUS, &action, NULL);
	counters_snapshot_copy(&guard.snapshots[0], counters);
	return 0;
}

/* --- the contents --------------------------------------------------------- */

static uint64_t
generation_now(void)
{
	return atomic_load(&guard.shared->cut) >> OFFSET_BITS;
}

/* Note what was done to the file, and say it. */
static void
report(
    struct counters *counters, enum registry_value index, const char *message)
{
	counters_add_shared(counters_values(counters, SLOT_MASTER), index, 1);
	LOG(LOG_ERROR, message, LOG_STRING("file", guard.path));
}

/* What the slots' processes are doing, for readers of the file. */
static void
publish_states(const struct counters *counters)
{
	for (unsigned slot = 0; slot < counters->slot_count; slot++)
		memcpy(counters->slots + slot * counters->slot_size,
		    (const void *)scoreboard_entry(&counters->scoreboard, slot),
		    sizeof(struct scoreboard_entry));
}

/* Begin the next generation; returns where the file was cut in the last. */
static size_t
take_note(void)
{
	uint64_t note = atomic_load(&guard.shared->cut);

	while ((note & NOTHING_CUT) != NOTHING_CUT)
		if (atomic_compare_exchange_weak(&guard.shared->cut, &note,
			(note | NOTHING_CUT) + (UINT64_C(1) << OFFSET_BITS)))
			return (size_t)(note & NOTHING_CUT);
	return COUNTERS_SNAPSHOT_UNCUT;
}

uint64_t
counters_guard_mark(void)
{
	uint64_t note;
	struct stat status;

	if (!guard.shared)
		return 1;
	note = atomic_load(&guard.shared->cut);
	if ((note & NOTHING_CUT) != NOTHING_CUT ||
	    atomic_load(&guard.shared->restoring) ||
	    fstat(guard.fd, &status) < 0 || (size_t)status.st_size < guard.size)
		return 0;
	return (note >> OFFSET_BITS) + 1;
}

/*
 * Put back what is missing and take the next snapshot. Where the file is cut
 * meanwhile, the snapshot is thrown away, and the next time nobody relies on
 * which bytes were zeroed.
 */
static void
restore(struct counters *counters)
{
	struct shared *shared = guard.shared;
	struct counters *next = &guard.snapshots[1 - shared->current];
	uint64_t generation;
	size_t cut;
	bool any;

	atomic_store(&shared->restoring, counters_guard_mark() == 0);
	cut = take_note();
	generation = generation_now();
	any = counters_snapshot_restore(counters,
	    &guard.snapshots[shared->current],
	    shared->is_uncertain ? COUNTERS_SNAPSHOT_UNCUT : cut);
	atomic_store(&shared->restoring, 0);
	if (cut != COUNTERS_SNAPSHOT_UNCUT)
		report(counters, REGISTRY_STORE_TRUNCATED,
		    "counter file was truncated: its counts were put back, but "
		    "for those of the last second; find out what truncates it");
	else if (any)
		report(counters, REGISTRY_STORE_OVERWRITTEN,
		    "counter file was written over: what was missing was put "
		    "back; find out what writes to it");
	counters_snapshot_copy(next, counters);
	shared->is_uncertain =
	    mend() != 0 || atomic_load(&shared->cut) !=
			       (generation << OFFSET_BITS | NOTHING_CUT);
	if (!shared->is_uncertain)
		shared->current = 1 - shared->current;
}

/* --- the master's part ---------------------------------------------------- */

void
counters_guard_tick(struct counters *counters, int64_t now)
{
	bool is_due = now >= guard.due;

	mend();
	if (is_due || counters_guard_mark() == 0)
		restore(counters);
	publish_states(counters);
	if (!is_due)
		return;
	guard.due = now + CLOCK_NS_PER_SECOND;
	counters_place_check(&guard.shared->place, counters,
	    &guard.snapshots[guard.shared->current]);
}

void
counters_guard_finish(struct counters *counters)
{
	guard.due = 0;
	counters_guard_tick(counters, clock_now());
	counters_place_close();
}
