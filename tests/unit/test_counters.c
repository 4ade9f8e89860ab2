/*
 * The values of the counter file and its table of label sets.
 */
#include "counter_file.h"

static void
a_fresh_file_counts_from_zero(void **state)
{
	struct counters counters = open_pool(&registry, 3);
	char name[SUPPORT_NAME];

	(void)state;
	assert_int_equal(counters.slot_count, SLOT_WORKER + 3);
	for (size_t index = 0; index < VALUES; index++)
		assert_int_equal(counters_sum(&counters, index), 0);
	counters_close(&counters);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
}

static void
a_fresh_file_is_readable_by_its_owner_and_group_only(void **state)
{
	struct counters counters = open_pool(&registry, 1);
	struct stat status;

	(void)state;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0137, 0);
	counters_close(&counters);
}

static void
a_fresh_file_is_reserved_in_full(void **state)
{
	struct counters counters = open_pool(&registry, 8);
	struct stat status;

	(void)state;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, counters.map_size);
	assert_true(status.st_blocks * 512 >= status.st_size);
	counters_close(&counters);
}

static void
a_value_is_the_sum_over_all_slots(void **state)
{
	struct counters counters;

	(void)state;
	make_counts();
	counters = open_pool(&registry, 2);
	assert_counts(&counters);
	counters_close(&counters);
}

static void
slots_begin_on_cache_lines_of_their_own(void **state)
{
	struct counters counters = open_pool(&registry, 4);

	(void)state;
	for (unsigned slot = 0; slot < counters.slot_count; slot++) {
		assert_int_equal(
		    (uintptr_t)scoreboard_entry(&counters.scoreboard, slot) %
			64,
		    0);
		assert_true((char *)(counters_values(&counters, slot) + VALUES +
				     registry.label_set_capacity) <=
			    (char *)counters.map + counters.map_size);
	}
	counters_close(&counters);
}

static void
counts_survive_being_closed_and_opened_a_hundred_times(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		struct counters counters = open_pool(&registry, 2);

		assert_int_equal(counters_sum(&counters, APPLES), i);
		count(&counters, SLOT_WORKER + (unsigned)(i % 2), APPLES, 1);
		counters_close(&counters);
	}
}

static void
what_processes_did_is_forgotten_and_what_they_counted_is_not(void **state)
{
	struct counters counters = open_pool(&registry, 2);

	(void)state;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER)->pid = 4711;
	scoreboard_entry(&counters.scoreboard, SLOT_MASTER)->draining = 1;
	scoreboard_entry(&counters.scoreboard, SLOT_MASTER)->load_ticket = 1;
	count(&counters, SLOT_MASTER, APPLES, 1);
	counters_close(&counters);
	counters = open_pool(&registry, 2);
	assert_int_equal(
	    scoreboard_entry(&counters.scoreboard, SLOT_WORKER)->pid, 0);
	assert_int_equal(
	    scoreboard_entry(&counters.scoreboard, SLOT_MASTER)->draining, 0);
	assert_int_equal(
	    scoreboard_entry(&counters.scoreboard, SLOT_MASTER)->load_ticket,
	    0);
	assert_int_equal(counters_sum(&counters, APPLES), 1);
	counters_close(&counters);
}

static void
a_file_that_another_left_half_made_is_no_obstacle(void **state)
{
	struct counters counters;
	char name[SUPPORT_NAME];

	(void)state;
	support_write(support_path("counters.new"), "half", 4);
	counters = open_pool(&registry, 2);
	counters_close(&counters);
	assert_int_equal(support_find(".new", name, sizeof(name)), 0);
}

