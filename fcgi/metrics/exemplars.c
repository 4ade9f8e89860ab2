/*
 * A slot begins with a flag for each group of exemplars, so that the reader
 * touches no page that nobody has written: reading would take memory for it.
 */
#include "metrics/exemplars.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/number.h"

enum {
	GROUP = 64,       /* exemplars: less than a page of them */
	ALIGNMENT = 4096, /* no two slots share a page or a cache line */
	TRIES_MAX = 3,    /* of a reader; a write takes some nanoseconds */
};

/* An exemplar in shared memory; time_ns 0: none yet. */
struct place {
	_Atomic uint64_t sequence; /* odd: being written */
	_Atomic uint64_t id[2];    /* the first hex digit is the highest */
	_Atomic uint64_t value;
	_Atomic int64_t time_ns;
};

int
exemplars_open(
    struct exemplars *exemplars, size_t value_count, unsigned slot_count)
{
	size_t flags_size =
	    number_round_up(value_count / GROUP + 1, _Alignof(struct place));
	size_t slot_size = number_round_up(
	    flags_size + value_count * sizeof(struct place), ALIGNMENT);
	char *map = mmap(NULL, slot_size * slot_count, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*exemplars = (struct exemplars){0};
	if (map == MAP_FAILED)
		return -ENOMEM;
	*exemplars = (struct exemplars){
	    .map = map,
	    .map_size = slot_size * slot_count,
	    .flags_size = flags_size,
	    .slot_size = slot_size,
	    .slot_count = slot_count,
	};
	return 0;
}

void
exemplars_close(struct exemplars *exemplars)
{
	if (exemplars->map)
		munmap(exemplars->map, exemplars->map_size);
	exemplars->map = NULL;
}

static struct place *
find_place(const struct exemplars *exemplars, unsigned slot, size_t index)
{
	return (struct place *)(exemplars->map + slot * exemplars->slot_size +
				exemplars->flags_size) +
	       index;
}

/* Whether anything was written in the group of this exemplar. */
static atomic_bool *
find_flag(const struct exemplars *exemplars, unsigned slot, size_t index)
{
	return (atomic_bool *)(exemplars->map + slot * exemplars->slot_size) +
	       index / GROUP;
}

/* Returns whether the text is a trace id. */
static bool
parse_id(const char *text, uint64_t id[2])
{
	id[0] = id[1] = 0;
	for (size_t i = 0; i < EXEMPLARS_ID_SIZE - 1; i++) {
		char c = text[i];
		unsigned digit;

		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else
			return false;
		id[i / 16] = id[i / 16] << 4 | digit;
	}
	return text[EXEMPLARS_ID_SIZE - 1] == '\0' && (id[0] | id[1]) != 0;
}

static void
format_id(const uint64_t id[2], char text[EXEMPLARS_ID_SIZE])
{
	for (size_t i = 0; i < EXEMPLARS_ID_SIZE - 1; i++)
		text[i] =
		    "0123456789abcdef"[id[i / 16] >> (15 - i % 16) * 4 & 15];
	text[EXEMPLARS_ID_SIZE - 1] = '\0';
}

/*
 * The number is odd already if the last writer was killed. Then a reader that
 * began before it still sees another number at its end.
 */
static void
write_place(
    struct place *place, const uint64_t id[2], uint64_t value, int64_t time_ns)
{
	uint64_t odd =
	    atomic_load_explicit(&place->sequence, memory_order_relaxed) | 1;

	atomic_store_explicit(&place->sequence, odd, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&place->id[0], id[0], memory_order_relaxed);
	atomic_store_explicit(&place->id[1], id[1], memory_order_relaxed);
	atomic_store_explicit(&place->value, value, memory_order_relaxed);
	atomic_store_explicit(&place->time_ns, time_ns, memory_order_relaxed);
	atomic_store_explicit(&place->sequence, odd + 1, memory_order_release);
}

/* Returns whether all parts are of the same exemplar. */
static bool
read_place(
    struct place *place, uint64_t id[2], uint64_t *value, int64_t *time_ns)
{
	for (int i = 0; i < TRIES_MAX; i++) {
		uint64_t before = atomic_load_explicit(
		    &place->sequence, memory_order_acquire);

		id[0] =
		    atomic_load_explicit(&place->id[0], memory_order_relaxed);
		id[1] =
		    atomic_load_explicit(&place->id[1], memory_order_relaxed);
		*value =
		    atomic_load_explicit(&place->value, memory_order_relaxed);
		*time_ns =
		    atomic_load_explicit(&place->time_ns, memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if (before % 2 == 0 && atomic_load_explicit(&place->sequence,
					   memory_order_relaxed) == before)
			return true;
	}
	return false;
}

void
exemplars_record(const struct exemplars *exemplars, unsigned slot, size_t index,
    const char *trace_id, uint64_t value, int64_t now_ns)
{
	struct place *place;
	uint64_t id[2];
	int64_t last;

	if (!exemplars->map || now_ns == 0)
		return;
	place = find_place(exemplars, slot, index);
	last = atomic_load_explicit(&place->time_ns, memory_order_relaxed);
	/* If the clock was set back, the difference is huge. */
	if ((uint64_t)(now_ns - last) < (uint64_t)CLOCK_NS_PER_SECOND ||
	    !parse_id(trace_id, id))
		return;
	write_place(place, id, value, now_ns);
	atomic_store_explicit(
	    find_flag(exemplars, slot, index), true, memory_order_relaxed);
}

bool
exemplars_find(
    const struct exemplars *exemplars, size_t index, struct exemplar *exemplar)
{
	uint64_t newest_id[2] = {0, 0};

	*exemplar = (struct exemplar){0};
	for (unsigned slot = 0; exemplars->map && slot < exemplars->slot_count;
	     slot++) {
		struct place *place = find_place(exemplars, slot, index);
		uint64_t id[2];
		uint64_t value;
		int64_t time_ns;

		if (!atomic_load_explicit(find_flag(exemplars, slot, index),
			memory_order_relaxed) ||
		    atomic_load_explicit(&place->time_ns,
			memory_order_relaxed) <= exemplar->time_ns ||
		    !read_place(place, id, &value, &time_ns) ||
		    time_ns <= exemplar->time_ns)
			continue;
		memcpy(newest_id, id, sizeof(id));
		exemplar->value = value;
		exemplar->time_ns = time_ns;
	}
	if (exemplar->time_ns != 0)
		format_id(newest_id, exemplar->trace_id);
	return exemplar->time_ns != 0;
}
