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
#include "metrics/shm.h"
#include "metrics/shm_format.h"

/* The file's layout, as store.c has it: what is on disk is a contract. */
enum {
	HEADER_SIZE = 64,
	VERSION_AT = 8,
	BYTE_ORDER_AT = 12,
	KEY_CAPACITY_AT = 36,
	SLOT_COUNT_AT = 40,
	CATALOG_SIZE_AT = 44,
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

/* The cells that store.c itself counts in, as in catalog.h, and five more. */
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

enum { APPLES = CATALOG_QUEUE, PEARS, CELLS };
enum { HOME, SHOP, REST };
enum { GET, OTHER };

static const char *const fixed[] = {
    PLAIN_CELLS, "apples_total", "pears_total{kind=\"conference\"}"};
static const char *const endpoints[] = {"home", "shop", "other"};
static const char *const methods[] = {"GET", "other"};

static const struct store_catalog catalog = {fixed, COUNT(fixed), endpoints,
    COUNT(endpoints), methods, COUNT(methods), 16};

static char path[PATH_MAX];

static int
set_up(void **state)
{
	snprintf(path, sizeof(path), "%s", support_path("counters"));
	fallocate_error = open_error = link_error = 0;
	return support_clear(state);
}

static struct store
open_pool(const struct store_catalog *names, unsigned workers)
{
	struct store store;

	assert_int_equal(store_open(&store, path, names, workers), 0);
	return store;
}

/* What a refused pool is told. */
static const char *
open_refused(int error)
{
	struct store store;
	int result;
	const char *said;

	support_capture();
	result = store_open(&store, path, &catalog, 2);
	said = support_said();
	assert_int_equal(result, error);
	assert_says(said, path);
	assert_says(said, "cannot open the counter file");
	return said;
}

static struct store
open_quietly(const struct store_catalog *names, unsigned workers)
{
	struct store store;

	support_capture();
	store = open_pool(names, workers);
	support_said();
	return store;
}

static void
count(struct store *store, unsigned slot, size_t cell, uint64_t by)
{
	store_add(store_cells(store, slot), cell, by);
}

/* A file with known counts in several slots, closed. */
static void
make_counts(void)
{
	struct store store = open_pool(&catalog, 2);

	for (unsigned slot = 0; slot < store.slot_count; slot++) {
		count(&store, slot, APPLES, slot + 1);
		count(&store, slot, PEARS, 1000 * (slot + 1));
		count(&store, slot, store_key_cell(&store, SHOP, GET, 200),
		    7 * (slot + 1));
	}
	count(&store, STORE_WORKER, store_key_cell(&store, HOME, OTHER, 404),
	    UINT64_C(1) << 40);
	store_close(&store);
}

/* 1 + 2 + ... of the five slots */
enum { SLOT_SUM = 15 };

static void
assert_counts(struct store *store)
{
	assert_int_equal(store_sum(store, APPLES), SLOT_SUM);
	assert_int_equal(store_sum(store, PEARS), 1000 * SLOT_SUM);
	assert_int_equal(
	    store_sum(store, store_key_cell(store, SHOP, GET, 200)),
	    7 * SLOT_SUM);
	assert_int_equal(
	    store_sum(store, store_key_cell(store, HOME, OTHER, 404)),
	    UINT64_C(1) << 40);
}

/* --- a fresh file ------------------------------------------------------ */

static void
a_fresh_file_counts_from_zero(void **state)
{
	struct store store = open_pool(&catalog, 3);
	char name[SUPPORT_NAME];

	(void)state;
	assert_int_equal(store.slot_count, STORE_WORKER + 3);
	assert_true(store.is_owner);
	for (size_t cell = 0; cell < CELLS; cell++)
		assert_int_equal(store_sum(&store, cell), 0);
	store_close(&store);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
}

static void
a_fresh_file_is_readable_by_its_owner_and_group_only(void **state)
{
	struct store store = open_pool(&catalog, 1);
	struct stat status;

	(void)state;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0137, 0);
	store_close(&store);
}

static void
a_fresh_file_is_reserved_in_full(void **state)
{
	struct store store = open_pool(&catalog, 8);
	struct stat status;

	(void)state;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, store.map_size);
	assert_true(status.st_blocks * 512 >= status.st_size);
	store_close(&store);
}

static void
a_value_is_the_sum_over_all_slots(void **state)
{
	struct store store;

	(void)state;
	make_counts();
	store = open_pool(&catalog, 2);
	assert_counts(&store);
	store_close(&store);
}

static void
slots_begin_on_cache_lines_of_their_own(void **state)
{
	struct store store = open_pool(&catalog, 4);

	(void)state;
	for (unsigned slot = 0; slot < store.slot_count; slot++) {
		assert_int_equal((uintptr_t)store_state(&store, slot) % 64, 0);
		assert_true((char *)(store_cells(&store, slot) + CELLS +
				     catalog.key_capacity) <=
			    (char *)store.map + store.map_size);
	}
	store_close(&store);
}

