/*
 * Protects the open counter file; see the header.
 *
 * A process that finds the file too short, in the SIGBUS handler or in the
 * master's tick, first notes where it was cut and then extends it again. The
 * note is one word: a generation and an offset. Taking the note starts the next
 * generation. So a process that is slow to write its note does not report the
 * same truncation twice: its compare-and-swap fails, and it checks the size
 * again.
 *
 * One race remains. If the file is truncated between the load and the store of
 * an increment, the store writes the old value back, and that value is counted
 * twice.
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
#include "base/program.h"
#include "metrics/registry.h"
#include "metrics/counters_place.h"
#include "metrics/counters_snapshot.h"

enum { OFFSET_BITS = 48 };
static const uint64_t NOTHING_CUT = (UINT64_C(1) << OFFSET_BITS) - 1;

/* Give up on a file that is truncated again after each of this many repairs. */
enum { REPAIRS_MAX = 100 };

/*
 * Access may fail although the file is complete: another process has already
 * repaired it, or the disk fails. After this many times in a minute it is the
 * disk.
 */
enum { RETRIES_MAX = 1000 };
static const int64_t RETRIES_NS = 60000000000;

/* Shared by all processes of the pool; survives the master. */
struct shared {
	_Atomic uint64_t cut; /* generation, offset or NOTHING_CUT */
	_Atomic int restoring;
	struct counters_place place;
	unsigned current;  /* of the snapshots */
	bool is_uncertain; /* the file was cut while it was being copied */
};

static struct {
	const char *path;
	int fd;
	const char *map;
	size_t size;
	struct shared *shared;
	struct counters snapshots[2];
	void (*report)(int number, siginfo_t *info, void *context);
	int64_t due; /* when to check contents and path */
	int retries;
	int64_t retried_at;
} guard = {.fd = -1};

/* --- in a signal handler -------------------------------------------------- */

static void
say(const char *line)
{
	/* If this fails, there is no other place to report it. */
	(void)!write(STDERR_FILENO, line, strlen(line));
}

/* Extend the file to its size and reserve it on disk. Returns 0 or an errno. */
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
 * If the file is too short, note where it was cut and extend it. Returns 0 if
 * it was complete, 1 if it was repaired, or a negative errno.
 */
static int
repair(void)
{
	bool is_repaired = false;

	for (int i = 0; i < REPAIRS_MAX; i++) {
		uint64_t note = atomic_load(&guard.shared->cut);
		uint64_t cut = note & NOTHING_CUT;
		struct stat status;
		int error;

		if (fstat(guard.fd, &status) < 0)
			return -errno;
		if ((size_t)status.st_size >= guard.size)
			return is_repaired;
		if ((uint64_t)status.st_size < cut)
			cut = (uint64_t)status.st_size;
		if (!atomic_compare_exchange_strong(
			&guard.shared->cut, &note, (note & ~NOTHING_CUT) | cut))
			continue;
		error = reserve();
		if (error)
			return -error;
		is_repaired = true;
	}
	return -EIO;
}

/* Whether to retry an access to a file that is complete. */
static bool
may_retry(void)
{
	int64_t now = clock_now();

	if (now - guard.retried_at > RETRIES_NS) {
		guard.retried_at = now;
		guard.retries = 0;
	}
	/* The file may have a hole, which needs space on the disk. */
	return ++guard.retries < RETRIES_MAX && reserve() == 0;
}

static void
on_bus_error(int number, siginfo_t *info, void *context)
{
	const char *address = info->si_addr;
	int saved_errno = errno;

	if (info->si_code != BUS_ADRERR || address < guard.map ||
	    address - guard.map >= (ptrdiff_t)guard.size) {
		if (!guard.report)
			say(PROGRAM_NAME
			    ": bus error outside of the counter file\n");
	} else {
		int result = repair();

		if (result > 0 || (result == 0 && may_retry())) {
			errno = saved_errno;
			return;
		}
		say(PROGRAM_NAME
		    ": the counter file was truncated and cannot "
		    "be given its size again: free some space on its disk, and "
		    "see that the disk works\n");
	}
	if (guard.report)
		guard.report(number, info, context);
	signal(number, SIG_DFL); /* repeating the access ends the process */
	if (info->si_code <= 0)
		raise(number); /* it was sent by kill(2): there is no access */
}

