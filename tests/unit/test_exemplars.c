/*
 * Exemplars in shared memory: when one is written, which one is found, and that
 * none is torn, also by a writer that was killed.
 */
#include "support.h"

#include <sys/mman.h>

#include "metrics/exemplars.h"

enum { VALUES = 100, SLOTS = 3, WRITES = 1000000 };

static const int64_t SECOND = INT64_C(1000000000);
static const int64_t NOW = INT64_C(1700000000000000000);
static const char ID[] = "4bf92f3577b34da6a3ce929d0e0e4736";
static const char OTHER_ID[] = "0af7651916cd43dd8448eb211c80319c";

static struct exemplars exemplars;

static int
set_up(void **state)
{
	(void)state;
	return exemplars_open(&exemplars, VALUES, SLOTS);
}

static int
tear_down(void **state)
{
	(void)state;
	exemplars_close(&exemplars);
	return 0;
}

static void
assert_exemplar(size_t index, const char *trace_id, uint64_t value)
{
	struct exemplar found;

	assert_true(exemplars_find(&exemplars, index, &found));
	assert_string_equal(found.trace_id, trace_id);
	assert_int_equal(found.value, value);
}

static void
assert_none(size_t index)
{
	struct exemplar found;

	assert_false(exemplars_find(&exemplars, index, &found));
}

static void
what_was_recorded_is_found_under_its_index_alone(void **state)
{
	struct exemplar found;

	(void)state;
	exemplars_record(&exemplars, 1, 70, ID, 42, NOW);
	assert_true(exemplars_find(&exemplars, 70, &found));
	assert_string_equal(found.trace_id, ID);
	assert_int_equal(found.value, 42);
	assert_int_equal(found.time_ns, NOW);
	for (size_t i = 0; i < VALUES; i++)
		if (i != 70)
			assert_none(i);
}

static void
an_exemplar_stays_for_a_second(void **state)
{
	(void)state;
	exemplars_record(&exemplars, 0, 0, ID, 1, NOW);
	exemplars_record(&exemplars, 0, 0, OTHER_ID, 2, NOW + SECOND - 1);
	assert_exemplar(0, ID, 1);
	exemplars_record(&exemplars, 0, 0, OTHER_ID, 2, NOW + SECOND);
	assert_exemplar(0, OTHER_ID, 2);
}

static void
a_clock_that_was_set_back_does_not_keep_the_old_one(void **state)
{
	(void)state;
	exemplars_record(&exemplars, 0, 0, ID, 1, NOW);
	exemplars_record(&exemplars, 0, 0, OTHER_ID, 2, NOW - 3600 * SECOND);
	assert_exemplar(0, OTHER_ID, 2);
}

static void
the_newest_of_the_slots_is_found(void **state)
{
	(void)state;
	exemplars_record(&exemplars, 0, 5, ID, 1, NOW);
	exemplars_record(&exemplars, 1, 5, OTHER_ID, 2, NOW + 2);
	exemplars_record(&exemplars, 2, 5, ID, 3, NOW + 1);
	assert_exemplar(5, OTHER_ID, 2);
	exemplars_record(&exemplars, 2, 5, ID, 4, NOW + 2 * SECOND);
	assert_exemplar(5, ID, 4);
}

static void
only_a_trace_id_is_recorded(void **state)
{
	static const char *const texts[] = {"", "-", "4bf92f3577b34da6",
	    "4BF92F3577B34DA6A3CE929D0E0E4736",
	    "00000000000000000000000000000000",
	    "4bf92f3577b34da6a3ce929d0e0e473g",
	    "4bf92f3577b34da6a3ce929d0e0e4736 ",
	    "4bf92f3577b34da6a3ce929d0e0e47360",
	    "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		exemplars_record(&exemplars, 0, 0, texts[i], 1, NOW);
		assert_none(0);
	}
}

static void
without_a_time_nothing_is_recorded(void **state)
{
	(void)state;
	exemplars_record(&exemplars, 0, 0, ID, 1, 0);
	assert_none(0);
}

static void
without_memory_nothing_is_recorded_and_nothing_is_found(void **state)
{
	struct exemplars none = {0};
	struct exemplar found;

	(void)state;
	exemplars_record(&none, 0, 0, ID, 1, NOW);
	assert_false(exemplars_find(&none, 0, &found));
	exemplars_close(&none);
	assert_int_equal(exemplars_open(&none, SIZE_MAX / 1000, 2), -ENOMEM);
	exemplars_record(&none, 0, 0, ID, 1, NOW);
	assert_false(exemplars_find(&none, 0, &found));
}

/* Exemplar number i; all its parts follow from the number. */
static void
write_number(uint64_t i)
{
	exemplars_record(&exemplars, 0, 7, i % 2 ? ID : OTHER_ID, i,
	    NOW + (int64_t)i * SECOND);
}