static void
a_label_set_keeps_its_value(void **state)
{
	struct counters counters = open_pool(&registry, 1);
	size_t index = counters_find_value(&counters, SHOP, GET, 200);

	(void)state;
	assert_int_equal(counters_find_value(&counters, SHOP, GET, 200), index);
	assert_int_not_equal(
	    counters_find_value(&counters, SHOP, GET, 201), index);
	assert_int_not_equal(
	    counters_find_value(&counters, SHOP, OTHER, 200), index);
	assert_int_not_equal(
	    counters_find_value(&counters, HOME, GET, 200), index);
	counters_close(&counters);
	counters = open_pool(&registry, 1);
	assert_int_equal(counters_find_value(&counters, SHOP, GET, 200), index);
	counters_close(&counters);
}

static void
label_sets_are_listed_by_endpoint_method_and_code(void **state)
{
	struct counters counters = open_pool(&registry, 1);
	struct counters_label_set label_sets[16];
	size_t set_count;

	(void)state;
	counters_find_value(&counters, SHOP, GET, 404);
	counters_find_value(&counters, SHOP, GET, 200);
	counters_find_value(&counters, HOME, OTHER, 200);
	counters_find_value(&counters, HOME, GET, 599);
	set_count = counters_list_label_sets(&counters, label_sets);
	assert_int_equal(set_count, 5); /* the last is the overflow */
	assert_int_equal(label_sets[0].endpoint, HOME);
	assert_int_equal(label_sets[0].method, GET);
	assert_int_equal(label_sets[0].code, 599);
	assert_int_equal(label_sets[1].method, OTHER);
	assert_int_equal(label_sets[2].code, 200);
	assert_int_equal(label_sets[3].code, 404);
	assert_int_equal(label_sets[3].index,
	    counters_find_value(&counters, SHOP, GET, 404));
	assert_int_equal(label_sets[4].code, 0);
	counters_close(&counters);
}

static void
a_full_table_counts_under_the_overflow_label_set(void **state)
{
	struct counters counters = open_pool(&registry, 1);
	struct counters_label_set label_sets[16];
	uint64_t sum = 0;
	size_t overflow = counters_find_value(&counters, REST, OTHER, 0);

	(void)state;
	for (unsigned code = 200; code < 260; code++)
		count(&counters, SLOT_WORKER,
		    counters_find_value(&counters, HOME, GET, code), 1);
	assert_int_equal(counters_list_label_sets(&counters, label_sets), 16);
	for (size_t i = 0; i < 16; i++)
		sum += counters_sum(&counters, label_sets[i].index);
	assert_int_equal(sum, 60);
	assert_int_equal(counters_sum(&counters, overflow), 60 - 15);
	counters_close(&counters);
	counters = open_pool(&registry, 1); /* and it is not taken for damage */
	assert_int_equal(counters_sum(&counters, REGISTRY_STORE_RECOVERIES), 0);
	counters_close(&counters);
}

struct counting {
	struct counters *counters;
	unsigned slot;
};

static int
count_in_slot(void *argument)
{
	const struct counting *counting = argument;
	_Atomic uint64_t *values =
	    counters_values(counting->counters, counting->slot);

	for (unsigned i = 0; i < ROUNDS; i++) {
		counters_add(values, APPLES, 1);
		counters_add(values,
		    counters_find_value(
			counting->counters, SHOP, GET, 200 + i % 8),
		    1);
	}
	return 0;
}

static void
eight_processes_that_count_at_once_lose_nothing(void **state)
{
	struct counters counters = open_pool(&registry, PROCESSES);
	struct counting counting[PROCESSES];
	pid_t children[PROCESSES];

	(void)state;
	for (unsigned i = 0; i < PROCESSES; i++) {
		counting[i] = (struct counting){&counters, SLOT_WORKER + i};
		children[i] = support_fork(count_in_slot, &counting[i]);
	}
	for (unsigned i = 0; i < PROCESSES; i++)
		assert_int_equal(support_wait(children[i]), 0);
	assert_int_equal(counters_sum(&counters, APPLES), PROCESSES * ROUNDS);
	for (unsigned code = 200; code < 208; code++)
		assert_int_equal(
		    counters_sum(&counters,
			counters_find_value(&counters, SHOP, GET, code)),
		    PROCESSES * ROUNDS / 8);
	counters_close(&counters);
}

