#include "metrics/writer.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 64 << 10 };

bool
writer_reserve(struct writer *writer, size_t size)
{
	size_t capacity = writer->capacity ? writer->capacity : FIRST_CAPACITY;
	char *bytes;

	if (writer->has_failed)
		return false;
	while (capacity - writer->size < size)
		capacity *= 2;
	bytes = realloc(writer->bytes, capacity);
	if (!bytes) {
		writer->has_failed = true;
		return false;
	}
	writer->bytes = bytes;
	writer->capacity = capacity;
	return true;
}

char *
writer_finish(struct writer *writer, size_t *size)
{
	if (writer->format->finish)
		writer->format->finish(writer);
	*size = writer->size;
	writer_put(writer, "", 1);
	if (!writer->has_failed)
		return writer->bytes;
	free(writer->bytes);
	return NULL;
}
