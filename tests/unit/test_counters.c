/*
 * The counter file: whatever is found in its place, and whatever dies, no count
 * is lost and nothing good is thrown away.
 */
#include "support.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "base/log.h"
#include "metrics/registry.h"
#include "metrics/counters.h"
#include "metrics/counters_format.h"

/* The file's layout, as store.c has it: what is on disk is a contract. */
enum {
	HEADER_SIZE = 64,
	VERSION_AT = 8,
	BYTE_ORDER_AT = 12,
	KEY_CAPACITY_AT = 36,
	SLOT_COUNT_AT = 40,
	REGISTRY_SIZE_AT = 44,
};

/* --- a system that says no --------------------------------------------- */

/* These stand in front of libc's, so that any error can be had anywhere. */
static int fallocate_error;
static int open_error;
static int link_error;

int
posix_fallocate(int fd, off_t offset, off_t length)
{
	return fallocate_error ? fallocate_error
			       : posix_fallocate64(fd, offset, length);
}

int
open(const char *path, int flags, ...)
{
	va_list arguments;
	unsigned mode;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
	va_end(arguments);
	if (open_error) {
		errno = open_error;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int
link(const char *from, const char *to)
{
	if (link_error) {
		errno = link_error;
		return -1;
	}
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* --- catalogs ---------------------------------------------------------- */

/* The values that store.c itself counts in, as in registry.h, and five more. */
#define PLAIN_CELLS                                                            \
	"fcgi_webapp_starts_total", "fcgi_webapp_store_recoveries_total",      \
	    "fcgi_webapp_store_incidents_total{kind=\"truncated\"}",           \
	    "fcgi_webapp_store_incidents_total{kind=\"overwritten\"}",         \
	    "fcgi_webapp_store_incidents_total{kind=\"deleted\"}",             \
	    "fcgi_webapp_store_incidents_total{kind=\"replaced\"}",            \
	    "fcgi_webapp_log_dropped_total", "fcgi_worker_starts_total",       \
	    "fcgi_worker_exits_total{reason=\"drained\"}",                     \
	    "fcgi_worker_exits_total{reason=\"recycled\"}",                    \
	    "fcgi_worker_exits_total{reason=\"crashed\"}",                     \
	    "fcgi_worker_exits_total{reason=\"deadline\"}", "fcgi_load_active"

enum { APPLES = REGISTRY_QUEUE, PEARS, VALUES };
enum { HOME, SHOP, REST };
enum { GET, OTHER };

static const char *const fixed[] = {
    PLAIN_CELLS, "apples_total", "pears_total{kind=\"conference\"}"};
static const char *const endpoints[] = {"home", "shop", "other"};
static const char *const methods[] = {"GET", "other"};

static const struct registry registry = {fixed, COUNT(fixed), endpoints,
    COUNT(endpoints), methods, COUNT(methods), 16};

static char path[PATH_MAX];

static int
set_up(void **state)
{
	snprintf(path, sizeof(path), "%s", support_path("counters"));
	fallocate_error = open_error = link_error = 0;
	return support_clear(state);
}

static struct counters
open_pool(const struct registry *names, unsigned workers)
{
	struct counters counters;

	assert_int_equal(counters_open(&counters, path, names, workers), 0);
	return counters;
}

/* What a refused pool is told. */
static const char *
open_refused(int error)
{
	struct counters counters;
	int result;
	const char *said;

	support_capture();
	result = counters_open(&counters, path, &registry, 2);
	said = support_said();
	assert_int_equal(result, error);
	assert_says(said, path);
	assert_says(said, "cannot open the counter file");
	return said;
}

static struct counters
open_quietly(const struct registry *names, unsigned workers)
{
	struct counters counters;

	support_capture();
	counters = open_pool(names, workers);
	support_said();
	return counters;
}

static void
count(struct counters *counters, unsigned slot, size_t index, uint64_t by)
{
	counters_add(counters_values(counters, slot), index, by);
}

/* A file with known counts in several slots, closed. */
static void
make_counts(void)
{
	struct counters counters = open_pool(&registry, 2);

	for (unsigned slot = 0; slot < counters.slot_count; slot++) {
		count(&counters, slot, APPLES, slot + 1);
		count(&counters, slot, PEARS, 1000 * (slot + 1));
		count(&counters, slot,
		    counters_find_value(&counters, SHOP, GET, 200),
		    7 * (slot + 1));
	}
	count(&counters, SLOT_WORKER,
	    counters_find_value(&counters, HOME, OTHER, 404),
	    UINT64_C(1) << 40);
	counters_close(&counters);
}

/* 1 + 2 + ... of the five slots */
enum { SLOT_SUM = 15 };

static void
assert_counts(struct counters *counters)
{
	assert_int_equal(counters_sum(counters, APPLES), SLOT_SUM);
	assert_int_equal(counters_sum(counters, PEARS), 1000 * SLOT_SUM);
	assert_int_equal(counters_sum(counters,
			     counters_find_value(counters, SHOP, GET, 200)),
	    7 * SLOT_SUM);
	assert_int_equal(counters_sum(counters,
			     counters_find_value(counters, HOME, OTHER, 404)),
	    UINT64_C(1) << 40);
}

/* --- a fresh file ------------------------------------------------------ */

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

/* --- label sets -------------------------------------------------------- */

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

/* --- two pools ---------------------------------------------------------- */

struct pool {
	struct support_holder holder;
	const struct registry *registry;
};

static int
hold_pool(void *argument)
{
	struct pool *pool = argument;
	struct counters counters;

	if (counters_open(&counters, path, pool->registry, 2) != 0)
		return 1;
	support_hold(&pool->holder);
	counters_close(&counters);
	return 0;
}

static void
a_second_pool_is_refused_with_a_message_that_says_what_to_do(void **state)
{
	struct pool pool = {.registry = &registry};
	const char *said;
	struct counters counters;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	said = open_refused(-EBUSY);
	assert_says(said, "another pool holds it");
	assert_says(said, "--metrics-file");
	assert_int_equal(support_finish(&pool.holder), 0);
	counters = open_pool(&registry, 2);
	assert_counts(&counters);
	counters_close(&counters);
}

static void
a_pool_that_was_killed_holds_nothing(void **state)
{
	struct pool pool = {.registry = &registry};
	struct counters counters;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	kill(pool.holder.pid, SIGKILL);
	counters = open_pool(&registry, 2); /* waits for it to be gone */
	assert_counts(&counters);
	counters_close(&counters);
	assert_int_equal(support_finish(&pool.holder), 1000 + SIGKILL);
}

/* --- processes that count at once --------------------------------------- */

enum { PROCESSES = 8, ROUNDS = 200000 };

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

/* --- damage ------------------------------------------------------------- */

/*
 * Put these bytes where the file is, open it, and see: a fresh file that counts
 * the recovery, and the old bytes, all of them, under a name that says so.
 */
static void
assert_recovers(const void *bytes, size_t size, const char *problem)
{
	char name[SUPPORT_NAME];
	const char *said;
	char *moved;
	size_t moved_size;
	struct counters counters;

	support_clear(NULL);
	support_write(path, bytes, size);
	support_capture();
	counters = open_pool(&registry, 2);
	said = support_said();
	assert_int_equal(counters_sum(&counters, REGISTRY_STORE_RECOVERIES), 1);
	assert_int_equal(counters_sum(&counters, APPLES), 0);
	counters_close(&counters);
	assert_says(said, "moved aside");
	assert_says(said, problem);
	assert_int_equal(support_find(".damaged-", name, sizeof(name)), 1);
	assert_says(said, name);
	moved = support_read(support_path(name), &moved_size);
	assert_int_equal(moved_size, size);
	assert_memory_equal(moved, bytes, size);
	free(moved);
}

static char *
sound_bytes(size_t *size)
{
	make_counts();
	return support_read(path, size);
}

static uint32_t
number_at(const char *bytes, size_t offset)
{
	uint32_t value;

	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

/* Where the registry ends, and where the label sets begin and end. */
static size_t
registry_end(const char *bytes)
{
	return HEADER_SIZE + number_at(bytes, REGISTRY_SIZE_AT);
}

static size_t
label_sets_begin(const char *bytes)
{
	return (registry_end(bytes) + 63) / 64 * 64;
}

static void
a_file_of_zero_bytes_is_moved_aside(void **state)
{
	(void)state;
	assert_recovers("", 0, "it is empty");
}

static void
a_file_cut_at_any_byte_is_moved_aside(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);
	size_t end = label_sets_begin(bytes) + registry.label_set_capacity * 8;

	(void)state;
	for (size_t length = 1; length < end; length++)
		assert_recovers(bytes, length,
		    length < HEADER_SIZE ? "it is cut short" : "its size");
	/* Beyond that it is all values: a sample, and the last bytes. */
	for (size_t length = end; length < size; length += 37)
		assert_recovers(bytes, length, "its size");
	for (size_t length = size - 16; length < size; length++)
		assert_recovers(bytes, length, "its size");
	free(bytes);
}

static void
a_file_with_more_than_it_should_have_is_moved_aside(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);
	char *longer = calloc(1, size + 4096);

	(void)state;
	assert_non_null(longer);
	memcpy(longer, bytes, size);
	assert_recovers(longer, size + 1, "its size");
	assert_recovers(longer, size + 4096, "its size");
	free(longer);
	free(bytes);
}

static void
a_foreign_file_is_moved_aside(void **state)
{
	char zeros[8192] = {0};

	(void)state;
	assert_recovers(zeros, sizeof(zeros), "not a counter file");
	memset(zeros, 'x', sizeof(zeros));
	assert_recovers(zeros, sizeof(zeros), "not a counter file");
}

static void
a_file_of_another_byte_order_is_moved_aside(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);

	(void)state;
	for (size_t at = BYTE_ORDER_AT; at < BYTE_ORDER_AT + 2; at++) {
		size_t other = 2 * BYTE_ORDER_AT + 3 - at;
		char byte = bytes[at];

		bytes[at] = bytes[other];
		bytes[other] = byte;
	}
	assert_recovers(bytes, size, "another byte order");
	free(bytes);
}

static void
a_file_of_another_version_is_moved_aside(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);

	(void)state;
	bytes[VERSION_AT] = 2;
	assert_recovers(bytes, size, "another format version");
	free(bytes);
}