static bool
is_whole(const struct exemplar *found)
{
	return strcmp(found->trace_id, found->value % 2 ? ID : OTHER_ID) == 0 &&
	       found->time_ns == NOW + (int64_t)found->value * SECOND;
}

/* As fast as it goes. */
static int
write_many(void *unused)
{
	(void)unused;
	for (uint64_t i = 1; i <= WRITES; i++)
		write_number(i);
	return 0;
}

static void
a_reader_never_gets_parts_of_two(void **state)
{
	pid_t writer = support_fork(write_many, NULL);
	uint64_t last = 0;
	bool torn = false;

	(void)state;
	while (last < WRITES && !torn) {
		struct exemplar found;

		if (!exemplars_find(&exemplars, 7, &found))
			continue;
		torn = !is_whole(&found) || found.value < last;
		last = found.value;
	}
	if (torn)
		kill(writer, SIGKILL);
	assert_int_equal(support_wait(writer), torn ? 1000 + SIGKILL : 0);
	assert_false(torn);
}

/*
 * The sequence number of the exemplar that was written: the only word of the
 * memory that is 2, since a writer has written it once.
 */
static _Atomic uint64_t *
find_sequence(void)
{
	_Atomic uint64_t *words = (_Atomic uint64_t *)exemplars.map;
	_Atomic uint64_t *found = NULL;

	for (size_t i = 0; i < exemplars.map_size / sizeof(*words); i++)
		if (words[i] == 2) {
			assert_null(found);
			found = &words[i];
		}
	assert_non_null(found);
	return found;
}

static void
what_a_killed_writer_left_half_done_is_repaired_by_the_next(void **state)
{
	(void)state;
	exemplars_record(&exemplars, 0, 3, ID, 1, NOW);
	*find_sequence() = 3; /* as a writer that is killed leaves it */
	assert_none(3);
	exemplars_record(&exemplars, 0, 3, OTHER_ID, 5, NOW + SECOND);
	assert_exemplar(3, OTHER_ID, 5);
}

static void
a_slot_that_is_half_done_does_not_hide_the_others(void **state)
{
	(void)state;
	exemplars_record(&exemplars, 2, 3, ID, 7, NOW + SECOND);
	*find_sequence() = 3;
	exemplars_record(&exemplars, 0, 3, OTHER_ID, 5, NOW);
	assert_exemplar(3, OTHER_ID, 5);
}

/* Writers are killed at any instruction, and others go on in their slot. */
static void
kill_9_at_any_instruction_does_no_harm(void **state)
{
	const uint64_t mine = 2 * WRITES;

	(void)state;
	for (int i = 0; i < 30; i++) {
		struct exemplar found = {.value = mine};
		pid_t writer = support_fork(write_many, NULL);

		while (found.value == mine || found.value == 0)
			exemplars_find(&exemplars, 7, &found);
		kill(writer, SIGKILL);
		support_wait(writer);
		write_number(mine);
		assert_exemplar(7, OTHER_ID, mine);
	}
}

/* Pages of the mapping that have memory. */
static size_t
count_pages(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t count = (exemplars.map_size + page - 1) / page;
	unsigned char *states = calloc(count, 1);
	size_t used = 0;

	assert_non_null(states);
	assert_int_equal(mincore(exemplars.map, exemplars.map_size, states), 0);
	for (size_t i = 0; i < count; i++)
		used += states[i] & 1;
	free(states);
	return used;
}

static void
many_routes_take_no_memory_before_they_are_used(void **state)
{
	enum { MANY = 20000 };
	struct exemplar found;

	(void)state;
	exemplars_close(&exemplars);
	assert_int_equal(exemplars_open(&exemplars, MANY, SLOTS), 0);
	exemplars_record(&exemplars, 0, MANY / 2, ID, 1, NOW);
	for (size_t i = 0; i < MANY; i++)
		exemplars_find(&exemplars, i, &found);
	/* the flags of each slot, and the exemplar; the group may be on two */
	assert_in_range(count_pages(), 1, SLOTS + 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_was_recorded_is_found_under_its_index_alone),
	    TEST(an_exemplar_stays_for_a_second),
	    TEST(a_clock_that_was_set_back_does_not_keep_the_old_one),
	    TEST(the_newest_of_the_slots_is_found),
	    TEST(only_a_trace_id_is_recorded),
	    TEST(without_a_time_nothing_is_recorded),
	    TEST(without_memory_nothing_is_recorded_and_nothing_is_found),
	    TEST(a_reader_never_gets_parts_of_two),
	    TEST(what_a_killed_writer_left_half_done_is_repaired_by_the_next),
	    TEST(a_slot_that_is_half_done_does_not_hide_the_others),
	    TEST(kill_9_at_any_instruction_does_no_harm),
	    TEST(many_routes_take_no_memory_before_they_are_used),
	};

	return SUPPORT_RUN(tests);
}
