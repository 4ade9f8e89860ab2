/*
 * The counter file: how it is made, found, judged, taken over from another
 * version, and locked. Adding to it is in the header; it takes none of this.
 *
 * Two locks. The pool holds flock(LOCK_EX) on the file; every process of the
 * pool inherits it, so that a new pool waits until the last of an old one is
 * gone. CGI processes, which come and go beside a pool, hold an open-file lock
 * (F_OFD_SETLK) shared while they count; whoever replaces the file takes it
 * exclusively, so that no count goes into a file that was just replaced.
 */
#include "metrics/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "metrics/catalog.h"

#define MAGIC "FCGIWAPP"

enum {
	VERSION = 1,
	BYTE_ORDER_MARK = 0x01020304,
	LINE = 64,       /* a cache line */
	LOCK_WAIT = 100, /* times 10 ms */
	CATALOG_SIZE_MAX = 64 << 20,
	SLOTS_MAX = 4096,
	KEYS_MAX = 1 << 24,
	NAMES_MAX = 1000, /* of files moved aside in one second */
};

struct header {
	char magic[8];
	uint32_t version;
	uint32_t byte_order;
	uint64_t schema; /* hash of the catalog's text */
	int64_t created; /* CLOCK_REALTIME ns */
	uint32_t fixed_count;
	uint32_t key_capacity;
	uint32_t slot_count;
	uint32_t catalog_size;
	uint64_t checksum; /* of the header with this at 0, and the catalog */
	char unused[8];
};

/* Where things stand in a file with this header. */
struct layout {
	size_t keys;
	size_t slots;
	size_t slot_size;
	size_t file_size;
};

static size_t
round_up(size_t size, size_t unit)
{
	return (size + unit - 1) / unit * unit;
}

static struct layout
layout_of(const struct header *header)
{
	size_t cells = (size_t)header->fixed_count + header->key_capacity;
	struct layout layout;

	layout.keys = round_up(sizeof(*header) + header->catalog_size, LINE);
	layout.slots = round_up(
	    layout.keys + header->key_capacity * sizeof(uint64_t), LINE);
	layout.slot_size = round_up(
	    sizeof(struct store_state) + cells * sizeof(uint64_t), LINE);
	layout.file_size = layout.slots + header->slot_count * layout.slot_size;
	return layout;
}

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t
hash(uint64_t value, const void *bytes, size_t size)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < size; i++)
		value = (value ^ p[i]) * 0x100000001b3u;
	return value;
}

static const uint64_t hash_start = 0xcbf29ce484222325u;

static uint64_t
checksum_of(const struct header *header, const char *catalog)
{
	struct header copy = *header;

	copy.checksum = 0;
	return hash(hash(hash_start, &copy, sizeof(copy)), catalog,
	    header->catalog_size);
}

/*
 * The catalog as text: a count and then that many lines, for the fixed cells,
 * the endpoints and the methods. malloc'ed; NULL where memory is short.
 */
