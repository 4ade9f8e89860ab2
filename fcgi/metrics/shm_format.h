#ifndef METRICS_STORE_FORMAT_H
#define METRICS_STORE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/shm.h"

/*
 * The bytes of a counter file: header, catalog, keys, slots (store.h), all in
 * the machine's own byte order. Only store*.c need this.
 */

struct store_header {
	char magic[8];
	uint32_t version;
	uint32_t byte_order;
	uint64_t schema; /* hash of the catalog's text */
	int64_t created; /* CLOCK_REALTIME ns */
	uint32_t fixed_count;
	uint32_t key_capacity;
	uint32_t slot_count;
	uint32_t catalog_size;
	uint64_t checksum;   /* of the header with this at 0, and the catalog */
	uint32_t state_size; /* bytes of a slot before its cells */
	uint32_t unused;
};

/* Where things stand in a file with this header. */
struct store_layout {
	size_t keys;
	size_t slots;
	size_t slot_size;
	size_t file_size;
};

/* Where things stand in a file with this header. */
struct store_layout store_format_layout(const struct store_header *header);

/* What header->checksum has to be for this header and its catalog's text. */
uint64_t store_format_checksum(
    const struct store_header *header, const char *catalog);

/*
 * Write the header and catalog of a fresh file, and reserve all of it. Returns
 * 0 or a negative errno (-ENOSPC).
 */
int store_format_write(
    int fd, const struct store_catalog *catalog, unsigned slot_count);

/*
 * What is wrong with a whole file's bytes, as half a sentence for people; NULL
 * where nothing is.
 */
const char *store_format_judge(const char *bytes, size_t size);

/* Whether a sound file has this catalog, so that it can be used as it is. */
bool store_format_matches(
    const struct store_header *header, const struct store_catalog *catalog);

/* A catalog as read back out of a file. */
struct store_names {
	struct store_catalog catalog;
	char *text;
	const char **names; /* into text */
};

/*
 * Read a file's catalog, for a file that another version wrote. Returns 0, or
 * -ENOMEM or -EBADMSG. The caller frees it with store_format_free_names().
 */
int store_format_read_names(
    struct store_names *names, const struct store_header *header);

void store_format_free_names(struct store_names *names);

/*
 * A key as a number: carries a check of itself, so that damage shows, and is
 * never 0, which marks a free place.
 */
uint64_t store_format_pack_key(
    unsigned endpoint, unsigned method, unsigned code);

struct store_key store_format_unpack_key(uint64_t key, size_t cell);

bool store_format_key_is_sound(
    uint64_t key, const struct store_catalog *catalog);

#endif