static void
counts_survive_being_closed_and_opened_a_hundred_times(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		struct store store = open_pool(&catalog, 2);

		assert_int_equal(store_sum(&store, APPLES), i);
		count(&store, STORE_WORKER + (unsigned)(i % 2), APPLES, 1);
		store_close(&store);
	}
}

static void
what_processes_did_is_forgotten_and_what_they_counted_is_not(void **state)
{
	struct store store = open_pool(&catalog, 2);

	(void)state;
	store_state(&store, STORE_WORKER)->pid = 4711;
	store_state(&store, STORE_MASTER)->draining = 1;
	store_state(&store, STORE_MASTER)->load_ticket = 1;
	count(&store, STORE_MASTER, APPLES, 1);
	store_close(&store);
	store = open_pool(&catalog, 2);
	assert_int_equal(store_state(&store, STORE_WORKER)->pid, 0);
	assert_int_equal(store_state(&store, STORE_MASTER)->draining, 0);
	assert_int_equal(store_state(&store, STORE_MASTER)->load_ticket, 0);
	assert_int_equal(store_sum(&store, APPLES), 1);
	store_close(&store);
}

static void
a_file_that_another_left_half_made_is_no_obstacle(void **state)
{
	struct store store;
	char name[SUPPORT_NAME];

	(void)state;
	support_write(support_path("counters.new"), "half", 4);
	store = open_pool(&catalog, 2);
	store_close(&store);
	assert_int_equal(support_find(".new", name, sizeof(name)), 0);
}

/* --- keys -------------------------------------------------------------- */

static void
a_combination_keeps_its_cell(void **state)
{
	struct store store = open_pool(&catalog, 1);
	size_t cell = store_key_cell(&store, SHOP, GET, 200);

	(void)state;
	assert_int_equal(store_key_cell(&store, SHOP, GET, 200), cell);
	assert_int_not_equal(store_key_cell(&store, SHOP, GET, 201), cell);
	assert_int_not_equal(store_key_cell(&store, SHOP, OTHER, 200), cell);
	assert_int_not_equal(store_key_cell(&store, HOME, GET, 200), cell);
	store_close(&store);
	store = open_pool(&catalog, 1);
	assert_int_equal(store_key_cell(&store, SHOP, GET, 200), cell);
	store_close(&store);
}

static void
keys_are_listed_by_endpoint_method_and_code(void **state)
{
	struct store store = open_pool(&catalog, 1);
	struct store_key keys[16];
	size_t count_keys;

	(void)state;
	store_key_cell(&store, SHOP, GET, 404);
	store_key_cell(&store, SHOP, GET, 200);
	store_key_cell(&store, HOME, OTHER, 200);
	store_key_cell(&store, HOME, GET, 599);
	count_keys = store_list_keys(&store, keys);
	assert_int_equal(count_keys, 5); /* the last is the overflow */
	assert_int_equal(keys[0].endpoint, HOME);
	assert_int_equal(keys[0].method, GET);
	assert_int_equal(keys[0].code, 599);
	assert_int_equal(keys[1].method, OTHER);
	assert_int_equal(keys[2].code, 200);
	assert_int_equal(keys[3].code, 404);
	assert_int_equal(keys[3].cell, store_key_cell(&store, SHOP, GET, 404));
	assert_int_equal(keys[4].code, 0);
	store_close(&store);
}

static void
a_full_key_table_counts_under_the_overflow_key(void **state)
{
	struct store store = open_pool(&catalog, 1);
	struct store_key keys[16];
	uint64_t sum = 0;
	size_t overflow = store_key_cell(&store, REST, OTHER, 0);

	(void)state;
	for (unsigned code = 200; code < 260; code++)
		count(&store, STORE_WORKER,
		    store_key_cell(&store, HOME, GET, code), 1);
	assert_int_equal(store_list_keys(&store, keys), 16);
	for (size_t i = 0; i < 16; i++)
		sum += store_sum(&store, keys[i].cell);
	assert_int_equal(sum, 60);
	assert_int_equal(store_sum(&store, overflow), 60 - 15);
	store_close(&store);
	store = open_pool(&catalog, 1); /* and it is not taken for damage */
	assert_int_equal(store_sum(&store, CATALOG_STORE_RECOVERIES), 0);
	store_close(&store);
}

/* --- two pools ---------------------------------------------------------- */

struct pool {
	struct support_holder holder;
	const struct store_catalog *catalog;
};

static int
hold_pool(void *argument)
{
	struct pool *pool = argument;
	struct store store;

	if (store_open(&store, path, pool->catalog, 2) != 0)
		return 1;
	support_hold(&pool->holder);
	store_close(&store);
	return 0;
}