static char *
catalog_text(const struct store_catalog *catalog, size_t *size)
{
	const struct {
		const char *title;
		const char *const *names;
		size_t count;
	} lists[] = {
	    {"cells", catalog->fixed, catalog->fixed_count},
	    {"endpoints", catalog->endpoints, catalog->endpoint_count},
	    {"methods", catalog->methods, catalog->method_count},
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

/*
 * A key as a number: sorts by endpoint, method, code; carries a check of itself
 * so that damage shows; is never 0, which marks a free place.
 */
static uint64_t
key_pack(unsigned endpoint, unsigned method, unsigned code)
{
	uint64_t key = (uint64_t)(endpoint & 0xffff) << 48 |
		       (uint64_t)(method & 0xff) << 40 |
		       (uint64_t)(code & 0xffff) << 24;
	uint64_t check = hash(hash_start, &key, sizeof(key)) & 0xffffff;

	return key | (check ? check : 1);
}

static struct store_key
key_unpack(uint64_t key, size_t cell)
{
	return (struct store_key){(unsigned)(key >> 48),
	    (unsigned)(key >> 40 & 0xff), (unsigned)(key >> 24 & 0xffff), cell};
}

static bool
key_is_sound(uint64_t key, const struct store_catalog *catalog)
{
	struct store_key parts = key_unpack(key, 0);

	return key == key_pack(parts.endpoint, parts.method, parts.code) &&
	       parts.endpoint < catalog->endpoint_count &&
	       parts.method < catalog->method_count;
}

size_t
store_key_cell(
    struct store *store, unsigned endpoint, unsigned method, unsigned code)
{
	const struct store_catalog *catalog = store->catalog;
	uint64_t key = key_pack(endpoint, method, code);
	size_t mask = catalog->key_capacity - 1;
	size_t at = (size_t)((key >> 24) * 0x9e3779b97f4a7c15u >> 32) & mask;

	for (size_t step = 0; step <= mask; step++, at = (at + 1) & mask) {
		uint64_t found = atomic_load_explicit(
		    &store->keys[at], memory_order_relaxed);

		if (found == 0 && atomic_compare_exchange_strong(
				      &store->keys[at], &found, key))
			found = key;
		if (found == key)
			return catalog->fixed_count + at;
	}
	/* Full. This key is made with the file, so this ends. */
	return store_key_cell(store, (unsigned)catalog->endpoint_count - 1,
	    (unsigned)catalog->method_count - 1, 0);
}

static int
compare_keys(const void *a, const void *b)
{
	const struct store_key *x = a;
	const struct store_key *y = b;

	if (x->endpoint != y->endpoint)
		return x->endpoint < y->endpoint ? -1 : 1;
	if (x->method != y->method)
		return x->method < y->method ? -1 : 1;
	return (x->code > y->code) - (x->code < y->code);
}

size_t
store_list_keys(const struct store *store, struct store_key *keys)
{
	size_t count = 0;

	for (size_t i = 0; i < store->catalog->key_capacity; i++) {
		uint64_t key =
		    atomic_load_explicit(&store->keys[i], memory_order_relaxed);

		if (key != 0 && key_is_sound(key, store->catalog))
			keys[count++] =
			    key_unpack(key, store->catalog->fixed_count + i);
	}
	qsort(keys, count, sizeof(*keys), compare_keys);
	return count;
}

uint64_t
store_sum(const struct store *store, size_t cell)
{
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < store->slot_count; slot++)
		sum += atomic_load_explicit(
		    &store_cells(store, slot)[cell], memory_order_relaxed);
	return sum;
}

/* --- judging a file ---------------------------------------------------- */

/* A catalog as read back out of a file; names point into text. */
struct old_catalog {
	struct store_catalog catalog;
	char *text;
	const char **names;
};

static void
old_catalog_free(struct old_catalog *old)
{
	free(old->text);
	free(old->names);
}

/* Cut the next line off *text; NULL where there is none. */
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

static int
read_list(char **text, const char *title, const char **names, size_t *count)
{
	size_t length = strlen(title);
	char *line = next_line(text);

	if (!line || strncmp(line, title, length) != 0 || line[length] != ' ')
		return -EBADMSG;
	*count = strtoul(line + length + 1, NULL, 10);
	for (size_t i = 0; i < *count; i++) {
		names[i] = next_line(text);
		if (!names[i])
			return -EBADMSG;
	}
	return 0;
}

static int
old_catalog_read(struct old_catalog *old, const struct header *header)
{
	struct store_catalog *catalog = &old->catalog;
	const char *file_text = (const char *)(header + 1);
	size_t lines = 0;
	char *text;
	int error;

	for (size_t i = 0; i < header->catalog_size; i++)
		lines += file_text[i] == '\n';
	old->text = strndup(file_text, header->catalog_size);
	old->names = calloc(lines + 1, sizeof(*old->names));
	if (!old->text || !old->names) {
		old_catalog_free(old);
		return -ENOMEM;
	}
	text = old->text;
	catalog->key_capacity = header->key_capacity;
	catalog->fixed = old->names;
	error = read_list(&text, "cells", old->names, &catalog->fixed_count);
	if (!error) {
		catalog->endpoints = old->names + catalog->fixed_count;
		error = read_list(&text, "endpoints",
		    old->names + catalog->fixed_count,
		    &catalog->endpoint_count);
	}
	if (!error) {
		catalog->methods = catalog->endpoints + catalog->endpoint_count;
		error = read_list(&text, "methods",
		    old->names + catalog->fixed_count + catalog->endpoint_count,
		    &catalog->method_count);
	}
	if (error)
		old_catalog_free(old);
	return error;
}

/* What is wrong with a file's bytes, for people; NULL where nothing is. */
static const char *
judge(const char *bytes, size_t size)
{
	const struct header *header = (const struct header *)bytes;
	struct old_catalog old;
	const char *problem = NULL;
	const uint64_t *keys;

	if (size == 0)
		return "it is empty";
	if (size < sizeof(*header))
		return "it is cut short";
	if (memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0)
		return "it is not a counter file";
	if (header->byte_order != BYTE_ORDER_MARK)
		return "it is of another byte order";
	if (header->version != VERSION)
		return "it is of another format version";
	if (header->catalog_size > CATALOG_SIZE_MAX ||
	    header->slot_count > SLOTS_MAX || header->key_capacity > KEYS_MAX ||
	    header->fixed_count > CATALOG_SIZE_MAX ||
	    layout_of(header).file_size != size)
		return "its size is not what its header says";
	if (header->checksum != checksum_of(header, (const char *)(header + 1)))
		return "its checksum does not match";
	if (old_catalog_read(&old, header) != 0)
		return "its catalog cannot be read";
	keys = (const uint64_t *)(bytes + layout_of(header).keys);
	for (size_t i = 0; i < header->key_capacity && !problem; i++)
		if (keys[i] != 0 && !key_is_sound(keys[i], &old.catalog))
			problem = "its key table is damaged";
	old_catalog_free(&old);
	return problem;
}

/* --- making and mapping ------------------------------------------------ */

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Map an open file whose bytes are sound; fills in store but its catalog. */
static int
map_file(struct store *store, int fd, int protection)
{
	struct stat status;
	struct header *header;
	struct layout layout;

	if (fstat(fd, &status) < 0)
		return -errno;
	store->map_size = (size_t)status.st_size;
	store->map = mmap(NULL, store->map_size, protection, MAP_SHARED, fd, 0);
	if (store->map == MAP_FAILED)
		return -errno;
	header = store->map;
	layout = layout_of(header);
	store->fd = fd;
	store->keys = (_Atomic uint64_t *)((char *)store->map + layout.keys);
	store->slots = (char *)store->map + layout.slots;
	store->slot_size = layout.slot_size;
	store->slot_count = header->slot_count;
	return 0;
}

/* Write the header and catalog of a fresh file and reserve all of it. */
static int
write_fresh(int fd, const struct store_catalog *catalog, unsigned slot_count)
{
	struct header header = {
	    .magic = MAGIC,
	    .version = VERSION,
	    .byte_order = BYTE_ORDER_MARK,
	    .created = now_ns(),
	    .fixed_count = (uint32_t)catalog->fixed_count,
	    .key_capacity = (uint32_t)catalog->key_capacity,
	    .slot_count = slot_count,
	};
	size_t size;
	char *text = catalog_text(catalog, &size);
	int error = 0;

	if (!text)
		return -ENOMEM;
	header.catalog_size = (uint32_t)size;
	header.schema = hash(hash_start, text, size);
	header.checksum = checksum_of(&header, text);
	/* In full and now: a disk that fills up later would be a SIGBUS. */
	error = posix_fallocate(fd, 0, (off_t)layout_of(&header).file_size);
	if (!error &&
	    (pwrite(fd, &header, sizeof(header), 0) != sizeof(header) ||
		pwrite(fd, text, size, sizeof(header)) != (ssize_t)size))
		error = errno ? errno : EIO;
	free(text);
	return -error;
}

/*
 * Make path.new, hold its lock and map it. Whoever calls this holds the lock
 * of path itself, so nobody else is doing the same.
 */
static int
make_fresh(struct store *store, const char *path, unsigned slot_count,
    char *new_path, size_t new_path_size)
{
	int fd;
	int error;

	if (snprintf(new_path, new_path_size, "%s.new", path) >=
	    (int)new_path_size)
		return -ENAMETOOLONG;
	if (unlink(new_path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	error = write_fresh(fd, store->catalog, slot_count);
	if (!error && flock(fd, LOCK_EX | LOCK_NB) < 0)
		error = -errno;
	if (!error)
		error = map_file(store, fd, PROT_READ | PROT_WRITE);
	if (error) {
		unlink(new_path);
		close(fd);
		return error;
	}
	store_key_cell(store, (unsigned)store->catalog->endpoint_count - 1,
	    (unsigned)store->catalog->method_count - 1, 0);
	return 0;
}

/* Put path.new where path is. */
static int
publish(struct store *store, const char *path, const char *new_path)
{
	if (msync(store->map, store->map_size, MS_SYNC) == 0 &&
	    rename(new_path, path) == 0)
		return 0;
	int error = -errno;

	unlink(new_path);
	store_close(store);
	return error;
}

/* --- counts of another version ----------------------------------------- */

struct index_entry {
	const char *name;
	size_t cell;
};

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const struct index_entry *)a)->name,
	    ((const struct index_entry *)b)->name);
}