/* Flip each bit of a range, one at a time; every one must be found. */
static void
assert_every_bit_matters(char *bytes, size_t size, size_t from, size_t to)
{
	for (size_t at = from; at < to; at++)
		for (int bit = 0; bit < 8; bit++) {
			bytes[at] = (char)(bytes[at] ^ 1 << bit);
			assert_recovers(bytes, size, "it");
			bytes[at] = (char)(bytes[at] ^ 1 << bit);
		}
}

static void
a_flipped_bit_anywhere_in_the_header_is_detected(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);

	(void)state;
	assert_every_bit_matters(bytes, size, 0, HEADER_SIZE);
	free(bytes);
}

static void
a_flipped_bit_anywhere_in_the_registry_is_detected(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);

	(void)state;
	assert_every_bit_matters(bytes, size, HEADER_SIZE, registry_end(bytes));
	free(bytes);
}

static void
a_flipped_bit_anywhere_in_the_label_set_table_is_detected(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);
	size_t from = label_sets_begin(bytes);

	(void)state;
	assert_every_bit_matters(
	    bytes, size, from, from + registry.label_set_capacity * 8);
	free(bytes);
}

/* --- files that are sound in all but what they say ------------------------ */

/*
 * Put a file with this header, registry and label sets where the file is, as
 * large as it says that it is and with the right checksum: it must be moved
 * aside.
 */
static void
assert_lie_is_found(const struct counters_header *wrong, const char *text,
    const uint64_t *label_sets, const char *problem)
{
	struct counters_header header = *wrong;
	struct counters_layout layout;
	char *bytes;

	header.registry_size = (uint32_t)strlen(text);
	header.checksum = counters_format_checksum(&header, text);
	layout = counters_format_layout(&header);
	bytes = calloc(1, layout.file_size);
	assert_non_null(bytes);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), text, header.registry_size);
	memcpy(bytes + layout.label_sets, label_sets,
	    header.label_set_capacity * sizeof(uint64_t));
	assert_recovers(bytes, layout.file_size, problem);
	free(bytes);
}

