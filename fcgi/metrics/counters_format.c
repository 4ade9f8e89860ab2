/*
 * The bytes of a counter file: layout, writing, reading and validation. Header
 * and registry have a checksum, the file's size must be the one in the header,
 * and each label set has a checksum. Values need none: any number is valid.
 */
#include "metrics/counters_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/number.h"

#define MAGIC "FCGIWAPP"

enum {
	VERSION = 1,
	BYTE_ORDER_MARK = 0x01020304,
	LINE = 64, /* a cache line */
	REGISTRY_SIZE_MAX = 64 << 20,
	SLOTS_MAX = 4096,
	LABEL_SETS_MAX = 1 << 24,
};

struct counters_layout
counters_format_layout(const struct counters_header *header)
{
	size_t values =
	    (size_t)header->fixed_count + header->label_set_capacity;
	struct counters_layout layout;

	layout.label_sets =
	    number_round_up(sizeof(*header) + header->registry_size, LINE);
	layout.slots = number_round_up(
	    layout.label_sets + header->label_set_capacity * sizeof(uint64_t),
	    LINE);
	layout.slot_size = number_round_up(
	    header->entry_size + values * sizeof(uint64_t), LINE);
	layout.file_size = layout.slots + header->slot_count * layout.slot_size;
	return layout;
}

uint64_t
counters_format_checksum(
    const struct counters_header *header, const char *registry)
{
	struct counters_header copy = *header;

	copy.checksum = 0;
	return hash_add(hash_add(HASH_START, &copy, sizeof(copy)), registry,
	    header->registry_size);
}

/*
 * The registry as text: for the fixed values, the endpoints and the methods, a
 * count and then that many lines. The word "cells" is part of the format. The
 * caller frees the text; NULL where memory is short.
 */
