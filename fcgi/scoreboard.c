#include "scoreboard.h"

const char *
scoreboard_kind_name(enum scoreboard_kind kind)
{
	return kind == SCOREBOARD_BLOCKING ? "blocking" : "nonblocking";
}

struct scoreboard_census
scoreboard_census(
    const struct scoreboard *scoreboard, enum scoreboard_kind kind)
{
	struct scoreboard_census census = {0};

	for (unsigned slot = SLOT_WORKER; slot < scoreboard->slot_count;
	     slot++) {
		const struct scoreboard_entry *entry =
		    scoreboard_entry(scoreboard, slot);

		if (!entry->pid || entry->kind != (int32_t)kind)
			continue;
		census.workers++;
		census.connections += (uint64_t)entry->connections;
		if (entry->stopped)
			census.stopped++;
		else if (entry->request_started)
			census.busy++;
		else
			census.idle++;
	}
	return census;
}

bool
scoreboard_kind_is_served(
    const struct scoreboard *scoreboard, enum scoreboard_kind kind)
{
	for (unsigned slot = SLOT_WORKER; slot < scoreboard->slot_count;
	     slot++) {
		const struct scoreboard_entry *entry =
		    scoreboard_entry(scoreboard, slot);

		if (entry->kind == (int32_t)kind &&
		    scoreboard_is_serving(entry))
			return true;
	}
	return false;
}

bool
scoreboard_has_served(const struct scoreboard *scoreboard)
{
	for (unsigned i = SLOT_WORKER; i < scoreboard->slot_count; i++)
		if (scoreboard_entry(scoreboard, i)->served > 0)
			return true;
	return false;
}