/* The parts of a sound file; the caller frees *text. */
static void
sound_parts(
    struct counters_header *header, char **text, uint64_t label_sets[16])
{
	size_t size;
	char *bytes = sound_bytes(&size);

	memcpy(header, bytes, sizeof(*header));
	*text = strndup(bytes + sizeof(*header), header->registry_size);
	assert_non_null(*text);
	memcpy(label_sets, bytes + label_sets_begin(bytes),
	    16 * sizeof(*label_sets));
	free(bytes);
}

static void
a_file_whose_header_lies_about_the_rest_is_moved_aside(void **state)
{
	struct counters_header header;
	struct counters_header wrong;
	uint64_t label_sets[16];
	char *text;

	(void)state;
	sound_parts(&header, &text, label_sets);
	wrong = header;
	wrong.fixed_count = 1;
	assert_lie_is_found(&wrong, text, label_sets, "registry");
	wrong.fixed_count = header.fixed_count + 1;
	assert_lie_is_found(&wrong, text, label_sets, "registry");
	wrong = header;
	wrong.entry_size += 4;
	assert_lie_is_found(&wrong, text, label_sets, "slots");
	wrong = header;
	wrong.slot_count = SLOT_WORKER - 1;
	assert_lie_is_found(&wrong, text, label_sets, "slots");
	wrong = header;
	wrong.label_set_capacity = 12;
	assert_lie_is_found(&wrong, text, label_sets, "label set table");
	wrong.label_set_capacity = 0;
	assert_lie_is_found(&wrong, text, label_sets, "label set table");
	free(text);
}

/* A copy of the text with a part of it replaced; the caller frees it. */
static char *
replaced(const char *text, const char *part, const char *by)
{
	const char *at = strstr(text, part);
	char *copy;

	assert_non_null(at);
	assert_true(asprintf(&copy, "%.*s%s%s", (int)(at - text), text, by,
			at + strlen(part)) > 0);
	return copy;
}

static void
a_file_whose_registry_lies_is_moved_aside(void **state)
{
	static const struct {
		const char *part;
		const char *by;
	} lies[] = {
	    {"endpoints 3", "endpoints 99999999999"},
	    {"endpoints 3", "endpoints 18446744073709551617"},
	    {"endpoints 3", "endpoints 2"},
	    {"endpoints 3", "endpoints -1"},
	    {"endpoints 3", "endpoints 3x"},
	    {"endpoints 3", "endpoints +3"},
	    {"methods 2", "methods 1"},
	    {"methods 2", "methods 3"},
	    {"methods 2\nGET\nother\n", "methods 0\n"},
	    {"methods 2\nGET\nother\n", "methods 2\nGET\nother"},
	    {"cells", "sells"},
	};
	struct counters_header header;
	uint64_t label_sets[16];
	char *text;

	(void)state;
	sound_parts(&header, &text, label_sets);
	for (size_t i = 0; i < COUNT(lies); i++) {
		char *wrong = replaced(text, lies[i].part, lies[i].by);

		assert_lie_is_found(&header, wrong, label_sets, "its ");
		free(wrong);
	}
	free(text);
}

static void
a_full_key_table_without_the_overflow_key_is_moved_aside(void **state)
{
	struct counters_header header;
	uint64_t label_sets[16];
	char *text;

	(void)state;
	sound_parts(&header, &text, label_sets);
	for (unsigned i = 0; i < 16; i++)
		label_sets[i] =
		    counters_format_pack_label_set(HOME, GET, 200 + i);
	assert_lie_is_found(&header, text, label_sets, "label set table");
	free(text);
}

static void
damage_after_damage_keeps_each_file_under_a_name_of_its_own(void **state)
{
	char name[SUPPORT_NAME];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct counters counters;

		support_write(path, "damaged", 7);
		counters = open_quietly(&registry, 2);
		counters_close(&counters);
	}
	assert_int_equal(support_find(".damaged-", name, sizeof(name)), 3);
}

static void
a_damaged_file_that_cannot_be_moved_aside_stays_as_it_is(void **state)
{
	char name[SUPPORT_NAME];
	char *bytes;
	size_t size;

	(void)state;
	support_write(path, "damaged", 7);
	link_error = EEXIST; /* every name is taken */
	open_refused(-EEXIST);
	link_error = EPERM;
	open_refused(-EPERM);
	bytes = support_read(path, &size);
	assert_string_equal(bytes, "damaged");
	free(bytes);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
	link_error = 0;
	assert_recovers("damaged", 7, "it is cut short");
}

/* --- something else in its place ----------------------------------------- */

static void
a_directory_in_its_place_is_refused_and_left_alone(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(mkdir(path, 0755), 0);
	assert_says(open_refused(-EISDIR), "it is a directory");
	assert_int_equal(stat(path, &status), 0);
	assert_true(S_ISDIR(status.st_mode));
}

static void
a_fifo_in_its_place_is_refused_at_once_and_left_alone(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_says(open_refused(-EINVAL), "not a regular file");
	assert_int_equal(stat(path, &status), 0);
	assert_true(S_ISFIFO(status.st_mode));
}

static void
a_symbolic_link_to_elsewhere_is_refused_and_what_it_names_is_left_alone(
    void **state)
{
	const char *elsewhere = support_path("precious");
	char *bytes;
	size_t size;

	(void)state;
	support_write(elsewhere, "precious", 8);
	assert_int_equal(symlink(elsewhere, path), 0);
	assert_says(open_refused(-ELOOP), "symbolic link");
	bytes = support_read(support_path("precious"), &size);
	assert_string_equal(bytes, "precious");
	free(bytes);
}

static void
a_symbolic_link_to_nowhere_is_refused_and_makes_nothing(void **state)
{
	char name[SUPPORT_NAME];

	(void)state;
	assert_int_equal(symlink(support_path("nowhere"), path), 0);
	open_refused(-ELOOP);
	assert_int_equal(support_find("nowhere", name, sizeof(name)), 0);
}

static void
a_missing_directory_is_refused_with_advice(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s", support_path("missing/counters"));
	assert_says(open_refused(-ENOENT), "make its directory");
}