static struct index_entry *
index_names(const struct store_catalog *catalog)
{
	struct index_entry *index =
	    calloc(catalog->fixed_count + 1, sizeof(*index));

	if (!index)
		return NULL;
	for (size_t i = 0; i < catalog->fixed_count; i++)
		index[i] = (struct index_entry){catalog->fixed[i], i};
	qsort(index, catalog->fixed_count, sizeof(*index), compare_names);
	return index;
}

/*
 * The new cell for an old name, or -1. A bucket whose bound is gone goes into
 * the next larger one there is, so that a histogram keeps its count.
 */
static long
find_cell(const struct index_entry *index, size_t count, const char *name)
{
	const struct index_entry wanted = {name, 0};
	const struct index_entry *found =
	    bsearch(&wanted, index, count, sizeof(*index), compare_names);
	const char *le = strstr(name, "le=\"");

	if (found)
		return (long)found->cell;
	if (!le || !strstr(name, "_bucket{"))
		return -1;
	for (int i = 0; i <= CATALOG_BOUND_COUNT; i++) {
		char near[512];
		const struct index_entry next = {near, 0};

		if (i < CATALOG_BOUND_COUNT &&
		    strtod(catalog_bounds[i].le, NULL) < strtod(le + 4, NULL))
			continue;
		snprintf(near, sizeof(near), "%.*sle=\"%s\"}", (int)(le - name),
		    name, catalog_bounds[i].le);
		found =
		    bsearch(&next, index, count, sizeof(*index), compare_names);
		if (found)
			return (long)found->cell;
	}
	return -1;
}