static void
a_second_pool_is_refused_with_a_message_that_says_what_to_do(void **state)
{
	struct pool pool = {.catalog = &catalog};
	const char *said;
	struct store store;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	said = open_refused(-EBUSY);
	assert_says(said, "another pool holds it");
	assert_says(said, "--metrics-file");
	assert_int_equal(support_finish(&pool.holder), 0);
	store = open_pool(&catalog, 2);
	assert_counts(&store);
	store_close(&store);
}

static void
a_pool_that_was_killed_holds_nothing(void **state)
{
	struct pool pool = {.catalog = &catalog};
	struct store store;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	kill(pool.holder.pid, SIGKILL);
	store = open_pool(&catalog, 2); /* waits for it to be gone */
	assert_counts(&store);
	store_close(&store);
	assert_int_equal(support_finish(&pool.holder), 1000 + SIGKILL);
}

/* --- processes that count at once --------------------------------------- */

enum { PROCESSES = 8, ROUNDS = 200000 };

struct counting {
	struct store *store;
	unsigned slot;
};

static int
count_in_slot(void *argument)
{
	const struct counting *counting = argument;
	_Atomic uint64_t *cells = store_cells(counting->store, counting->slot);

	for (unsigned i = 0; i < ROUNDS; i++) {
		store_add(cells, APPLES, 1);
		store_add(cells,
		    store_key_cell(counting->store, SHOP, GET, 200 + i % 8), 1);
	}
	return 0;
}

static void
eight_processes_that_count_at_once_lose_nothing(void **state)
{
	struct store store = open_pool(&catalog, PROCESSES);
	struct counting counting[PROCESSES];
	pid_t children[PROCESSES];

	(void)state;
	for (unsigned i = 0; i < PROCESSES; i++) {
		counting[i] = (struct counting){&store, STORE_WORKER + i};
		children[i] = support_fork(count_in_slot, &counting[i]);
	}
	for (unsigned i = 0; i < PROCESSES; i++)
		assert_int_equal(support_wait(children[i]), 0);
	assert_int_equal(store_sum(&store, APPLES), PROCESSES * ROUNDS);
	for (unsigned code = 200; code < 208; code++)
		assert_int_equal(
		    store_sum(&store, store_key_cell(&store, SHOP, GET, code)),
		    PROCESSES * ROUNDS / 8);
	store_close(&store);
}

/* Every process enters every key, in an order of its own. */
static int
enter_keys(void *argument)
{
	const struct counting *counting = argument;
	_Atomic uint64_t *cells = store_cells(counting->store, counting->slot);

	for (unsigned i = 0; i < 12; i++)
		store_add(cells,
		    store_key_cell(counting->store, HOME, OTHER,
			200 + (i * 5 + counting->slot) % 12),
		    1);
	return 0;
}

static void
processes_that_enter_the_same_keys_at_once_agree_on_the_cells(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct store store;
		struct counting counting[PROCESSES];
		pid_t children[PROCESSES];
		struct store_key keys[16];

		unlink(path);
		store = open_pool(&catalog, PROCESSES);
		for (unsigned i = 0; i < PROCESSES; i++) {
			counting[i] =
			    (struct counting){&store, STORE_WORKER + i};
			children[i] = support_fork(enter_keys, &counting[i]);
		}
		for (unsigned i = 0; i < PROCESSES; i++)
			assert_int_equal(support_wait(children[i]), 0);
		assert_int_equal(store_list_keys(&store, keys), 12 + 1);
		for (unsigned code = 200; code < 212; code++)
			assert_int_equal(
			    store_sum(&store,
				store_key_cell(&store, HOME, OTHER, code)),
			    PROCESSES);
		store_close(&store);
	}
}

/* Counts for ever, and after each count says so in shared memory. */
struct progress {
	struct store *store;
	_Atomic uint64_t *counted;
};

static int
count_until_killed(void *argument)
{
	const struct progress *progress = argument;
	_Atomic uint64_t *cells = store_cells(progress->store, STORE_WORKER);

	do {
		store_add(cells, APPLES, 1);
	} while (++*progress->counted);
	return 0;
}