static void
a_path_that_is_too_long_is_refused(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/%0300d", support_folder, 0);
	open_refused(-ENAMETOOLONG);
	/* One that is short enough, but not with .new behind it. */
	snprintf(path, sizeof(path), "%s/%0253d", support_folder, 0);
	open_refused(-ENAMETOOLONG);
	assert_int_equal(access(path, F_OK), -1);
}

/* --- a system that says no ----------------------------------------------- */

/* As a user that permissions hold for; says on stderr. */
static int
open_as_nobody(void *expected)
{
	struct counters counters;

	support_become_nobody();
	return counters_open(&counters, path, &registry, 2) == *(int *)expected
		   ? 0
		   : 1;
}

static const char *
nobody_is_refused(int error)
{
	int status;
	const char *said;

	support_capture();
	status = support_in_child(open_as_nobody, &error);
	said = support_said();
	if (status != 0)
		fail_msg("another error than %d: %s", error, said);
	return said;
}

/* Root's, or read-only to its owner where the tests do not run as root. */
static void
take_away(const char *name, mode_t mode)
{
	assert_int_equal(chmod(name, mode), 0);
}

static void
a_file_without_permission_is_refused_and_kept(void **state)
{
	struct counters counters;

	(void)state;
	make_counts();
	take_away(path, 0);
	assert_says(nobody_is_refused(-EACCES), "permission denied");
	take_away(path, 0600);
	counters = open_pool(&registry, 2);
	assert_counts(&counters);
	counters_close(&counters);
}

static void
a_read_only_directory_is_refused_with_advice(void **state)
{
	char name[SUPPORT_NAME];

	(void)state;
	take_away(support_folder, 0555);
	assert_says(nobody_is_refused(-EACCES), "permission denied");
	take_away(support_folder, 0755);
	assert_int_equal(support_find("counters", name, sizeof(name)), 0);
}

static void
a_damaged_file_in_a_read_only_directory_is_refused_and_kept(void **state)
{
	char *bytes;
	size_t size;

	(void)state;
	support_write(path, "damaged", 7);
	take_away(path, 0666);
	take_away(support_folder, 0555);
	assert_says(nobody_is_refused(-EACCES), path);
	take_away(support_folder, 0755);
	bytes = support_read(path, &size);
	assert_string_equal(bytes, "damaged");
	free(bytes);
}

static void
a_sound_file_in_a_read_only_directory_is_used(void **state)
{
	int expected = 0;

	(void)state;
	make_counts();
	take_away(path, 0666);
	take_away(support_folder, 0555);
	assert_int_equal(support_in_child(open_as_nobody, &expected), 0);
	take_away(support_folder, 0755);
}

static void
a_read_only_file_system_is_refused_with_advice(void **state)
{
	(void)state;
	support_capture(); /* opens a file of its own */
	open_error = EROFS;
	struct counters counters;
	int result = counters_open(&counters, path, &registry, 2);
	open_error = 0;
	const char *said = support_said();

	assert_int_equal(result, -EROFS);
	assert_says(said, "the file system is read-only");
	assert_says(said, path);
}

static void
a_full_disk_is_refused_at_the_start_and_leaves_nothing(void **state)
{
	char name[SUPPORT_NAME];

	(void)state;
	fallocate_error = ENOSPC;
	assert_says(open_refused(-ENOSPC), "the disk is full");
	assert_int_equal(support_find("counters", name, sizeof(name)), 0);
}

static void
a_full_disk_loses_nothing_of_a_file_to_be_taken_over(void **state)
{
	struct counters counters;
	char name[SUPPORT_NAME];
	char *before;
	char *after;
	size_t before_size;
	size_t after_size;
	int result;

	(void)state;
	before = sound_bytes(&before_size);
	fallocate_error = ENOSPC;
	support_capture();
	result = counters_open(&counters, path, &registry, 200);
	assert_says(support_said(), "the disk is full");
	assert_int_equal(result, -ENOSPC);
	after = support_read(path, &after_size);
	assert_int_equal(after_size, before_size);
	assert_memory_equal(after, before, before_size);
	free(before);
	free(after);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
	/* Some space, and the same process tries again. */
	fallocate_error = 0;
	counters = open_quietly(&registry, 200);
	assert_counts(&counters);
	counters_close(&counters);
}

static void
a_full_disk_loses_nothing_of_a_damaged_file(void **state)
{
	char *bytes;
	size_t size;

	(void)state;
	support_write(path, "damaged", 7);
	fallocate_error = ENOSPC;
	assert_says(open_refused(-ENOSPC), "the disk is full");
	bytes = support_read(path, &size);
	assert_string_equal(bytes, "damaged");
	free(bytes);
}

/* The kernel's own refusal, of a file larger than this process may make. */
static int
open_with_little_room(void *unused)
{
	const struct rlimit limit = {1024, 1024};
	struct counters counters;

	(void)unused;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	return counters_open(&counters, path, &registry, 100) == -EFBIG ? 0 : 1;
}

static void
a_file_that_the_kernel_will_not_let_grow_is_refused_and_leaves_nothing(
    void **state)
{
	char name[SUPPORT_NAME];
	int status;

	(void)state;
	support_capture();
	status = support_in_child(open_with_little_room, NULL);
	support_said();
	assert_int_equal(status, 0);
	assert_int_equal(support_find("counters", name, sizeof(name)), 0);
}

static void
the_file_lives_on_tmpfs_and_on_disk_alike(void **state)
{
	static const char *const places[] = {"/dev/shm", "/tmp"};
	struct statfs status;

	(void)state;
	assert_int_equal(statfs(places[0], &status), 0);
	assert_int_equal(status.f_type, TMPFS_MAGIC);
	for (size_t i = 0; i < COUNT(places); i++) {
		char folder[64];

		snprintf(folder, sizeof(folder), "%s/fcgi-webapp-test-XXXXXX",
		    places[i]);
		assert_non_null(mkdtemp(folder));
		snprintf(path, sizeof(path), "%s/counters", folder);
		make_counts();
		struct counters counters = open_pool(&registry, 2);
		assert_counts(&counters);
		counters_close(&counters);
		counters =
		    open_quietly(&registry, 20); /* and is replaced there */
		assert_counts(&counters);
		counters_close(&counters);
		support_remove(folder);
	}
}