/* Every process enters every label set, in an order of its own. */
static int
enter_label_sets(void *argument)
{
	const struct counting *counting = argument;
	_Atomic uint64_t *values =
	    counters_values(counting->counters, counting->slot);

	for (unsigned i = 0; i < 12; i++)
		counters_add(values,
		    counters_find_value(counting->counters, HOME, OTHER,
			200 + (i * 5 + counting->slot) % 12),
		    1);
	return 0;
}

static void
processes_that_enter_the_same_label_sets_at_once_agree_on_the_values(
    void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct counters counters;
		struct counting counting[PROCESSES];
		pid_t children[PROCESSES];
		struct counters_label_set label_sets[16];

		unlink(path);
		counters = open_pool(&registry, PROCESSES);
		for (unsigned i = 0; i < PROCESSES; i++) {
			counting[i] =
			    (struct counting){&counters, SLOT_WORKER + i};
			children[i] =
			    support_fork(enter_label_sets, &counting[i]);
		}
		for (unsigned i = 0; i < PROCESSES; i++)
			assert_int_equal(support_wait(children[i]), 0);
		assert_int_equal(
		    counters_list_label_sets(&counters, label_sets), 12 + 1);
		for (unsigned code = 200; code < 212; code++)
			assert_int_equal(counters_sum(&counters,
					     counters_find_value(
						 &counters, HOME, OTHER, code)),
			    PROCESSES);
		counters_close(&counters);
	}
}

/* Counts for ever, and after each count says so in shared memory. */
struct progress {
	struct counters *counters;
	_Atomic uint64_t *counted;
};

static int
count_until_killed(void *argument)
{
	const struct progress *progress = argument;
	_Atomic uint64_t *values =
	    counters_values(progress->counters, SLOT_WORKER);

	do {
		counters_add(values, APPLES, 1);
	} while (++*progress->counted);
	return 0;
}

static void
a_process_killed_while_it_counts_loses_nothing_it_counted(void **state)
{
	struct counters counters = open_pool(&registry, 1);
	_Atomic uint64_t *counted = mmap(NULL, sizeof(*counted),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct progress progress = {&counters, counted};

	(void)state;
	assert_ptr_not_equal(counted, MAP_FAILED);
	for (int i = 0; i < 20; i++) {
		uint64_t before = counters_sum(&counters, APPLES);
		pid_t child;

		*counted = 0;
		child = support_fork(count_until_killed, &progress);
		while (*counted < 1000)
			sched_yield();
		kill(child, SIGKILL);
		assert_int_equal(support_wait(child), 1000 + SIGKILL);
		/* It may have died between the count and saying so. */
		assert_in_range(counters_sum(&counters, APPLES) - before,
		    *counted, *counted + 1);
	}
	munmap(counted, sizeof(*counted));
	counters_close(&counters);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_fresh_file_counts_from_zero),
	    TEST(a_fresh_file_is_readable_by_its_owner_and_group_only),
	    TEST(a_fresh_file_is_reserved_in_full),
	    TEST(a_value_is_the_sum_over_all_slots),
	    TEST(slots_begin_on_cache_lines_of_their_own),
	    TEST(counts_survive_being_closed_and_opened_a_hundred_times),
	    TEST(what_processes_did_is_forgotten_and_what_they_counted_is_not),
	    TEST(a_file_that_another_left_half_made_is_no_obstacle),
	    TEST(a_label_set_keeps_its_value),
	    TEST(label_sets_are_listed_by_endpoint_method_and_code),
	    TEST(a_full_table_counts_under_the_overflow_label_set),
	    TEST(eight_processes_that_count_at_once_lose_nothing),
	    TEST(
		processes_that_enter_the_same_label_sets_at_once_agree_on_the_values),
	    TEST(a_process_killed_while_it_counts_loses_nothing_it_counted),
	};

	return SUPPORT_RUN(tests);
}