static void
on_bus_error_exit(int number)
{
	(void)number;
	say(PROGRAM_NAME
	    ": the counter file was truncated while it was in use: "
	    "run this again\n");
	_exit(1);
}

/* --- installation ------------------------------------------------------- */

void
counters_guard_exit_on_truncation(void)
{
	struct sigaction action = {.sa_handler = on_bus_error_exit};

	sigaction(SIGBUS, &action, NULL);
}

void
counters_guard_on_bus_error(
    void (*report)(int number, siginfo_t *info, void *context))
{
	guard.report = report;
}

static void *
shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Move the scoreboard from the file to memory of its own. */
static int
move_scoreboard(struct counters *counters)
{
	char *entries = shared_memory(
	    counters->slot_count * sizeof(struct scoreboard_entry));

	if (!entries)
		return -ENOMEM;
	for (unsigned slot = 0; slot < counters->slot_count; slot++)
		memcpy(entries + slot * sizeof(struct scoreboard_entry),
		    (const void *)scoreboard_entry(&counters->scoreboard, slot),
		    sizeof(struct scoreboard_entry));
	counters->scoreboard.entries = entries;
	counters->scoreboard.stride = sizeof(struct scoreboard_entry);
	return 0;
}

int
counters_guard_install(struct counters *counters, const char *path)
{
	/* Not deferred: the report may cause another, and go on (stack.h). */
	struct sigaction action = {.sa_sigaction = on_bus_error,
	    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
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
		error = move_scoreboard(counters);
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

/* Copy the scoreboard to the file, for its readers. */
static void
publish_scoreboard(const struct counters *counters)
{
	for (unsigned slot = 0; slot < counters->slot_count; slot++)
		memcpy(counters->slots + slot * counters->slot_size,
		    (const void *)scoreboard_entry(&counters->scoreboard, slot),
		    sizeof(struct scoreboard_entry));
}

/* Begin the next generation. Returns where the file was cut in the last one. */
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
 * Restore what is missing and take the next snapshot. If the file is cut
 * meanwhile, that snapshot is not used, and the next call does not rely on
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
		counters_place_report(counters, REGISTRY_STORE_TRUNCATED,
		    "counter file was truncated: its counts were put back, but "
		    "for those of the last second; find out what truncates it");
	else if (any)
		counters_place_report(counters, REGISTRY_STORE_OVERWRITTEN,
		    "counter file was written over: what was missing was put "
		    "back; find out what writes to it");
	counters_snapshot_copy(next, counters);
	shared->is_uncertain =
	    repair() != 0 || atomic_load(&shared->cut) !=
				 (generation << OFFSET_BITS | NOTHING_CUT);
	if (!shared->is_uncertain)
		shared->current = 1 - shared->current;
}

/* --- the master's part ---------------------------------------------------- */

void
counters_guard_tick(struct counters *counters, int64_t now)
{
	bool is_due = now >= guard.due;

	repair();
	if (is_due || counters_guard_mark() == 0)
		restore(counters);
	publish_scoreboard(counters);
	if (!is_due)
		return;
	guard.due = now + CLOCK_NS_PER_SECOND;
	counters_place_check(&guard.shared->place, counters,
	    &guard.snapshots[guard.shared->current]);
}

void
counters_guard_save(struct counters *counters)
{
	guard.due = 0;
	counters_guard_tick(counters, clock_now());
}

void
counters_guard_finish(struct counters *counters)
{
	counters_guard_save(counters);
	counters_place_close();
}