/* --- another version's file ---------------------------------------------- */

/* Open with another registry; the old file must be kept as it was. */
static struct counters
take_over(const struct registry *names, unsigned workers)
{
	size_t before_size;
	size_t after_size;
	char *before = support_read(path, &before_size);
	char *after;
	struct counters counters;
	char name[SUPPORT_NAME];

	support_capture();
	counters = open_pool(names, workers);
	assert_says(support_said(), "taken over from another version");
	after = support_read(support_path("counters.previous"), &after_size);
	assert_int_equal(after_size, before_size);
	assert_memory_equal(after, before, before_size);
	free(before);
	free(after);
	assert_int_equal(support_find(".damaged", name, sizeof(name)), 0);
	assert_int_equal(support_find(".new", name, sizeof(name)), 0);
	assert_int_equal(counters_sum(&counters, REGISTRY_STORE_RECOVERIES), 0);
	return counters;
}

static void
one_family_more_keeps_every_count(void **state)
{
	static const char *const more[] = {PLAIN_CELLS, "apples_total",
	    "cherries_total", "pears_total{kind=\"conference\"}"};
	const struct registry newer = {
	    more, COUNT(more), endpoints, 3, methods, 2, 16};
	struct counters counters;

	(void)state;
	make_counts();
	counters = take_over(&newer, 2);
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM);
	assert_int_equal(counters_sum(&counters, APPLES + 1), 0);
	assert_int_equal(counters_sum(&counters, APPLES + 2), 1000 * SLOT_SUM);
	assert_int_equal(counters_sum(&counters,
			     counters_find_value(&counters, SHOP, GET, 200)),
	    7 * SLOT_SUM);
	counters_close(&counters);
	counters = open_pool(&newer, 2); /* from here on it is its own */
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM);
	counters_close(&counters);
}

static void
one_family_fewer_keeps_every_other_count(void **state)
{
	static const char *const fewer[] = {
	    PLAIN_CELLS, "pears_total{kind=\"conference\"}"};
	const struct registry newer = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};
	struct counters counters;

	(void)state;
	make_counts();
	counters = take_over(&newer, 2);
	assert_int_equal(counters_sum(&counters, APPLES), 1000 * SLOT_SUM);
	assert_int_equal(counters_sum(&counters,
			     counters_find_value(&counters, SHOP, GET, 200)),
	    7 * SLOT_SUM);
	counters_close(&counters);
	/* What was left out is still in the previous file. */
	snprintf(path, sizeof(path), "%s", support_path("counters.previous"));
	counters = open_pool(&registry, 2);
	assert_counts(&counters);
	counters_close(&counters);
}

static void
one_label_value_more_keeps_every_count(void **state)
{
	static const char *const more[] = {"cafe", "home", "shop", "other"};
	static const char *const more_methods[] = {"DELETE", "GET", "other"};
	const struct registry newer = {
	    fixed, COUNT(fixed), more, 4, more_methods, 3, 32};
	struct counters counters;
	struct counters_label_set label_sets[32];

	(void)state;
	make_counts();
	counters = take_over(&newer, 2);
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM);
	assert_int_equal(
	    counters_sum(&counters, counters_find_value(&counters, 2, 1, 200)),
	    7 * SLOT_SUM);
	assert_int_equal(
	    counters_sum(&counters, counters_find_value(&counters, 1, 2, 404)),
	    UINT64_C(1) << 40);
	assert_int_equal(counters_list_label_sets(&counters, label_sets), 3);
	counters_close(&counters);
}

static void
one_label_value_fewer_keeps_every_other_count(void **state)
{
	static const char *const fewer[] = {"shop", "other"};
	const struct registry newer = {
	    fixed, COUNT(fixed), fewer, 2, methods, 2, 16};
	struct counters counters;

	(void)state;
	make_counts();
	counters = take_over(&newer, 2);
	assert_int_equal(counters_sum(&counters,
			     counters_find_value(&counters, 0, GET, 200)),
	    7 * SLOT_SUM);
	assert_int_equal(counters_sum(&counters, PEARS), 1000 * SLOT_SUM);
	counters_close(&counters);
}

static void
a_smaller_key_table_takes_the_rest_as_overflow(void **state)
{
	const struct registry newer = {
	    fixed, COUNT(fixed), endpoints, 3, methods, 2, 4};
	struct counters_label_set label_sets[4];
	struct counters counters = open_pool(&registry, 1);
	uint64_t sum = 0;

	(void)state;
	for (unsigned code = 200; code < 210; code++)
		count(&counters, SLOT_WORKER,
		    counters_find_value(&counters, HOME, GET, code), code);
	counters_close(&counters);
	counters = take_over(&newer, 1);
	assert_int_equal(counters_list_label_sets(&counters, label_sets), 4);
	for (int i = 0; i < 4; i++)
		sum += counters_sum(&counters, label_sets[i].index);
	assert_int_equal(sum, 2045);
	counters_close(&counters);
}

static void
a_bucket_whose_bound_is_gone_goes_into_the_next(void **state)
{
	static const char *const old_names[] = {PLAIN_CELLS,
	    "t_seconds_sum{endpoint=\"home\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"0.1\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"0.3\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"1\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"60.0\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"+Inf\"}",
	    "t_seconds_bucket{endpoint=\"gone\",le=\"0.3\"}"};
	static const char *const new_names[] = {PLAIN_CELLS,
	    "t_seconds_sum{endpoint=\"home\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"0.1\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"0.5\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"1.0\"}",
	    "t_seconds_bucket{endpoint=\"home\",le=\"+Inf\"}"};
	const struct registry old = {
	    old_names, COUNT(old_names), endpoints, 3, methods, 2, 16};
	const struct registry newer = {
	    new_names, COUNT(new_names), endpoints, 3, methods, 2, 16};
	static const uint64_t expected[] = {1, 10, 100, 1000, 110000};
	struct counters counters = open_pool(&old, 1);
	uint64_t by = 1;

	(void)state;
	for (size_t index = REGISTRY_QUEUE; index < COUNT(old_names); index++) {
		count(&counters, SLOT_WORKER, index, by);
		by *= 10;
	}
	counters_close(&counters);
	counters = take_over(&newer, 1);
	for (size_t i = 0; i < COUNT(expected); i++)
		assert_int_equal(
		    counters_sum(&counters, REGISTRY_QUEUE + i), expected[i]);
	counters_close(&counters);
}

