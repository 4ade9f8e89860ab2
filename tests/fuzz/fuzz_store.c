/*
 * The counter-file opener. The first byte says what to do with the rest: take
 * it as a whole file, or as changes ("at, xor") to a sound one.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "counters.h"
#include "fuzz.h"
#include "log.h"
#include "metrics/catalog.h"
#include "metrics/store.h"

static char folder[] = "/dev/shm/fcgi-webapp-fuzz-XXXXXX";
static char path[64];
static struct store_catalog *catalog;

static void
clean(void)
{
	char command[128];

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
	catalog = counters_catalog();
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

static void
damage_file(const uint8_t *data, size_t size)
{
	struct store store;
	int fd;

	if (store_open(&store, path, catalog, 2) < 0)
		abort();
	counters_declare(&store);
	store_close(&store);
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store store;
	bool alive;

	if (!catalog)
		begin();
	if (size == 0)
		return 0;
	sweep();
	if (data[0] & 1)
		write_file(data + 1, size - 1);
	else
		damage_file(data + 1, size - 1);
	if (store_read(&store, path, catalog, &alive) == 0) {
		store_sum(&store, CATALOG_STARTS);
		store_close(&store);
	}
	/* Whatever it was, there is a sound file afterwards. */
	if (store_open(&store, path, catalog, 2) < 0)
		abort();
	counters_declare(&store);
	store_close(&store);
	assert(store_read(&store, path, catalog, &alive) == 0);
	store_close(&store);
	return 0;
}
