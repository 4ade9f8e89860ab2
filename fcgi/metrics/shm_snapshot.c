/*
 * Counts never decrease. So a sum that is lower than it was is a loss, and what
 * the copy has more is what was lost.
 */
#include "metrics/shm_snapshot.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "metrics/registry.h"
#include "metrics/shm_format.h"

int
store_snapshot_new(struct store *copy, const struct store *store)
{
	const char *from = store->map;
	char *to = mmap(NULL, store->map_size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (to == MAP_FAILED)
		return -ENOMEM;
	*copy = *store;
	copy->fd = -1;
	copy->map = to;
	copy->keys =
	    (_Atomic uint64_t *)(to + ((const char *)store->keys - from));
	copy->slots = to + (store->slots - from);
	copy->states = copy->slots;
	copy->state_stride = copy->slot_size;
	return 0;
}

void
store_snapshot_free(struct store *copy)
{
	if (copy->map)
		munmap(copy->map, copy->map_size);
	copy->map = NULL;
}

void
store_snapshot_copy(struct store *copy, const struct store *store)
{
	const _Atomic uint64_t *from = store->map;
	uint64_t *to = copy->map;

	for (size_t i = 0; i < store->map_size / sizeof(*to); i++)
		to[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
}

/* Header and catalog, which nobody changes. */
static size_t
head_size(const struct store *store)
{
	return (size_t)((const char *)store->keys - (const char *)store->map);
}

/*
 * Whether nobody wrote anything else where the file was cut: as by copying
 * another file over it, whose numbers would be taken for what was counted
 * since.
 */
static bool
is_cut_clean(const struct store *store, const struct store *copy, size_t cut)
{
	const char *bytes = store->map;
	size_t size = head_size(store);

	for (size_t i = 0; i < size; i++)
		if (bytes[i] != (i < cut ? ((const char *)copy->map)[i] : 0))
			return false;
	return true;
}

static bool
restore_head(struct store *store, const struct store *copy)
{
	size_t size = head_size(store);

	if (memcmp(store->map, copy->map, size) == 0)
		return false;
	memcpy(store->map, copy->map, size);
	return true;
}

/* Free each place of the key table that holds no key. */
static void
clear_bad_keys(struct store *store)
{
	for (size_t i = 0; i < store->catalog->key_capacity; i++) {
		uint64_t key = atomic_load(&store->keys[i]);

		if (key && !store_format_key_is_sound(key, store->catalog))
			atomic_compare_exchange_strong(
			    &store->keys[i], &key, 0);
	}
}

/* Whether a place of the copy's key table holds another key now, or none. */
static bool
is_key_lost(const struct store *store, const struct store *copy, size_t i)
{
	return copy->keys[i] != 0 && copy->keys[i] != store->keys[i];
}

static bool
are_keys_lost(const struct store *store, const struct store *copy)
{
	for (size_t i = 0; i < store->catalog->key_capacity; i++)
		if (is_key_lost(store, copy, i) ||
		    (store->keys[i] != 0 &&
			!store_format_key_is_sound(
			    store->keys[i], store->catalog)))
			return true;
	return false;
}

/* What was in the copy's cell and is zeroed now, in all slots. */
static uint64_t
zeroed(const struct store *store, const struct store *copy, size_t cell,
    size_t cut)
{
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < copy->slot_count; slot++) {
		const _Atomic uint64_t *place = &store_cells(copy, slot)[cell];
		size_t offset =
		    (size_t)((const char *)place - (const char *)copy->map);
		uint64_t now = store_cells(store, slot)[cell];

		if (offset >= cut)
			sum += *place;
		else if (offset + sizeof(*place) > cut && now < *place)
			sum += *place - now; /* cut in the middle */
	}
	return sum;
}

/*
 * Put back what one cell of the copy has more. `to` is where its counts belong
 * in the file, which is elsewhere where its key has another place now.
 */
static bool
restore_cell(struct store *store, const struct store *copy, size_t cell,
    size_t to, size_t cut)
{
	uint64_t lost = 0;

	if (cut != STORE_SNAPSHOT_UNCUT) {
		lost = zeroed(store, copy, cell, cut);
	} else {
		uint64_t then = store_sum(copy, cell);
		uint64_t now = store_sum(store, to);

		if (now < then)
			lost = then - now;
	}
	if (lost)
		store_add_shared(store_cells(store, STORE_MASTER), to, lost);
	return lost != 0;
}

static bool
restore_fixed(struct store *store, const struct store *copy, size_t cut)
{
	bool any = false;

	for (size_t cell = 0; cell < store->catalog->fixed_count; cell++)
		/* A position, which may go back; its reader finds it again. */
		if (cell != CATALOG_GATEWAY_LOG)
			any |= restore_cell(store, copy, cell, cell, cut);
	return any;
}

/* All keys are entered anew where any is lost: workers may have begun to. */
static bool
restore_keys(struct store *store, const struct store *copy, size_t cut)
{
	const struct store_catalog *catalog = store->catalog;
	bool are_lost = are_keys_lost(store, copy);
	bool any = are_lost;

	if (are_lost)
		clear_bad_keys(store);
	for (size_t i = 0; i < catalog->key_capacity; i++) {
		uint64_t key = copy->keys[i];
		size_t cell = catalog->fixed_count + i;
		size_t to = cell;

		if (!key)
			continue;
		if (are_lost) {
			struct store_key parts =
			    store_format_unpack_key(key, cell);

			to = store_key_cell(
			    store, parts.endpoint, parts.method, parts.code);
		}
		any |= restore_cell(store, copy, cell, to, cut);
	}
	return any;
}

bool
store_snapshot_restore(
    struct store *store, const struct store *copy, size_t cut)
{
	bool any;

	if (cut != STORE_SNAPSHOT_UNCUT && !is_cut_clean(store, copy, cut))
		cut = STORE_SNAPSHOT_UNCUT;
	any = restore_head(store, copy);
	any |= restore_fixed(store, copy, cut);
	any |= restore_keys(store, copy, cut);
	return any;
}