static void
the_real_registry_with_an_endpoint_more_and_back_keeps_every_count(void **state)
{
	static const char *const more[] = {"home", "new", "shop", "other"};
	struct registry *old = registry_new(endpoints, 3, methods, 2);
	struct registry *newer = registry_new(more, 4, methods, 2);
	struct counters counters = open_pool(old, 2);

	(void)state;
	count(&counters, SLOT_WORKER, REGISTRY_STARTS, 3);
	count(&counters, SLOT_WORKER,
	    registry_endpoint_value(SHOP, REGISTRY_ENDPOINT_SIZE), 123456789);
	count(&counters, SLOT_WORKER + 1,
	    registry_bucket(
		registry_endpoint_value(SHOP, REGISTRY_ENDPOINT_DURATION),
		3000000),
	    17);
	count(
	    &counters, SLOT_CGI, registry_bucket(REGISTRY_QUEUE, INT64_MAX), 5);
	counters_close(&counters);
	counters = take_over(newer, 2);
	assert_int_equal(counters_sum(&counters, REGISTRY_STARTS), 3);
	assert_int_equal(counters_sum(&counters, registry_endpoint_value(2,
						     REGISTRY_ENDPOINT_SIZE)),
	    123456789);
	assert_int_equal(counters_sum(&counters,
			     registry_bucket(registry_endpoint_value(
						 2, REGISTRY_ENDPOINT_DURATION),
				 3000000)),
	    17);
	assert_int_equal(counters_sum(&counters, registry_endpoint_value(1,
						     REGISTRY_ENDPOINT_SIZE)),
	    0);
	counters_close(&counters);
	counters = take_over(old, 2); /* a rollback */
	assert_int_equal(counters_sum(&counters, REGISTRY_STARTS), 3);
	assert_int_equal(counters_sum(&counters, registry_endpoint_value(SHOP,
						     REGISTRY_ENDPOINT_SIZE)),
	    123456789);
	assert_int_equal(
	    counters_sum(&counters, registry_bucket(REGISTRY_QUEUE, INT64_MAX)),
	    5);
	counters_close(&counters);
	registry_free(old);
	registry_free(newer);
}

static void
more_workers_than_slots_make_a_larger_file_with_the_same_counts(void **state)
{
	struct counters counters;

	(void)state;
	make_counts();
	counters = take_over(&registry, 9);
	assert_int_equal(counters.slot_count, SLOT_WORKER + 9);
	assert_counts(&counters);
	counters_close(&counters);
}

static void
fewer_workers_than_slots_keep_the_file_and_its_counts(void **state)
{
	struct counters counters;
	char name[SUPPORT_NAME];

	(void)state;
	make_counts();
	counters = open_pool(&registry, 1);
	assert_int_equal(counters.slot_count, SLOT_WORKER + 2);
	assert_counts(&counters);
	counters_close(&counters);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
}

static void
a_file_that_cannot_be_linked_to_is_taken_over_all_the_same(void **state)
{
	struct counters counters;
	const char *said;

	(void)state;
	make_counts();
	link_error = EPERM;
	support_capture();
	counters = open_pool(&registry, 9);
	said = support_said();
	assert_says(said, "no copy of the previous counter file");
	assert_counts(&counters);
	counters_close(&counters);
}

/* --- CGI processes ---------------------------------------------------------
 */

static int
attach_and_count(void *argument)
{
	const struct registry *names = argument;
	struct counters counters;

	if (counters_attach(&counters, path, names) != 0)
		return 1;
	for (int i = 0; i < 10000; i++)
		counters_add_shared(
		    counters_values(&counters, SLOT_CGI), APPLES, 1);
	counters_close(&counters);
	return 0;
}

static void *
changeable(const struct registry *names)
{
	return (void *)(uintptr_t)names;
}

static void
cgi_processes_without_a_pool_make_the_file_and_count_exactly(void **state)
{
	pid_t children[PROCESSES];
	struct counters counters;
	char name[SUPPORT_NAME];

	(void)state;
	for (int i = 0; i < PROCESSES; i++)
		children[i] =
		    support_fork(attach_and_count, changeable(&registry));
	for (int i = 0; i < PROCESSES; i++)
		assert_int_equal(support_wait(children[i]), 0);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
	counters = open_quietly(&registry, 2);
	assert_int_equal(counters_sum(&counters, APPLES), PROCESSES * 10000);
	counters_close(&counters);
}

static void
cgi_processes_beside_a_pool_count_in_the_same_file(void **state)
{
	struct pool pool = {.registry = &registry};
	pid_t children[PROCESSES];
	struct counters counters;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	for (int i = 0; i < PROCESSES; i++)
		children[i] =
		    support_fork(attach_and_count, changeable(&registry));
	for (int i = 0; i < PROCESSES; i++)
		assert_int_equal(support_wait(children[i]), 0);
	assert_int_equal(support_finish(&pool.holder), 0);
	counters = open_pool(&registry, 2);
	assert_int_equal(
	    counters_sum(&counters, APPLES), SLOT_SUM + PROCESSES * 10000);
	counters_close(&counters);
}

static void
attaching_does_not_disturb_what_the_pool_says_of_itself(void **state)
{
	struct counters pool = open_pool(&registry, 2);
	struct counters counters;

	(void)state;
	scoreboard_entry(&pool.scoreboard, SLOT_WORKER)->pid = 4711;
	assert_int_equal(counters_attach(&counters, path, &registry), 0);
	assert_int_equal(
	    scoreboard_entry(&counters.scoreboard, SLOT_WORKER)->pid, 4711);
	counters_close(&counters);
	counters_close(&pool);
}