static void
a_process_killed_while_it_counts_loses_nothing_it_counted(void **state)
{
	struct store store = open_pool(&catalog, 1);
	_Atomic uint64_t *counted = mmap(NULL, sizeof(*counted),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct progress progress = {&store, counted};

	(void)state;
	assert_ptr_not_equal(counted, MAP_FAILED);
	for (int i = 0; i < 20; i++) {
		uint64_t before = store_sum(&store, APPLES);
		pid_t child;

		*counted = 0;
		child = support_fork(count_until_killed, &progress);
		while (*counted < 1000)
			sched_yield();
		kill(child, SIGKILL);
		assert_int_equal(support_wait(child), 1000 + SIGKILL);
		/* It may have died between the count and saying so. */
		assert_in_range(
		    store_sum(&store, APPLES) - before, *counted, *counted + 1);
	}
	munmap(counted, sizeof(*counted));
	store_close(&store);
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
	struct store store;

	support_clear(NULL);
	support_write(path, bytes, size);
	support_capture();
	store = open_pool(&catalog, 2);
	said = support_said();
	assert_int_equal(store_sum(&store, CATALOG_STORE_RECOVERIES), 1);
	assert_int_equal(store_sum(&store, APPLES), 0);
	store_close(&store);
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

/* Where the catalog ends, and where the keys begin and end. */
static size_t
catalog_end(const char *bytes)
{
	return HEADER_SIZE + number_at(bytes, CATALOG_SIZE_AT);
}

static size_t
keys_begin(const char *bytes)
{
	return (catalog_end(bytes) + 63) / 64 * 64;
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
	size_t end = keys_begin(bytes) + catalog.key_capacity * 8;

	(void)state;
	for (size_t length = 1; length < end; length++)
		assert_recovers(bytes, length,
		    length < HEADER_SIZE ? "it is cut short" : "its size");
	/* Beyond that it is all cells: a sample, and the last bytes. */
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
a_flipped_bit_anywhere_in_the_catalog_is_detected(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);

	(void)state;
	assert_every_bit_matters(bytes, size, HEADER_SIZE, catalog_end(bytes));
	free(bytes);
}

static void
a_flipped_bit_anywhere_in_the_key_table_is_detected(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);
	size_t from = keys_begin(bytes);

	(void)state;
	assert_every_bit_matters(
	    bytes, size, from, from + catalog.key_capacity * 8);
	free(bytes);
}

/* --- files that are sound in all but what they say ------------------------ */

/*
 * Put a file with this header, catalog and keys where the file is, as large as
 * it says that it is and with the right checksum: it must be moved aside.
 */
static void
assert_lie_is_found(const struct store_header *wrong, const char *text,
    const uint64_t *keys, const char *problem)
{
	struct store_header header = *wrong;
	struct store_layout layout;
	char *bytes;

	header.catalog_size = (uint32_t)strlen(text);
	header.checksum = store_format_checksum(&header, text);
	layout = store_format_layout(&header);
	bytes = calloc(1, layout.file_size);
	assert_non_null(bytes);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), text, header.catalog_size);
	memcpy(
	    bytes + layout.keys, keys, header.key_capacity * sizeof(uint64_t));
	assert_recovers(bytes, layout.file_size, problem);
	free(bytes);
}

/* The parts of a sound file; the caller frees *text. */
static void
sound_parts(struct store_header *header, char **text, uint64_t keys[16])
{
	size_t size;
	char *bytes = sound_bytes(&size);

	memcpy(header, bytes, sizeof(*header));
	*text = strndup(bytes + sizeof(*header), header->catalog_size);
	assert_non_null(*text);
	memcpy(keys, bytes + keys_begin(bytes), 16 * sizeof(*keys));
	free(bytes);
}

static void
a_file_whose_header_lies_about_the_rest_is_moved_aside(void **state)
{
	struct store_header header;
	struct store_header wrong;
	uint64_t keys[16];
	char *text;

	(void)state;
	sound_parts(&header, &text, keys);
	wrong = header;
	wrong.fixed_count = 1;
	assert_lie_is_found(&wrong, text, keys, "catalog");
	wrong.fixed_count = header.fixed_count + 1;
	assert_lie_is_found(&wrong, text, keys, "catalog");
	wrong = header;
	wrong.state_size += 4;
	assert_lie_is_found(&wrong, text, keys, "slots");
	wrong = header;
	wrong.slot_count = STORE_WORKER - 1;
	assert_lie_is_found(&wrong, text, keys, "slots");
	wrong = header;
	wrong.key_capacity = 12;
	assert_lie_is_found(&wrong, text, keys, "key table");
	wrong.key_capacity = 0;
	assert_lie_is_found(&wrong, text, keys, "key table");
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
a_file_whose_catalog_lies_is_moved_aside(void **state)
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
	struct store_header header;
	uint64_t keys[16];
	char *text;

	(void)state;
	sound_parts(&header, &text, keys);
	for (size_t i = 0; i < COUNT(lies); i++) {
		char *wrong = replaced(text, lies[i].part, lies[i].by);

		assert_lie_is_found(&header, wrong, keys, "its ");
		free(wrong);
	}
	free(text);
}

static void
a_full_key_table_without_the_overflow_key_is_moved_aside(void **state)
{
	struct store_header header;
	uint64_t keys[16];
	char *text;

	(void)state;
	sound_parts(&header, &text, keys);
	for (unsigned i = 0; i < 16; i++)
		keys[i] = store_format_pack_key(HOME, GET, 200 + i);
	assert_lie_is_found(&header, text, keys, "key table");
	free(text);
}

