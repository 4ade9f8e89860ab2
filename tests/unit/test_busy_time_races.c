/*
 * Busy time where a worker and a scrape meet at any instruction. A process is
 * traced, so each instruction is a step of the test and no step depends on
 * time.
 */
#include "busy_pool.h"
#include "traced.h"

#include <sys/mman.h>

static int64_t began;            /* of the worker's request */
static _Atomic uint64_t *result; /* shared: what the reader has read */

/* --- a worker at each instruction ------------------------------------------
 */

/* A request of one second. */
static void
work(void)
{
	busy_time_begin(entry, place, began);
	busy_time_end(entry, place, began + seconds(1));
}

/*
 * What is counted if the worker is killed here. The worker does not notice: its
 * memory is as it was.
 */
static uint64_t
counted_after_kill(void)
{
	uint64_t before = *place;
	uint64_t settled;

	busy_time_settle(&counters, NONBLOCKING_SLOT);
	settled = counted();
	busy_time_settle(&counters, NONBLOCKING_SLOT);
	assert_int_equal(counted(), settled);
	*place = before;
	return settled;
}

static void
a_worker_may_be_killed_at_any_instruction(void **state)
{
	enum { BEFORE, UNDER_WAY, ENDED } phase = BEFORE;
	unsigned steps[ENDED + 1] = {0};
	pid_t child;

	(void)state;
	began = clock_now() - seconds(60);
	child = start_traced(work);
	do {
		uint64_t shown = busy_now();
		uint64_t after_kill = counted_after_kill();

		if (phase == BEFORE && shown > 0)
			phase = UNDER_WAY;
		if (phase == UNDER_WAY && shown < (uint64_t)seconds(60))
			phase = ENDED;
		if (phase == UNDER_WAY)
			assert_true(after_kill >= shown);
		else
			assert_int_equal(after_kill, shown);
		assert_int_equal(phase == ENDED ? shown : 0,
		    phase == ENDED ? (uint64_t)seconds(1) : 0);
		steps[phase]++;
	} while (step(child));
	end_traced(child);
	/* Each phase was seen, and steps were not skipped. */
	for (int i = BEFORE; i <= ENDED; i++)
		assert_true(steps[i] > 1);
}

/* --- a reader at each instruction ------------------------------------------
 */

static void
read_once(void)
{
	*result = busy_now();
}

/*
 * After so many instructions of a reader, the worker ends its request, and
 * perhaps begins another. Returns whether the reader was not at its end before.
 */
static bool
interrupt_reader(pid_t reader, unsigned instructions, bool has_more)
{
	uint64_t before;

	*place = (uint64_t)seconds(100);
	busy_time_begin(entry, place, clock_now() - seconds(10));
	before = busy_now();
	for (unsigned i = 0; i < instructions; i++)
		if (!step(reader))
			return false;
	busy_time_end(entry, place, clock_now());
	if (has_more)
		busy_time_begin(entry, place, clock_now());
	assert_int_equal(go_on(reader, false), SIGSTOP);
	if (*result < before || *result > busy_now())
		fail_msg("after %u instructions %llu ns of %llu to %llu",
		    instructions, (unsigned long long)*result,
		    (unsigned long long)before, (unsigned long long)busy_now());
	return true;
}

static void
a_worker_may_change_at_any_instruction_of_a_reader(void **state)
{
	enum { TURNS = 300 }; /* sanitizers make many more instructions */
	pid_t reader = start_traced(read_once);
	unsigned count = 0;
	unsigned stride;

	(void)state;
	while (step(reader))
		count++;
	assert_true(count > 50);
	stride = count / TURNS + 1;
	for (unsigned i = 0; interrupt_reader(reader, i, true); i += stride)
		;
	for (unsigned i = 0; interrupt_reader(reader, i, false); i += stride)
		;
	end_traced(reader);
}

/* --- both at full speed ----------------------------------------------------
 */

/* Work without a pause until killed, and keep a tally. */
static int
work_for_ever(void *tally)
{
	int64_t now = clock_now();

	while (now > 0) {
		int64_t end;

		busy_time_begin(entry, place, now);
		end = clock_now();
		busy_time_end(entry, place, end);
		counters_add(tally, 0, (uint64_t)(end - now));
		now = end;
	}
	return 1;
}

static void
scrapes_beside_workers_that_are_killed_only_grow(void **state)
{
	enum { KILLS = 40, SCRAPES = 200 };
	uint64_t shown = 0;

	(void)state;
	*result = 0;
	for (int i = 0; i < KILLS; i++) {
		int64_t start = clock_now();
		uint64_t before = counted();
		uint64_t tally = *result;
		pid_t child = support_fork(work_for_ever, result);

		while (*result == tally) /* it has not begun */
			sched_yield();
		for (int j = 0; j < SCRAPES; j++) {
			uint64_t now =
			    busy_time_show(&counters, SCOREBOARD_NONBLOCKING);

			assert_true(now >= shown);
			shown = now;
		}
		kill(child, SIGKILL);
		assert_int_equal(support_wait(child), 1000 + SIGKILL);
		busy_time_settle(&counters, NONBLOCKING_SLOT);
		entry->request_started = 0;
		assert_true(counted() >= *result);
		assert_true(
		    counted() - before <= (uint64_t)(clock_now() - start));
	}
}

static int
set_up_shared(void **state)
{
	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return result == MAP_FAILED ? -1 : set_up(state);
}

static int
tear_down_shared(void **state)
{
	munmap((void *)result, sizeof(*result));
	return tear_down(state);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up_shared, tear_down_shared)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_worker_may_be_killed_at_any_instruction),
	    TEST(a_worker_may_change_at_any_instruction_of_a_reader),
	    TEST(scrapes_beside_workers_that_are_killed_only_grow),
	};

	return SUPPORT_RUN(tests);
}