static void
a_cgi_process_of_another_version_beside_a_pool_is_told(void **state)
{
	static const char *const fewer[] = {PLAIN_CELLS, "apples_total"};
	const struct registry other = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};
	struct pool pool = {.registry = &registry};
	struct counters counters;
	int result;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	support_capture();
	result = counters_attach(&counters, path, &other);
	assert_says(support_said(), "another version wrote it");
	assert_int_equal(result, -ESTALE);
	assert_int_equal(support_finish(&pool.holder), 0);
	counters = open_pool(&registry, 2); /* and nothing was changed */
	assert_counts(&counters);
	counters_close(&counters);
}

static void
a_cgi_process_of_another_version_without_a_pool_takes_the_file_over(
    void **state)
{
	static const char *const fewer[] = {PLAIN_CELLS, "apples_total"};
	const struct registry other = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};
	struct counters counters;

	(void)state;
	make_counts();
	support_capture();
	assert_int_equal(counters_attach(&counters, path, &other), 0);
	assert_says(support_said(), "taken over");
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM);
	counters_close(&counters);
}

static void
a_cgi_process_mends_a_damaged_file_where_no_pool_does(void **state)
{
	struct counters counters;
	char name[SUPPORT_NAME];

	(void)state;
	support_write(path, "damaged", 7);
	support_capture();
	assert_int_equal(counters_attach(&counters, path, &registry), 0);
	assert_says(support_said(), "moved aside");
	assert_int_equal(counters_sum(&counters, REGISTRY_STORE_RECOVERIES), 1);
	counters_close(&counters);
	assert_int_equal(support_find(".damaged-", name, sizeof(name)), 1);
}

static void
a_cgi_process_is_refused_what_a_pool_is_refused(void **state)
{
	struct counters counters;
	int result;

	(void)state;
	assert_int_equal(mkdir(path, 0755), 0);
	support_capture();
	result = counters_attach(&counters, path, &registry);
	assert_says(support_said(), "it is a directory");
	assert_int_equal(result, -EISDIR);
	snprintf(path, sizeof(path), "%s", support_path("missing/counters"));
	support_capture();
	result = counters_attach(&counters, path, &registry);
	assert_says(support_said(), "make its directory");
	assert_int_equal(result, -ENOENT);
}

/* A CGI process that counts, waits, counts again and leaves. */
static int
attach_and_wait(void *argument)
{
	struct pool *pool = argument;
	struct counters counters;

	if (counters_attach(&counters, path, pool->registry) != 0)
		return 1;
	counters_add_shared(counters_values(&counters, SLOT_CGI), APPLES, 5);
	support_hold(&pool->holder);
	counters_add_shared(counters_values(&counters, SLOT_CGI), APPLES, 7);
	counters_close(&counters);
	return 0;
}

/* A pool with more workers, so that it has to replace the file. */
static int
open_large(void *unused)
{
	struct counters counters;

	(void)unused;
	if (counters_open(&counters, path, &registry, 20) != 0)
		return 1;
	counters_close(&counters);
	return 0;
}

/* Whether someone waits for a lock on this inode (proc_locks(5)). */
static bool
is_waited_for(ino_t inode)
{
	FILE *locks = fopen("/proc/locks", "re");
	char wanted[32];
	char line[256];
	bool found = false;

	assert_non_null(locks);
	snprintf(wanted, sizeof(wanted), ":%lu ", (unsigned long)inode);
	while (!found && fgets(line, sizeof(line), locks))
		found = strstr(line, "-> OFDLCK") && strstr(line, wanted);
	fclose(locks);
	return found;
}

static void
a_file_is_not_replaced_while_a_cgi_process_counts_in_it(void **state)
{
	struct pool cgi = {.registry = &registry};
	struct stat status;
	struct counters counters;
	pid_t pool;

	(void)state;
	make_counts();
	assert_int_equal(stat(path, &status), 0);
	support_start(&cgi.holder, attach_and_wait, &cgi);
	support_capture();
	pool = support_fork(open_large, NULL);
	while (
	    !is_waited_for(status.st_ino) && waitpid(pool, NULL, WNOHANG) == 0)
		sched_yield();
	assert_int_equal(support_finish(&cgi.holder), 0);
	assert_int_equal(support_wait(pool), 0);
	assert_says(support_said(), "waiting for CGI processes");
	counters = open_pool(&registry, 2);
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM + 5 + 7);
	counters_close(&counters);
}

static void
a_cgi_process_that_takes_its_time_does_not_keep_a_pool_from_starting(
    void **state)
{
	struct pool cgi = {.registry = &registry};
	struct counters counters;

	(void)state;
	make_counts();
	support_start(&cgi.holder, attach_and_wait, &cgi);
	counters = open_pool(&registry, 2); /* nothing is to be replaced */
	assert_int_equal(support_finish(&cgi.holder), 0);
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM + 5 + 7);
	counters_close(&counters);
}

/* --- reading ---------------------------------------------------------------
 */

static void
reading_tells_whether_a_pool_is_alive(void **state)
{
	struct pool pool = {.registry = &registry};
	struct counters counters;
	bool alive = true;

	(void)state;
	make_counts();
	assert_int_equal(counters_read(&counters, path, &registry, &alive), 0);
	assert_false(alive);
	assert_counts(&counters);
	counters_close(&counters);
	support_start(&pool.holder, hold_pool, &pool);
	assert_int_equal(counters_read(&counters, path, &registry, &alive), 0);
	assert_true(alive);
	counters_close(&counters);
	assert_int_equal(support_finish(&pool.holder), 0);
}

/* Reading must fail with this, say so, and leave every byte as it is. */
static void
assert_unreadable(const struct registry *names, int error, const char *saying)
{
	struct counters counters;
	size_t before_size;
	size_t after_size;
	char *before = support_read(path, &before_size);
	char *after;
	char name[SUPPORT_NAME];
	bool alive;
	int result;

	support_capture();
	result = counters_read(&counters, path, names, &alive);
	assert_says(support_said(), saying);
	assert_int_equal(result, error);
	after = support_read(path, &after_size);
	assert_int_equal(after_size, before_size);
	assert_memory_equal(after, before, before_size);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
	free(before);
	free(after);
}

static void
reading_a_damaged_file_says_so_and_changes_nothing(void **state)
{
	(void)state;
	support_write(path, "", 0);
	assert_unreadable(&registry, -EBADMSG, "it is empty");
	support_write(path, "damaged", 7);
	assert_unreadable(&registry, -EBADMSG, "moves it aside");
}