static char *
registry_text(const struct registry *registry, size_t *size)
{
	const struct {
		const char *title;
		const char *const *names;
		size_t count;
	} lists[] = {
	    {"cells", registry->fixed, registry->fixed_count},
	    {"endpoints", registry->endpoints, registry->endpoint_count},
	    {"methods", registry->methods, registry->method_count},
	};
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		fprintf(out, "%s %zu\n", lists[i].title, lists[i].count);
		for (size_t k = 0; k < lists[i].count; k++)
			fprintf(out, "%s\n", lists[i].names[k]);
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

uint64_t
counters_format_pack_label_set(
    unsigned endpoint, unsigned method, unsigned code)
{
	uint64_t key = counters_format_label_set_key(endpoint, method, code);
	uint64_t check = hash_add(HASH_START, &key, sizeof(key)) & 0xffffff;

	return key | (check ? check : 1);
}

struct counters_label_set
counters_format_unpack_label_set(uint64_t packed, size_t index)
{
	return (struct counters_label_set){(unsigned)(packed >> 48),
	    (unsigned)(packed >> 40 & 0xff), (unsigned)(packed >> 24 & 0xffff),
	    index};
}

bool
counters_format_label_set_is_sound(
    uint64_t packed, const struct registry *registry)
{
	struct counters_label_set parts =
	    counters_format_unpack_label_set(packed, 0);

	return packed == counters_format_pack_label_set(
			     parts.endpoint, parts.method, parts.code) &&
	       parts.endpoint < registry->endpoint_count &&
	       parts.method < registry->method_count;
}

int
counters_format_write(int fd, const struct registry *registry,
    unsigned slot_count, int64_t created)
{
	struct counters_header header = {
	    .magic = MAGIC,
	    .version = VERSION,
	    .byte_order = BYTE_ORDER_MARK,
	    .created = created,
	    .fixed_count = (uint32_t)registry->fixed_count,
	    .label_set_capacity = (uint32_t)registry->label_set_capacity,
	    .slot_count = slot_count,
	    .entry_size = sizeof(struct scoreboard_entry),
	};
	size_t size;
	char *text = registry_text(registry, &size);
	int error = 0;

	if (!text)
		return -ENOMEM;
	header.registry_size = (uint32_t)size;
	header.schema = hash_add(HASH_START, text, size);
	header.checksum = counters_format_checksum(&header, text);
	/* Reserve all of it now: a full disk would cause SIGBUS later. */
	error = posix_fallocate(
	    fd, 0, (off_t)counters_format_layout(&header).file_size);
	if (!error &&
	    (pwrite(fd, &header, sizeof(header), 0) != sizeof(header) ||
		pwrite(fd, text, size, sizeof(header)) != (ssize_t)size))
		error = errno ? errno : EIO;
	free(text);
	return -error;
}

void
counters_format_free_names(struct counters_names *names)
{
	free(names->text);
	free(names->names);
}

/* Take the next line from *text; NULL where there is none. */
static char *
next_line(char **text)
{
	char *line = *text;
	char *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*text = end + 1;
	return line;
}

/* A decimal number of at most nine digits, and nothing else; -1: it is not. */
static long
parse_count(const char *text)
{
	size_t length = strspn(text, "0123456789");

	return length > 0 && length < 10 && text[length] == '\0' ? atol(text)
								 : -1;
}

static int
read_list(char **text, const char *title, const char **names, size_t *count)
{
	size_t length = strlen(title);
	char *line = next_line(text);
	long said;

	if (!line || strncmp(line, title, length) != 0 || line[length] != ' ')
		return -EBADMSG;
	said = parse_count(line + length + 1);
	if (said < 0)
		return -EBADMSG;
	*count = (size_t)said;
	for (size_t i = 0; i < *count; i++) {
		names[i] = next_line(text);
		if (!names[i])
			return -EBADMSG;
	}
	return 0;
}

int
counters_format_read_names(
    struct counters_names *names, const struct counters_header *header)
{
	struct registry *registry = &names->registry;
	const char *file_text = (const char *)(header + 1);
	size_t lines = 0;
	char *text;
	int error;

	for (size_t i = 0; i < header->registry_size; i++)
		lines += file_text[i] == '\n';
	names->text = strndup(file_text, header->registry_size);
	names->names = calloc(lines + 1, sizeof(*names->names));
	if (!names->text || !names->names) {
		counters_format_free_names(names);
		return -ENOMEM;
	}
	text = names->text;
	registry->label_set_capacity = header->label_set_capacity;
	registry->fixed = names->names;
	error = read_list(&text, "cells", names->names, &registry->fixed_count);
	if (!error) {
		registry->endpoints = names->names + registry->fixed_count;
		error = read_list(&text, "endpoints",
		    names->names + registry->fixed_count,
		    &registry->endpoint_count);
	}
	if (!error) {
		registry->methods =
		    registry->endpoints + registry->endpoint_count;
		error = read_list(&text, "methods",
		    names->names + registry->fixed_count +
			registry->endpoint_count,
		    &registry->method_count);
	}
	/* There is more than three lists, or a NUL that hides the rest. */
	if (!error && text != names->text + header->registry_size)
		error = -EBADMSG;
	if (error)
		counters_format_free_names(names);
	return error;
}

/* What is wrong with the header of a file of this size; NULL: nothing. */
static const char *
validate_header(const struct counters_header *header, size_t size)
{
	if (memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0)
		return "it is not a counter file";
	if (header->byte_order != BYTE_ORDER_MARK)
		return "it is of another byte order";
	if (header->version != VERSION)
		return "it is of another format version";
	if (header->registry_size > REGISTRY_SIZE_MAX ||
	    header->slot_count > SLOTS_MAX ||
	    header->label_set_capacity > LABEL_SETS_MAX ||
	    header->fixed_count > REGISTRY_SIZE_MAX ||
	    header->entry_size > REGISTRY_SIZE_MAX ||
	    counters_format_layout(header).file_size != size)
		return "its size is not what its header says";
	if (header->checksum !=
	    counters_format_checksum(header, (const char *)(header + 1)))
		return "its checksum does not match";
	/* All code relies on these slots. */
	if (header->slot_count < SLOT_WORKER ||
	    header->entry_size % sizeof(uint64_t) != 0)
		return "its slots are not those of a counter file";
	return NULL;
}

/* What is wrong with the table of label sets; NULL: nothing. */
static const char *
validate_label_sets(const struct counters_header *header,
    const struct registry *registry, const uint64_t *label_sets)
{
	const uint64_t overflow = counters_format_pack_label_set(
	    (unsigned)registry->endpoint_count - 1,
	    (unsigned)registry->method_count - 1, 0);
	bool has_overflow = false;

	if (header->label_set_capacity == 0 ||
	    (header->label_set_capacity & (header->label_set_capacity - 1)) !=
		0)
		return "its label set table has no power of two for its size";
	for (size_t i = 0; i < header->label_set_capacity; i++) {
		if (label_sets[i] != 0 && !counters_format_label_set_is_sound(
					      label_sets[i], registry))
			return "its label set table is damaged";
		has_overflow |= label_sets[i] == overflow;
	}
	/* Without it, a search in a full table would not end. */
	return has_overflow
		   ? NULL
		   : "its label set table lacks the overflow label set";
}

const char *
counters_format_validate(const char *bytes, size_t size)
{
	const struct counters_header *header =
	    (const struct counters_header *)bytes;
	struct counters_names names;
	const char *problem;

	if (size == 0)
		return "it is empty";
	if (size < sizeof(*header))
		return "it is cut short";
	problem = validate_header(header, size);
	if (problem)
		return problem;
	if (counters_format_read_names(&names, header) != 0)
		return "its registry cannot be read";
	if (names.registry.fixed_count != header->fixed_count)
		problem = "its registry is not what its header says";
	else
		problem = validate_label_sets(header, &names.registry,
		    (const uint64_t *)(bytes + counters_format_layout(header)
						   .label_sets));
	counters_format_free_names(&names);
	return problem;
}

bool
counters_format_matches(
    const struct counters_header *header, const struct registry *registry)
{
	size_t size;
	char *text = registry_text(registry, &size);
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): mapped */
	bool same =
	    text && header->registry_size == size &&
	    header->label_set_capacity == registry->label_set_capacity &&
	    header->entry_size == sizeof(struct scoreboard_entry) &&
	    memcmp(header + 1, text, size) == 0;

	free(text);
	return same;
}
