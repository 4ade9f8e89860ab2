#ifndef METRICS_COUNTERS_FORMAT_H
#define METRICS_COUNTERS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/counters.h"

/*
 * The bytes of a counter file: header, registry, label sets, slots
 * (counters.h), all in the machine's own byte order. Only counters*.c need
 * this.
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
	uint64_t checksum; /* of the header with this at 0, and the registry */
	uint32_t entry_size; /* bytes of a slot before its values */
	uint32_t unused;
};

/* Where things stand in a file with this header. */
struct counters_layout {
	size_t label_sets;
	size_t slots;
	size_t slot_size;
	size_t file_size;
};

/* Where things stand in a file with this header. */
struct counters_layout counters_format_layout(
    const struct counters_header *header);

/* What header->checksum has to be for this header and its registry's text. */
uint64_t counters_format_checksum(
    const struct counters_header *header, const char *registry);

/*
 * Write the header and registry of a fresh file, and reserve all of it. Returns
 * 0 or a negative errno (-ENOSPC).
 */
int counters_format_write(
    int fd, const struct registry *registry, unsigned slot_count);

/*
 * What is wrong with a whole file's bytes, as half a sentence for people; NULL
 * where nothing is.
 */
const char *counters_format_validate(const char *bytes, size_t size);

/* Whether a sound file has this registry, so that it can be used as it is. */
bool counters_format_matches(
    const struct counters_header *header, const struct registry *registry);

/* A registry as read back out of a file. */
struct counters_names {
	struct registry registry;
	char *text;
	const char **names; /* into text */
};

/*
 * Read a file's registry, for a file that another version wrote. Returns 0, or
 * -ENOMEM or -EBADMSG. The caller frees it with counters_format_free_names().
 */
int counters_format_read_names(
    struct counters_names *names, const struct counters_header *header);

void counters_format_free_names(struct counters_names *names);

/*
 * A label set as a number: carries a check of itself, so that damage shows, and
 * is never 0, which marks a free place.
 */
uint64_t counters_format_pack_label_set(
    unsigned endpoint, unsigned method, unsigned code);

struct counters_label_set counters_format_unpack_label_set(
    uint64_t packed, size_t index);

bool counters_format_label_set_is_sound(
    uint64_t packed, const struct registry *registry);

#endif