static void
damage_after_damage_keeps_each_file_under_a_name_of_its_own(void **state)
{
	char name[SUPPORT_NAME];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct store store;

		support_write(path, "damaged", 7);
		store = open_quietly(&catalog, 2);
		store_close(&store);
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
	struct store store;

	support_become_nobody();
	return store_open(&store, path, &catalog, 2) == *(int *)expected ? 0
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
	struct store store;

	(void)state;
	make_counts();
	take_away(path, 0);
	assert_says(nobody_is_refused(-EACCES), "permission denied");
	take_away(path, 0600);
	store = open_pool(&catalog, 2);
	assert_counts(&store);
	store_close(&store);
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
	struct store store;
	int result = store_open(&store, path, &catalog, 2);
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
	struct store store;
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
	result = store_open(&store, path, &catalog, 200);
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
	store = open_quietly(&catalog, 200);
	assert_counts(&store);
	store_close(&store);
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
	struct store store;

	(void)unused;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	return store_open(&store, path, &catalog, 100) == -EFBIG ? 0 : 1;
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
		struct store store = open_pool(&catalog, 2);
		assert_counts(&store);
		store_close(&store);
		store = open_quietly(&catalog, 20); /* and is replaced there */
		assert_counts(&store);
		store_close(&store);
		support_remove(folder);
	}
}

/* --- another version's file ---------------------------------------------- */

/* Open with another catalog; the old file must be kept as it was. */
static struct store
take_over(const struct store_catalog *names, unsigned workers)
{
	size_t before_size;
	size_t after_size;
	char *before = support_read(path, &before_size);
	char *after;
	struct store store;
	char name[SUPPORT_NAME];

	support_capture();
	store = open_pool(names, workers);
	assert_says(support_said(), "taken over from another version");
	after = support_read(support_path("counters.previous"), &after_size);
	assert_int_equal(after_size, before_size);
	assert_memory_equal(after, before, before_size);
	free(before);
	free(after);
	assert_int_equal(support_find(".damaged", name, sizeof(name)), 0);
	assert_int_equal(support_find(".new", name, sizeof(name)), 0);
	assert_int_equal(store_sum(&store, CATALOG_STORE_RECOVERIES), 0);
	return store;
}

static void
one_family_more_keeps_every_count(void **state)
{
	static const char *const more[] = {PLAIN_CELLS, "apples_total",
	    "cherries_total", "pears_total{kind=\"conference\"}"};
	const struct store_catalog newer = {
	    more, COUNT(more), endpoints, 3, methods, 2, 16};
	struct store store;

	(void)state;
	make_counts();
	store = take_over(&newer, 2);
	assert_int_equal(store_sum(&store, APPLES), SLOT_SUM);
	assert_int_equal(store_sum(&store, APPLES + 1), 0);
	assert_int_equal(store_sum(&store, APPLES + 2), 1000 * SLOT_SUM);
	assert_int_equal(
	    store_sum(&store, store_key_cell(&store, SHOP, GET, 200)),
	    7 * SLOT_SUM);
	store_close(&store);
	store = open_pool(&newer, 2); /* from here on it is its own */
	assert_int_equal(store_sum(&store, APPLES), SLOT_SUM);
	store_close(&store);
}

static void
one_family_fewer_keeps_every_other_count(void **state)
{
	static const char *const fewer[] = {
	    PLAIN_CELLS, "pears_total{kind=\"conference\"}"};
	const struct store_catalog newer = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};
	struct store store;

	(void)state;
	make_counts();
	store = take_over(&newer, 2);
	assert_int_equal(store_sum(&store, APPLES), 1000 * SLOT_SUM);
	assert_int_equal(
	    store_sum(&store, store_key_cell(&store, SHOP, GET, 200)),
	    7 * SLOT_SUM);
	store_close(&store);
	/* What was left out is still in the previous file. */
	snprintf(path, sizeof(path), "%s", support_path("counters.previous"));
	store = open_pool(&catalog, 2);
	assert_counts(&store);
	store_close(&store);
}

static void
one_label_value_more_keeps_every_count(void **state)
{
	static const char *const more[] = {"cafe", "home", "shop", "other"};
	static const char *const more_methods[] = {"DELETE", "GET", "other"};
	const struct store_catalog newer = {
	    fixed, COUNT(fixed), more, 4, more_methods, 3, 32};
	struct store store;
	struct store_key keys[32];

	(void)state;
	make_counts();
	store = take_over(&newer, 2);
	assert_int_equal(store_sum(&store, APPLES), SLOT_SUM);
	assert_int_equal(
	    store_sum(&store, store_key_cell(&store, 2, 1, 200)), 7 * SLOT_SUM);
	assert_int_equal(store_sum(&store, store_key_cell(&store, 1, 2, 404)),
	    UINT64_C(1) << 40);
	assert_int_equal(store_list_keys(&store, keys), 3);
	store_close(&store);
}

static void
one_label_value_fewer_keeps_every_other_count(void **state)
{
	static const char *const fewer[] = {"shop", "other"};
	const struct store_catalog newer = {
	    fixed, COUNT(fixed), fewer, 2, methods, 2, 16};
	struct store store;

	(void)state;
	make_counts();
	store = take_over(&newer, 2);
	assert_int_equal(store_sum(&store, store_key_cell(&store, 0, GET, 200)),
	    7 * SLOT_SUM);
	assert_int_equal(store_sum(&store, PEARS), 1000 * SLOT_SUM);
	store_close(&store);
}