static void
reading_another_versions_file_says_so_and_changes_nothing(void **state)
{
	static const char *const fewer[] = {PLAIN_CELLS, "apples_total"};
	const struct registry other = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};

	(void)state;
	make_counts();
	assert_unreadable(&other, -ESTALE, "another version wrote it");
}

static void
reading_what_is_not_there_says_so(void **state)
{
	struct counters counters;
	bool alive;
	int result;

	(void)state;
	support_capture();
	result = counters_read(&counters, path, &registry, &alive);
	assert_says(support_said(), "no such file or directory");
	assert_int_equal(result, -ENOENT);
	assert_int_equal(mkdir(path, 0755), 0);
	support_capture();
	result = counters_read(&counters, path, &registry, &alive);
	assert_says(support_said(), "it is a directory");
	assert_int_equal(result, -EISDIR);
	rmdir(path);
	assert_int_equal(mkfifo(path, 0644), 0);
	support_capture();
	result = counters_read(&counters, path, &registry, &alive);
	assert_says(support_said(), "not a regular file");
	assert_int_equal(result, -EINVAL);
}

static void
reading_needs_no_more_than_permission_to_read(void **state)
{
	struct counters counters;
	bool alive;

	(void)state;
	make_counts();
	take_away(path, 0444);
	assert_int_equal(counters_read(&counters, path, &registry, &alive), 0);
	assert_counts(&counters);
	counters_close(&counters);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up, support_release)

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
	    TEST(a_second_pool_is_refused_with_a_message_that_says_what_to_do),
	    TEST(a_pool_that_was_killed_holds_nothing),
	    TEST(eight_processes_that_count_at_once_lose_nothing),
	    TEST(
		processes_that_enter_the_same_label_sets_at_once_agree_on_the_values),
	    TEST(a_process_killed_while_it_counts_loses_nothing_it_counted),
	    TEST(a_file_of_zero_bytes_is_moved_aside),
	    TEST(a_file_cut_at_any_byte_is_moved_aside),
	    TEST(a_file_with_more_than_it_should_have_is_moved_aside),
	    TEST(a_foreign_file_is_moved_aside),
	    TEST(a_file_of_another_byte_order_is_moved_aside),
	    TEST(a_file_of_another_version_is_moved_aside),
	    TEST(a_flipped_bit_anywhere_in_the_header_is_detected),
	    TEST(a_flipped_bit_anywhere_in_the_registry_is_detected),
	    TEST(a_flipped_bit_anywhere_in_the_label_set_table_is_detected),
	    TEST(a_file_whose_header_lies_about_the_rest_is_moved_aside),
	    TEST(a_file_whose_registry_lies_is_moved_aside),
	    TEST(a_full_key_table_without_the_overflow_key_is_moved_aside),
	    TEST(damage_after_damage_keeps_each_file_under_a_name_of_its_own),
	    TEST(a_damaged_file_that_cannot_be_moved_aside_stays_as_it_is),
	    TEST(a_directory_in_its_place_is_refused_and_left_alone),
	    TEST(a_fifo_in_its_place_is_refused_at_once_and_left_alone),
	    TEST(
		a_symbolic_link_to_elsewhere_is_refused_and_what_it_names_is_left_alone),
	    TEST(a_symbolic_link_to_nowhere_is_refused_and_makes_nothing),
	    TEST(a_missing_directory_is_refused_with_advice),
	    TEST(a_path_that_is_too_long_is_refused),
	    TEST(a_file_without_permission_is_refused_and_kept),
	    TEST(a_read_only_directory_is_refused_with_advice),
	    TEST(a_damaged_file_in_a_read_only_directory_is_refused_and_kept),
	    TEST(a_sound_file_in_a_read_only_directory_is_used),
	    TEST(a_read_only_file_system_is_refused_with_advice),
	    TEST(a_full_disk_is_refused_at_the_start_and_leaves_nothing),
	    TEST(a_full_disk_loses_nothing_of_a_file_to_be_taken_over),
	    TEST(a_full_disk_loses_nothing_of_a_damaged_file),
	    TEST(
		a_file_that_the_kernel_will_not_let_grow_is_refused_and_leaves_nothing),
	    TEST(the_file_lives_on_tmpfs_and_on_disk_alike),
	    TEST(one_family_more_keeps_every_count),
	    TEST(one_family_fewer_keeps_every_other_count),
	    TEST(one_label_value_more_keeps_every_count),
	    TEST(one_label_value_fewer_keeps_every_other_count),
	    TEST(a_smaller_key_table_takes_the_rest_as_overflow),
	    TEST(a_bucket_whose_bound_is_gone_goes_into_the_next),
	    TEST(
		the_real_registry_with_an_endpoint_more_and_back_keeps_every_count),
	    TEST(
		more_workers_than_slots_make_a_larger_file_with_the_same_counts),
	    TEST(fewer_workers_than_slots_keep_the_file_and_its_counts),
	    TEST(a_file_that_cannot_be_linked_to_is_taken_over_all_the_same),
	    TEST(cgi_processes_without_a_pool_make_the_file_and_count_exactly),
	    TEST(cgi_processes_beside_a_pool_count_in_the_same_file),
	    TEST(attaching_does_not_disturb_what_the_pool_says_of_itself),
	    TEST(a_cgi_process_of_another_version_beside_a_pool_is_told),
	    TEST(
		a_cgi_process_of_another_version_without_a_pool_takes_the_file_over),
	    TEST(a_cgi_process_mends_a_damaged_file_where_no_pool_does),
	    TEST(a_cgi_process_is_refused_what_a_pool_is_refused),
	    TEST(a_file_is_not_replaced_while_a_cgi_process_counts_in_it),
	    TEST(
		a_cgi_process_that_takes_its_time_does_not_keep_a_pool_from_starting),
	    TEST(reading_tells_whether_a_pool_is_alive),
	    TEST(reading_a_damaged_file_says_so_and_changes_nothing),
	    TEST(reading_another_versions_file_says_so_and_changes_nothing),
	    TEST(reading_what_is_not_there_says_so),
	    TEST(reading_needs_no_more_than_permission_to_read),
	};

	return SUPPORT_RUN(tests);
}
