#ifndef METRICS_COUNTERS_FORMAT_H
#define METRICS_COUNTERS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/counters.h"
#include "metrics/registry.h"

/*
 * The bytes of a counter file: header, registry, label sets, slots
 * (counters.h), in the byte order of the machine. Only counters*.c need this.
 */

struct counters_header {
	char magic[8];
	uint32_t version;
	uint32_t byte_order;
	uint64_t schema; /* hash of the registry's text */
	int64_t created; /* CLOCK_REALTIME ns */
	uint32_t fixed_count;
	uint32_t label_set_capacity;
	uint32_t slot_count;
	uint32_t registry_size;
	uint64_t checksum;   /* of the registry, and the header with 0 here */
	uint32_t entry_size; /* bytes of a slot before its values */
	uint32_t unused;
};

/* Offsets and sizes in a counter file, in bytes. */
struct counters_layout {
	size_t label_sets;
	size_t slots;
	size_t slot_size;
	size_t file_size;
};

/* The layout of a file with this header. */
struct counters_layout counters_format_layout(
    const struct counters_header *header);

/* The right checksum for this header and the text of its registry. */
uint64_t counters_format_checksum(
    const struct counters_header *header, const char *registry);

/*
 * Write the header and registry of a new file, and reserve its whole size on
 * disk. created is when its counts were 0, in nanoseconds of CLOCK_REALTIME.
 * Returns 0 or a negative errno (-ENOSPC).
 */
int counters_format_write(int fd, const struct registry *registry,
    unsigned slot_count, int64_t created);

/*
 * Validate the bytes of a whole file. Returns what is wrong, as half a sentence
 * for people; NULL where nothing is.
 */
const char *counters_format_validate(const char *bytes, size_t size);

/* Whether a valid file has this registry, so that it can be used as it is. */
bool counters_format_matches(
    const struct counters_header *header, const struct registry *registry);

/* A registry that was read from a file. */
struct counters_names {
	struct registry registry;
	char *text;
	const char **names; /* into text */
};

/*
 * Read the registry of a file that another version wrote. Returns 0, or
 * -ENOMEM or -EBADMSG. The caller frees it with counters_format_free_names().
 */
int counters_format_read_names(
    struct counters_names *names, const struct counters_header *header);

void counters_format_free_names(struct counters_names *names);

/* The bits of a label set that say what it is; the others are 0. */
static inline uint64_t
counters_format_label_set_key(unsigned endpoint, unsigned method, unsigned code)
{
	return (uint64_t)(endpoint & 0xffff) << 48 |
	       (uint64_t)(method & 0xff) << 40 |
	       (uint64_t)(code & 0xffff) << 24;
}

/* Whether a packed label set has this key. */
static inline bool
counters_format_is_label_set(uint64_t packed, uint64_t key)
{
	return (packed ^ key) >> 24 == 0;
}

/*
 * A label set as a number. It includes a checksum, so that damage is detected.
 * It is never 0, which marks a free place of the table.
 */
uint64_t counters_format_pack_label_set(
    unsigned endpoint, unsigned method, unsigned code);

struct counters_label_set counters_format_unpack_label_set(
    uint64_t packed, size_t index);

bool counters_format_label_set_is_sound(
    uint64_t packed, const struct registry *registry);

#endif