static void
a_smaller_key_table_takes_the_rest_as_overflow(void **state)
{
	const struct store_catalog newer = {
	    fixed, COUNT(fixed), endpoints, 3, methods, 2, 4};
	struct store_key keys[4];
	struct store store = open_pool(&catalog, 1);
	uint64_t sum = 0;

	(void)state;
	for (unsigned code = 200; code < 210; code++)
		count(&store, STORE_WORKER,
		    store_key_cell(&store, HOME, GET, code), code);
	store_close(&store);
	store = take_over(&newer, 1);
	assert_int_equal(store_list_keys(&store, keys), 4);
	for (int i = 0; i < 4; i++)
		sum += store_sum(&store, keys[i].cell);
	assert_int_equal(sum, 2045);
	store_close(&store);
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
	const struct store_catalog old = {
	    old_names, COUNT(old_names), endpoints, 3, methods, 2, 16};
	const struct store_catalog newer = {
	    new_names, COUNT(new_names), endpoints, 3, methods, 2, 16};
	static const uint64_t expected[] = {1, 10, 100, 1000, 110000};
	struct store store = open_pool(&old, 1);
	uint64_t by = 1;

	(void)state;
	for (size_t cell = CATALOG_QUEUE; cell < COUNT(old_names); cell++) {
		count(&store, STORE_WORKER, cell, by);
		by *= 10;
	}
	store_close(&store);
	store = take_over(&newer, 1);
	for (size_t i = 0; i < COUNT(expected); i++)
		assert_int_equal(
		    store_sum(&store, CATALOG_QUEUE + i), expected[i]);
	store_close(&store);
}

static void
the_real_catalog_with_an_endpoint_more_and_back_keeps_every_count(void **state)
{
	static const char *const more[] = {"home", "new", "shop", "other"};
	struct store_catalog *old = catalog_new(endpoints, 3, methods, 2);
	struct store_catalog *newer = catalog_new(more, 4, methods, 2);
	struct store store = open_pool(old, 2);

	(void)state;
	count(&store, STORE_WORKER, CATALOG_STARTS, 3);
	count(&store, STORE_WORKER, catalog_size_cell(SHOP), 123456789);
	count(&store, STORE_WORKER + 1,
	    catalog_bucket(catalog_duration_cell(SHOP), 3000000), 17);
	count(&store, STORE_CGI, catalog_bucket(CATALOG_QUEUE, INT64_MAX), 5);
	store_close(&store);
	store = take_over(newer, 2);
	assert_int_equal(store_sum(&store, CATALOG_STARTS), 3);
	assert_int_equal(store_sum(&store, catalog_size_cell(2)), 123456789);
	assert_int_equal(store_sum(&store,
			     catalog_bucket(catalog_duration_cell(2), 3000000)),
	    17);
	assert_int_equal(store_sum(&store, catalog_size_cell(1)), 0);
	store_close(&store);
	store = take_over(old, 2); /* a rollback */
	assert_int_equal(store_sum(&store, CATALOG_STARTS), 3);
	assert_int_equal(store_sum(&store, catalog_size_cell(SHOP)), 123456789);
	assert_int_equal(
	    store_sum(&store, catalog_bucket(CATALOG_QUEUE, INT64_MAX)), 5);
	store_close(&store);
	catalog_free(old);
	catalog_free(newer);
}

static void
more_workers_than_slots_make_a_larger_file_with_the_same_counts(void **state)
{
	struct store store;

	(void)state;
	make_counts();
	store = take_over(&catalog, 9);
	assert_int_equal(store.slot_count, STORE_WORKER + 9);
	assert_counts(&store);
	store_close(&store);
}

static void
fewer_workers_than_slots_keep_the_file_and_its_counts(void **state)
{
	struct store store;
	char name[SUPPORT_NAME];

	(void)state;
	make_counts();
	store = open_pool(&catalog, 1);
	assert_int_equal(store.slot_count, STORE_WORKER + 2);
	assert_counts(&store);
	store_close(&store);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
}

static void
a_file_that_cannot_be_linked_to_is_taken_over_all_the_same(void **state)
{
	struct store store;
	const char *said;

	(void)state;
	make_counts();
	link_error = EPERM;
	support_capture();
	store = open_pool(&catalog, 9);
	said = support_said();
	assert_says(said, "no copy of the previous counter file");
	assert_counts(&store);
	store_close(&store);
}

/* --- CGI processes ---------------------------------------------------------
 */

static int
attach_and_count(void *argument)
{
	const struct store_catalog *names = argument;
	struct store store;

	if (store_attach(&store, path, names) != 0)
		return 1;
	for (int i = 0; i < 10000; i++)
		store_add_shared(store_cells(&store, STORE_CGI), APPLES, 1);
	store_close(&store);
	return 0;
}