static long
find_name(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return (long)i;
	return -1;
}

/* Add an old file's sums to the master's slot. Returns the series left out. */
static long
carry_over(struct store *new, const struct store *old)
{
	const struct store_catalog *from = old->catalog;
	const struct store_catalog *to = new->catalog;
	_Atomic uint64_t *cells = store_cells(new, STORE_MASTER);
	struct store_key *keys = calloc(from->key_capacity, sizeof(*keys));
	struct index_entry *index = index_names(to);
	long dropped = 0;

	if (!keys || !index) {
		free(keys);
		free(index);
		return -ENOMEM;
	}
	for (size_t i = 0; i < from->fixed_count; i++) {
		long cell = find_cell(index, to->fixed_count, from->fixed[i]);

		if (cell >= 0)
			store_add(cells, (size_t)cell, store_sum(old, i));
		else
			dropped++;
	}
	for (size_t i = store_list_keys(old, keys); i-- > 0;) {
		long endpoint = find_name(to->endpoints, to->endpoint_count,
		    from->endpoints[keys[i].endpoint]);
		long method = find_name(to->methods, to->method_count,
		    from->methods[keys[i].method]);

		if (endpoint >= 0 && method >= 0)
			store_add(cells,
			    store_key_cell(new, (unsigned)endpoint,
				(unsigned)method, keys[i].code),
			    store_sum(old, keys[i].cell));
		else
			dropped++;
	}
	free(keys);
	free(index);
	return dropped;
}

