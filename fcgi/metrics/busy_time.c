#include "metrics/busy_time.h"

#include "metrics/registry.h"

static size_t
index_of(enum scoreboard_kind kind)
{
	return kind == SCOREBOARD_BLOCKING ? REGISTRY_BUSY_BLOCKING
					   : REGISTRY_BUSY_NONBLOCKING;
}

static size_t
index_shown(enum scoreboard_kind kind)
{
	return kind == SCOREBOARD_BLOCKING ? REGISTRY_BUSY_SHOWN_BLOCKING
					   : REGISTRY_BUSY_SHOWN_NONBLOCKING;
}

static enum scoreboard_kind
kind_of(const struct scoreboard_entry *entry)
{
	return entry->kind == SCOREBOARD_BLOCKING ? SCOREBOARD_BLOCKING
						  : SCOREBOARD_NONBLOCKING;
}

_Atomic uint64_t *
busy_time_place(const struct counters *counters, unsigned slot)
{
	if (slot < SLOT_WORKER)
		return NULL;
	return &counters_values(counters, slot)[index_of(
	    kind_of(scoreboard_entry(&counters->scoreboard, slot)))];
}

/*
 * What the worker has counted, and how long it has worked on a request that is
 * not counted. The order matters: the request was under way at `now` if what is
 * read after the clock still matches what was read before.
 */
static uint64_t
read_worker(const struct scoreboard_entry *entry, const _Atomic uint64_t *place,
    uint64_t *under_way)
{
	int64_t started =
	    atomic_load_explicit(&entry->request_started, memory_order_acquire);
	uint64_t key =
	    atomic_load_explicit(&entry->busy_key, memory_order_acquire);
	int64_t now = started > 0 ? clock_now() : 0;
	uint64_t counted = atomic_load_explicit(place, memory_order_relaxed);

	*under_way = 0;
	/* A time in the future is none of this machine. */
	if (started > 0 && started < now && counted - (uint64_t)started == key)
		*under_way = (uint64_t)(now - started);
	return counted;
}

void
busy_time_settle(const struct counters *counters, unsigned slot)
{
	_Atomic uint64_t *place = busy_time_place(counters, slot);
	uint64_t under_way;

	if (!place)
		return;
	read_worker(
	    scoreboard_entry(&counters->scoreboard, slot), place, &under_way);
	counters_add(place, 0, under_way);
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t
busy_time_read(
    const struct counters *counters, enum scoreboard_kind kind, bool is_alive)
{
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < counters->slot_count; slot++) {
		const _Atomic uint64_t *place =
		    &counters_values(counters, slot)[index_of(kind)];
		const struct scoreboard_entry *entry =
		    scoreboard_entry(&counters->scoreboard, slot);
		uint64_t under_way = 0;

		if (is_alive && slot >= SLOT_WORKER && kind_of(entry) == kind)
			sum += read_worker(entry, place, &under_way);
		else
			sum +=
			    atomic_load_explicit(place, memory_order_relaxed);
		sum += under_way;
	}
	return larger(sum, counters_sum(counters, index_shown(kind)));
}

/* Raise the time that was shown, unless another process has. */
static void
raise_shown(
    const struct counters *counters, enum scoreboard_kind kind, uint64_t time)
{
	_Atomic uint64_t *place =
	    &counters_values(counters, SLOT_METRICS)[index_shown(kind)];
	uint64_t shown = atomic_load(place);

	while (
	    shown < time && !atomic_compare_exchange_weak(place, &shown, time))
		;
}

uint64_t
busy_time_show(const struct counters *counters, enum scoreboard_kind kind)
{
	uint64_t time = busy_time_read(counters, kind, true);

	raise_shown(counters, kind, time);
	return time;
}

void
busy_time_restore(const struct counters *counters, const struct counters *copy)
{
	for (int kind = 0; kind < SCOREBOARD_KINDS; kind++)
		raise_shown(counters, (enum scoreboard_kind)kind,
		    counters_sum(
			copy, index_shown((enum scoreboard_kind)kind)));
}

void
busy_time_open(const struct counters *counters)
{
	for (int i = 0; i < SCOREBOARD_KINDS; i++) {
		enum scoreboard_kind kind = (enum scoreboard_kind)i;
		uint64_t counted = counters_sum(counters, index_of(kind));
		uint64_t shown = counters_sum(counters, index_shown(kind));

		if (shown > counted)
			counters_add(counters_values(counters, SLOT_MASTER),
			    index_of(kind), shown - counted);
		/* Another version's is in another slot: forget it there. */
		for (unsigned slot = 0; slot < counters->slot_count; slot++)
			counters_values(counters, slot)[index_shown(kind)] = 0;
	}
}