static void *
changeable(const struct store_catalog *names)
{
	return (void *)(uintptr_t)names;
}

static void
cgi_processes_without_a_pool_make_the_file_and_count_exactly(void **state)
{
	pid_t children[PROCESSES];
	struct store store;
	char name[SUPPORT_NAME];

	(void)state;
	for (int i = 0; i < PROCESSES; i++)
		children[i] =
		    support_fork(attach_and_count, changeable(&catalog));
	for (int i = 0; i < PROCESSES; i++)
		assert_int_equal(support_wait(children[i]), 0);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
	store = open_quietly(&catalog, 2);
	assert_int_equal(store_sum(&store, APPLES), PROCESSES * 10000);
	store_close(&store);
}

static void
cgi_processes_beside_a_pool_count_in_the_same_file(void **state)
{
	struct pool pool = {.catalog = &catalog};
	pid_t children[PROCESSES];
	struct store store;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	for (int i = 0; i < PROCESSES; i++)
		children[i] =
		    support_fork(attach_and_count, changeable(&catalog));
	for (int i = 0; i < PROCESSES; i++)
		assert_int_equal(support_wait(children[i]), 0);
	assert_int_equal(support_finish(&pool.holder), 0);
	store = open_pool(&catalog, 2);
	assert_int_equal(
	    store_sum(&store, APPLES), SLOT_SUM + PROCESSES * 10000);
	store_close(&store);
}

static void
attaching_does_not_disturb_what_the_pool_says_of_itself(void **state)
{
	struct store pool = open_pool(&catalog, 2);
	struct store store;

	(void)state;
	store_state(&pool, STORE_WORKER)->pid = 4711;
	assert_int_equal(store_attach(&store, path, &catalog), 0);
	assert_false(store.is_owner);
	assert_int_equal(store_state(&store, STORE_WORKER)->pid, 4711);
	store_close(&store);
	store_close(&pool);
}

static void
a_cgi_process_of_another_version_beside_a_pool_is_told(void **state)
{
	static const char *const fewer[] = {PLAIN_CELLS, "apples_total"};
	const struct store_catalog other = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};
	struct pool pool = {.catalog = &catalog};
	struct store store;
	int result;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	support_capture();
	result = store_attach(&store, path, &other);
	assert_says(support_said(), "another version wrote it");
	assert_int_equal(result, -ESTALE);
	assert_int_equal(support_finish(&pool.holder), 0);
	store = open_pool(&catalog, 2); /* and nothing was changed */
	assert_counts(&store);
	store_close(&store);
}

static void
a_cgi_process_of_another_version_without_a_pool_takes_the_file_over(
    void **state)
{
	static const char *const fewer[] = {PLAIN_CELLS, "apples_total"};
	const struct store_catalog other = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};
	struct store store;

	(void)state;
	make_counts();
	support_capture();
	assert_int_equal(store_attach(&store, path, &other), 0);
	assert_says(support_said(), "taken over");
	assert_int_equal(store_sum(&store, APPLES), SLOT_SUM);
	store_close(&store);
}

static void
a_cgi_process_mends_a_damaged_file_where_no_pool_does(void **state)
{
	struct store store;
	char name[SUPPORT_NAME];

	(void)state;
	support_write(path, "damaged", 7);
	support_capture();
	assert_int_equal(store_attach(&store, path, &catalog), 0);
	assert_says(support_said(), "moved aside");
	assert_int_equal(store_sum(&store, CATALOG_STORE_RECOVERIES), 1);
	store_close(&store);
	assert_int_equal(support_find(".damaged-", name, sizeof(name)), 1);
}

static void
a_cgi_process_is_refused_what_a_pool_is_refused(void **state)
{
	struct store store;
	int result;

	(void)state;
	assert_int_equal(mkdir(path, 0755), 0);
	support_capture();
	result = store_attach(&store, path, &catalog);
	assert_says(support_said(), "it is a directory");
	assert_int_equal(result, -EISDIR);
	snprintf(path, sizeof(path), "%s", support_path("missing/counters"));
	support_capture();
	result = store_attach(&store, path, &catalog);
	assert_says(support_said(), "make its directory");
	assert_int_equal(result, -ENOENT);
}

/* A CGI process that counts, waits, counts again and leaves. */
static int
attach_and_wait(void *argument)
{
	struct pool *pool = argument;
	struct store store;

	if (store_attach(&store, path, pool->catalog) != 0)
		return 1;
	store_add_shared(store_cells(&store, STORE_CGI), APPLES, 5);
	support_hold(&pool->holder);
	store_add_shared(store_cells(&store, STORE_CGI), APPLES, 7);
	store_close(&store);
	return 0;
}

/* A pool with more workers, so that it has to replace the file. */
static int
open_large(void *unused)
{
	struct store store;

	(void)unused;
	if (store_open(&store, path, &catalog, 20) != 0)
		return 1;
	store_close(&store);
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
	struct pool cgi = {.catalog = &catalog};
	struct stat status;
	struct store store;
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
	store = open_pool(&catalog, 2);
	assert_int_equal(store_sum(&store, APPLES), SLOT_SUM + 5 + 7);
	store_close(&store);
}