/* --- opening ----------------------------------------------------------- */

/* Say what is wrong and what to do; returns error. */
static int
fail(int error, const char *path)
{
	static const struct {
		int error;
		const char *advice;
	} advices[] = {
	    {-EBUSY, "another pool holds it: stop that one, or give this one a "
		     "file of its own with --metrics-file"},
	    {-ENOSPC, "the disk is full: free some space, or put it elsewhere "
		      "with --metrics-file"},
	    {-EACCES, "permission denied: let this user read and write it and "
		      "its directory, or choose another with --metrics-file"},
	    {-EROFS, "the file system is read-only: choose another place with "
		     "--metrics-file"},
	    {-ENOENT,
		"no such file or directory: make its directory, or choose "
		"another place with --metrics-file"},
	    {-EISDIR, "it is a directory: name a file with --metrics-file"},
	    {-ELOOP, "it is a symbolic link: name the file itself with "
		     "--metrics-file"},
	    {-EINVAL, "it is not a regular file: move it away, or choose "
		      "another with --metrics-file"},
	    {-ESTALE, "another version wrote it: use that version's binary"},
	};
	const char *advice = strerror(-error);

	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
		if (advices[i].error == error)
			advice = advices[i].advice;
	log_text(
	    LOG_ERROR, "cannot open the counter file %s: %s", path, advice);
	return error;
}

/* Open a path that must be a regular file. Returns the fd. */
static int
open_regular(const char *path, int flags)
{
	struct stat status;
	int fd;

	/* Never waits for the other end of a FIFO. */
	fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
	if (fd < 0) {
		if (errno == ENXIO)
			return -EINVAL; /* a FIFO or a socket */
		return -errno;
	}
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(fd);
		return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	}
	return fd;
}

/* Whether the path still leads to the open file: it may have been replaced. */
static bool
is_current(const char *path, int fd)
{
	struct stat named;
	struct stat opened;

	return stat(path, &named) == 0 && fstat(fd, &opened) == 0 &&
	       named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
}

/*
 * Take the pool's lock, waiting a second for the processes of a pool that was
 * just killed. Returns the fd, or a negative errno; *is_new tells whether the
 * file was made by this call.
 */
static int
open_locked(const char *path, bool *is_new)
{
	for (int i = 0; i < LOCK_WAIT; i++) {
		int fd = open_regular(path, O_RDWR);

		*is_new = fd == -ENOENT;
		if (*is_new)
			fd = open_regular(path, O_RDWR | O_CREAT | O_EXCL);
		if (fd == -EEXIST)
			continue;
		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (is_current(path, fd))
				return fd;
		} else if (errno != EWOULDBLOCK) {
			int error = -errno;

			close(fd);
			return error;
		}
		close(fd);
		usleep(10000);
	}
	return -EBUSY;
}

