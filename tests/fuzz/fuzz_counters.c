/*
 * The counter-file opener. The first byte says what to do with the rest: take
 * it as a whole file, or as changes ("at, xor") to a sound one; and whether to
 * make the size, the checksum and the label sets' checks right again
 * afterwards. Without that, no change would ever reach the code behind these
 * checks.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/request_metrics.h"
#include "fuzz.h"
#include "base/log.h"
#include "base/program.h"
#include "metrics/exposition.h"
#include "metrics/native.h"
#include "metrics/registry.h"
#include "metrics/counters.h"
#include "metrics/counters_format.h"

/* Bits of the first byte. */
enum { WHOLE_FILE = 1, SEAL = 2, SEAL_LABEL_SETS = 4 };

enum { SIZE_MAX_SEALED = 4 << 20 };

static char folder[] = "/dev/shm/" PROGRAM_NAME "-fuzz-XXXXXX";
static char path[128];
static struct registry *registry;

static void
clean(void)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command) != 0)
		abort();
}

static void
begin(void)
{
	log_configure(LOG_ERROR + 1, LOG_JSON);
	if (!mkdtemp(folder))
		abort();
	atexit(clean);
	snprintf(path, sizeof(path), "%s/counters", folder);
	registry = request_metrics_registry();
}

/* Forget what a round left: the file, and what was moved aside. */
static void
sweep(void)
{
	static unsigned rounds;

	unlink(path);
	if (rounds++ % 64 == 0) {
		clean();
		if (mkdir(folder, 0700) < 0)
			abort();
	}
}

static void
write_file(const uint8_t *data, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

/* Times of every length, so that the file has cells. */
static void
count_requests(struct counters *counters)
{
	for (int64_t ns = 500; ns < INT64_MAX / 3; ns *= 3) {
		const struct request_sample request = {.endpoint = 0,
		    .method = METHOD_GET,
		    .status = 200,
		    .duration_ns = ns,
		    .queue_ns = ns};

		request_metrics_add(counters, SLOT_WORKER, &request);
	}
}

static void
damage_file(const uint8_t *data, size_t size)
{
	struct counters counters;
	int fd;

	if (counters_open(&counters, path, registry, 2) < 0)
		abort();
	request_metrics_declare(&counters);
	count_requests(&counters);
	counters_close(&counters);
	fd = open(path, O_RDWR);
	for (; size >= 3; data += 3, size -= 3) {
		off_t at = data[0] << 8 | data[1];
		uint8_t byte;

		if (pread(fd, &byte, 1, at) == 1) {
			byte ^= data[2];
			if (pwrite(fd, &byte, 1, at) != 1)
				abort();
		}
	}
	close(fd);
}

/* Make every label set's check right. */
static void
seal_label_sets(char *bytes, const struct counters_header *header)
{
	uint64_t *label_sets =
	    (uint64_t *)(bytes + counters_format_layout(header).label_sets);

	for (size_t i = 0; i < header->label_set_capacity; i++) {
		struct counters_label_set key =
		    counters_format_unpack_label_set(label_sets[i], i);

		if (label_sets[i])
			label_sets[i] = counters_format_pack_label_set(
			    key.endpoint, key.method, key.code);
	}
}

/* Make the file as large as its header says, and its checksum right. */
static void
seal_file(bool with_label_sets)
{
	struct counters_header *header;
	struct counters_header start;
	char *bytes;
	size_t size;
	int fd = open(path, O_RDWR);

	if (pread(fd, &start, sizeof(start), 0) != sizeof(start)) {
		close(fd);
		return;
	}
	size = counters_format_layout(&start).file_size;
	if (start.registry_size > SIZE_MAX_SEALED ||
	    start.fixed_count > SIZE_MAX_SEALED ||
	    start.label_set_capacity > SIZE_MAX_SEALED ||
	    size > SIZE_MAX_SEALED) {
		close(fd);
		return;
	}
	if (ftruncate(fd, (off_t)size) < 0)
		abort();
	bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (bytes == MAP_FAILED)
		abort();
	header = (struct counters_header *)bytes;
	if (with_label_sets)
		seal_label_sets(bytes, header);
	header->checksum =
	    counters_format_checksum(header, bytes + sizeof(*header));
	munmap(bytes, size);
}

static void
read_cells(const struct counters *counters)
{
	const struct native_place place = {REGISTRY_CELLS_DURATION, 0,
	    registry_endpoint_value(0, REGISTRY_ENDPOINT_DURATION)};
	struct counters_label_set *cells =
	    calloc(registry->label_set_capacity, sizeof(*cells));
	struct native_histogram histogram;

	assert(cells);
	native_read(counters, &place, cells,
	    counters_list_cells(counters, cells), &histogram);
	for (size_t i = 1; i < histogram.native.bucket_count; i++)
		assert(histogram.buckets[i - 1].index <
		       histogram.buckets[i].index);
	free(cells);
}

/*
 * A scrape of a pool that runs, in the format that shows all that the file has.
 * Collectors find nothing.
 */
static void
render(const struct counters *counters)
{
	const struct exposition_source source = {.counters = counters,
	    .alive = true,
	    .backlog_fd = -ENOENT,
	    .root = folder};
	size_t size;
	char *bytes = exposition_render(&source, EXPOSITION_PROTOBUF, &size);

	assert(bytes);
	free(bytes);
}

/* Read all that a scrape reads. */
static void
read_all(const struct counters *counters)
{
	size_t count = registry->fixed_count + registry->label_set_capacity;

	assert(
	    (const char *)(counters_values(counters, counters->slot_count - 1) +
			   count) <=
	    (const char *)counters->map + counters->map_size);
	for (size_t index = 0; index < count; index++)
		counters_sum(counters, index);
	read_cells(counters);
	render(counters);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct counters counters;
	bool alive;

	if (!registry)
		begin();
	if (size == 0)
		return 0;
	sweep();
	if (data[0] & WHOLE_FILE)
		write_file(data + 1, size - 1);
	else
		damage_file(data + 1, size - 1);
	if (data[0] & SEAL)
		seal_file(data[0] & SEAL_LABEL_SETS);
	if (counters_read(&counters, path, registry, &alive) == 0) {
		read_all(&counters);
		counters_close(&counters);
	}
	/* Whatever it was, there is a sound file afterwards. */
	if (counters_open(&counters, path, registry, 2) < 0)
		abort();
	request_metrics_declare(&counters);
	read_all(&counters);
	counters_close(&counters);
	assert(counters_read(&counters, path, registry, &alive) == 0);
	counters_close(&counters);
	return 0;
}