static void
a_cgi_process_that_takes_its_time_does_not_keep_a_pool_from_starting(
    void **state)
{
	struct pool cgi = {.catalog = &catalog};
	struct store store;

	(void)state;
	make_counts();
	support_start(&cgi.holder, attach_and_wait, &cgi);
	store = open_pool(&catalog, 2); /* nothing is to be replaced */
	assert_int_equal(support_finish(&cgi.holder), 0);
	assert_int_equal(store_sum(&store, APPLES), SLOT_SUM + 5 + 7);
	store_close(&store);
}

/* --- reading ---------------------------------------------------------------
 */

static void
reading_tells_whether_a_pool_is_alive(void **state)
{
	struct pool pool = {.catalog = &catalog};
	struct store store;
	bool alive = true;

	(void)state;
	make_counts();
	assert_int_equal(store_read(&store, path, &catalog, &alive), 0);
	assert_false(alive);
	assert_counts(&store);
	store_close(&store);
	support_start(&pool.holder, hold_pool, &pool);
	assert_int_equal(store_read(&store, path, &catalog, &alive), 0);
	assert_true(alive);
	store_close(&store);
	assert_int_equal(support_finish(&pool.holder), 0);
}

/* Reading must fail with this, say so, and leave every byte as it is. */
static void
assert_unreadable(
    const struct store_catalog *names, int error, const char *saying)
{
	struct store store;
	size_t before_size;
	size_t after_size;
	char *before = support_read(path, &before_size);
	char *after;
	char name[SUPPORT_NAME];
	bool alive;
	int result;

	support_capture();
	result = store_read(&store, path, names, &alive);
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
	assert_unreadable(&catalog, -EBADMSG, "it is empty");
	support_write(path, "damaged", 7);
	assert_unreadable(&catalog, -EBADMSG, "moves it aside");
}

static void
reading_another_versions_file_says_so_and_changes_nothing(void **state)
{
	static const char *const fewer[] = {PLAIN_CELLS, "apples_total"};
	const struct store_catalog other = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};

	(void)state;
	make_counts();
	assert_unreadable(&other, -ESTALE, "another version wrote it");
}

static void
reading_what_is_not_there_says_so(void **state)
{
	struct store store;
	bool alive;
	int result;

	(void)state;
	support_capture();
	result = store_read(&store, path, &catalog, &alive);
	assert_says(support_said(), "no such file or directory");
	assert_int_equal(result, -ENOENT);
	assert_int_equal(mkdir(path, 0755), 0);
	support_capture();
	result = store_read(&store, path, &catalog, &alive);
	assert_says(support_said(), "it is a directory");
	assert_int_equal(result, -EISDIR);
	rmdir(path);
	assert_int_equal(mkfifo(path, 0644), 0);
	support_capture();
	result = store_read(&store, path, &catalog, &alive);
	assert_says(support_said(), "not a regular file");
	assert_int_equal(result, -EINVAL);
}

static void
reading_needs_no_more_than_permission_to_read(void **state)
{
	struct store store;
	bool alive;

	(void)state;
	make_counts();
	take_away(path, 0444);
	assert_int_equal(store_read(&store, path, &catalog, &alive), 0);
	assert_counts(&store);
	store_close(&store);
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
	    TEST(a_combination_keeps_its_cell),
	    TEST(keys_are_listed_by_endpoint_method_and_code),
	    TEST(a_full_key_table_counts_under_the_overflow_key),
	    TEST(a_second_pool_is_refused_with_a_message_that_says_what_to_do),
	    TEST(a_pool_that_was_killed_holds_nothing),
	    TEST(eight_processes_that_count_at_once_lose_nothing),
	    TEST(processes_that_enter_the_same_keys_at_once_agree_on_the_cells),
	    TEST(a_process_killed_while_it_counts_loses_nothing_it_counted),
	    TEST(a_file_of_zero_bytes_is_moved_aside),
	    TEST(a_file_cut_at_any_byte_is_moved_aside),
	    TEST(a_file_with_more_than_it_should_have_is_moved_aside),
	    TEST(a_foreign_file_is_moved_aside),
	    TEST(a_file_of_another_byte_order_is_moved_aside),
	    TEST(a_file_of_another_version_is_moved_aside),
	    TEST(a_flipped_bit_anywhere_in_the_header_is_detected),
	    TEST(a_flipped_bit_anywhere_in_the_catalog_is_detected),
	    TEST(a_flipped_bit_anywhere_in_the_key_table_is_detected),
	    TEST(a_file_whose_header_lies_about_the_rest_is_moved_aside),
	    TEST(a_file_whose_catalog_lies_is_moved_aside),
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
		the_real_catalog_with_an_endpoint_more_and_back_keeps_every_count),
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