/* The header lock that CGI processes share. type: F_RDLCK or F_WRLCK. */
static int
lock_layout(int fd, short type)
{
	struct flock lock = {
	    .l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

	return fcntl(fd, F_OFD_SETLKW, &lock) < 0 ? -errno : 0;
}

/* Move a damaged file aside under a name that no other has. */
static int
quarantine(const char *path, const char *problem)
{
	char aside[PATH_MAX];
	struct tm utc;
	time_t now = time(NULL);
	char stamp[32];

	gmtime_r(&now, &utc);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc);
	for (int i = 0;; i++) {
		snprintf(aside, sizeof(aside), "%s.damaged-%s%s%.0d", path,
		    stamp, i ? "-" : "", i);
		if (link(path, aside) == 0)
			break;
		if (errno != EEXIST || i == NAMES_MAX)
			return -errno;
	}
	LOG(LOG_ERROR, "counter file damaged: moved aside, starting afresh",
	    LOG_STRING("file", path), LOG_STRING("problem", problem),
	    LOG_STRING("moved_to", aside));
	return 0;
}

/* Replace the file at path by a fresh one, with the counts of old if given. */
static int
replace(struct store *store, const char *path, unsigned slot_count,
    const struct store *old)
{
	char new_path[PATH_MAX];
	int error =
	    make_fresh(store, path, slot_count, new_path, sizeof(new_path));
	long dropped;

	if (error)
		return error;
	if (old) {
		char previous[PATH_MAX];

		dropped = carry_over(store, old);
		if (dropped < 0) {
			unlink(new_path);
			store_close(store);
			return (int)dropped;
		}
		/* For a rollback, and for what could not be carried over. */
		snprintf(previous, sizeof(previous), "%s.previous", path);
		unlink(previous);
		if (link(path, previous) < 0)
			LOG(LOG_WARNING, "no copy of the previous counter file",
			    LOG_STRING("error", strerror(errno)));
		LOG(LOG_INFO, "counter file taken over from another version",
		    LOG_STRING("file", path),
		    LOG_NUMBER("series_dropped", dropped),
		    LOG_STRING("previous", previous));
	}
	return publish(store, path, new_path);
}

/* Take over what another version, or a pool with fewer workers, wrote. */
static int
migrate(struct store *store, const char *path, int fd, unsigned slot_count)
{
	struct old_catalog names;
	struct store old = {0};
	int error = map_file(&old, fd, PROT_READ);

	if (error)
		return error;
	error = old_catalog_read(&names, old.map);
	if (!error) {
		old.catalog = &names.catalog;
		error = replace(store, path, slot_count, &old);
		old_catalog_free(&names);
	}
	munmap(old.map, old.map_size);
	return error;
}

static bool
has_schema(const struct header *header, const struct store_catalog *catalog)
{
	size_t size;
	char *text = catalog_text(catalog, &size);
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): mapped */
	bool same = text && header->catalog_size == size &&
		    header->key_capacity == catalog->key_capacity &&
		    memcmp(header + 1, text, size) == 0;

	free(text);
	return same;
}

/* Read a whole file to judge it; nothing maps bytes that are not sound. */
static const char *
judge_file(int fd)
{
	struct stat status;
	const char *problem;
	void *bytes;

	if (fstat(fd, &status) < 0)
		return strerror(errno);
	if (status.st_size == 0)
		return judge(NULL, 0);
	bytes =
	    mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return strerror(errno);
	problem = judge(bytes, (size_t)status.st_size);
	munmap(bytes, (size_t)status.st_size);
	return problem;
}

/* Make the locked, current file at path ours: as it is, mended or replaced. */
static int
adopt(struct store *store, const char *path, int fd, bool is_new,
    unsigned slot_count)
{
	const char *problem = is_new ? NULL : judge_file(fd);
	int error;

	if (is_new)
		return replace(store, path, slot_count, NULL);
	if (problem) {
		error = quarantine(path, problem);
		if (!error)
			error = replace(store, path, slot_count, NULL);
		if (!error)
			store_add(store_cells(store, STORE_MASTER),
			    CATALOG_STORE_RECOVERIES, 1);
		return error;
	}
	error = map_file(store, fd, PROT_READ | PROT_WRITE);
	if (error)
		return error;
	if (has_schema(store->map, store->catalog) &&
	    store->slot_count >= slot_count)
		return 0;
	if (store->slot_count > slot_count)
		slot_count = store->slot_count;
	munmap(store->map, store->map_size);
	store->fd = -1; /* the caller's, until a new file takes its place */
	return migrate(store, path, fd, slot_count);
}

int
store_open(struct store *store, const char *path,
    const struct store_catalog *catalog, unsigned workers)
{
	bool is_new;
	int fd = open_locked(path, &is_new);
	int error;

	*store = (struct store){.catalog = catalog, .fd = -1};
	if (fd < 0)
		return fail(fd, path);
	error = lock_layout(fd, F_WRLCK);
	if (!error)
		error = adopt(store, path, fd, is_new, STORE_WORKER + workers);
	if (error && is_new)
		unlink(path);
	if (store->fd != fd) /* replaced, or failed */
		close(fd);
	else
		lock_layout(fd, F_UNLCK);
	if (error)
		return fail(error, path);
	store->is_owner = true;
	for (unsigned slot = 0; slot < store->slot_count; slot++)
		memset((void *)store_state(store, slot), 0,
		    sizeof(struct store_state));
	atomic_store(&store_cells(store, STORE_MASTER)[CATALOG_LOAD_ACTIVE], 0);
	return 0;
}

/* Nobody holds the file: be the pool for a moment, to make or mend it. */
static int
mend(const char *path, const struct store_catalog *catalog)
{
	struct store store;
	int error = store_open(&store, path, catalog, 0);

	if (!error)
		store_close(&store);
	return error;
}

/* Whether a pool holds the lock of this open file. */
static bool
is_held(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return true;
	flock(fd, LOCK_UN);
	return false;
}

int
store_attach(
    struct store *store, const char *path, const struct store_catalog *catalog)
{
	*store = (struct store){.catalog = catalog, .fd = -1};
	for (int i = 0; i < LOCK_WAIT; i++) {
		int fd = open_regular(path, O_RDWR);
		int error = fd < 0 ? fd : lock_layout(fd, F_RDLCK);

		if (!error && !is_current(path, fd)) {
			close(fd);
			continue;
		}
		if (!error && !judge_file(fd)) {
			error = map_file(store, fd, PROT_READ | PROT_WRITE);
			if (error)
				return fail(error, path);
			if (has_schema(store->map, catalog))
				return 0;
			munmap(store->map, store->map_size);
			if (is_held(fd)) {
				close(fd);
				return fail(-ESTALE, path);
			}
		}
		if (fd >= 0)
			close(fd);
		store->fd = -1;
		if (error && error != -ENOENT)
			return fail(error, path);
		error = mend(path, catalog);
		if (error)
			return error;
	}
	return fail(-EBUSY, path);
}

int
store_read(struct store *store, const char *path,
    const struct store_catalog *catalog, bool *alive)
{
	int fd = open_regular(path, O_RDONLY);
	const char *problem;
	int error;

	*store = (struct store){.catalog = catalog, .fd = -1};
	if (fd < 0)
		return fail(fd, path);
	problem = judge_file(fd);
	if (problem) {
		close(fd);
		log_text(LOG_ERROR,
		    "cannot read the counter file %s: %s; the next start of "
		    "`fcgi-webapp serve` moves it aside and begins a fresh one",
		    path, problem);
		return -EBADMSG;
	}
	*alive = is_held(fd);
	error = map_file(store, fd, PROT_READ);
	if (!error && !has_schema(store->map, catalog)) {
		store_close(store);
		return fail(-ESTALE, path);
	}
	return error ? fail(error, path) : 0;
}

void
store_close(struct store *store)
{
	if (store->fd < 0)
		return;
	munmap(store->map, store->map_size);
	close(store->fd);
	store->fd = -1;
}
