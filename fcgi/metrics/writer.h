#ifndef METRICS_WRITER_H
#define METRICS_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "metrics/family.h"

/*
 * What a scrape is written through. Whoever has numbers calls these functions
 * and does not know the format; a format is a struct writer_format.
 *
 *   for each family: writer_begin_family(), its samples or histograms,
 *   writer_end_family(); at last writer_finish()
 */

enum writer_number_type { WRITER_COUNT, WRITER_NANOSECONDS, WRITER_REAL };

/* A sample's value. Nanoseconds are shown as seconds, exactly. */
struct writer_number {
	enum writer_number_type type;
	union {
		uint64_t count; /* WRITER_COUNT and WRITER_NANOSECONDS */
		double real;    /* WRITER_REAL */
	} value;
};

/* A request that was counted in a bucket. */
struct writer_exemplar {
	char trace_id[33]; /* "": the bucket has no exemplar */
	struct writer_number value;
	int64_t time_ns; /* CLOCK_REALTIME */
};

/*
 * The native buckets of a histogram, of schema 3: eight for each power of two.
 * Bucket i has the observations above 2^((i-1)/8), up to and with 2^(i/8). The
 * zero bucket has those up to WRITER_NATIVE_ZERO.
 * https://prometheus.io/docs/specs/native_histograms/
 */
enum { WRITER_NATIVE_SCHEMA = 3 };
#define WRITER_NATIVE_ZERO 0x1p-20

struct writer_native_bucket {
	int index;
	uint64_t count;
};

struct writer_native {
	const struct writer_native_bucket *buckets; /* by ascending index */
	size_t bucket_count;
	uint64_t zero_count;
};

/* One series of a histogram. */
struct writer_histogram {
	const struct metric_bound *bounds;
	size_t bound_count;      /* without +Inf */
	const uint64_t *buckets; /* bound_count + 1 counts, not cumulative */
	struct writer_number sum;
	/* bound_count + 1; NULL: none */
	const struct writer_exemplar *exemplars;
	const struct writer_native *native; /* NULL: none */
};

struct writer {
	const struct writer_format *format;
	const struct metric_family *family; /* the one that was begun */
	char *bytes;                        /* what has been written */
	size_t size;
	size_t capacity;
	size_t family_at;   /* for formats: where this family began */
	int64_t created_ns; /* CLOCK_REALTIME of count 0; 0: not known */
	bool has_failed;    /* memory was short: the bytes are not complete */
};

/* A format: what to do at each step. NULL means that there is nothing to do. */
struct writer_format {
	const char *content_type;
	bool has_exemplars; /* it shows exemplars */
	bool has_native;    /* it shows native histograms */
	void (*begin_family)(struct writer *writer);
	void (*sample)(struct writer *writer, const struct metric_label *labels,
	    struct writer_number number);
	void (*histogram)(struct writer *writer,
	    const struct metric_label *labels,
	    const struct writer_histogram *histogram);
	void (*end_family)(struct writer *writer);
	void (*finish)(struct writer *writer);
};

/* Make room for `size` more bytes. False, and has_failed, without memory. */
bool writer_reserve(struct writer *writer, size_t size);

/* For formats: append bytes. */
static inline void
writer_put(struct writer *writer, const void *bytes, size_t size)
{
	if (writer->capacity - writer->size < size &&
	    !writer_reserve(writer, size))
		return;
	memcpy(writer->bytes + writer->size, bytes, size);
	writer->size += size;
}

/* Begin a family; every sample until writer_end_family() is one of its. */
static inline void
writer_begin_family(struct writer *writer, const struct metric_family *family)
{
	writer->family = family;
	if (writer->format->begin_family)
		writer->format->begin_family(writer);
}

static inline void
writer_end_family(struct writer *writer)
{
	if (writer->format->end_family)
		writer->format->end_family(writer);
	writer->family = NULL;
}

/* A sample with these labels; NULL for none. */
static inline void
writer_sample(struct writer *writer, const struct metric_label *labels,
    struct writer_number number)
{
	writer->format->sample(writer, labels, number);
}

/* A sample whose value is a whole number. */
static inline void
writer_count(
    struct writer *writer, const struct metric_label *labels, uint64_t count)
{
	writer_sample(writer, labels,
	    (struct writer_number){WRITER_COUNT, {.count = count}});
}

/* A series of a histogram. */
static inline void
writer_histogram(struct writer *writer, const struct metric_label *labels,
    const struct writer_histogram *histogram)
{
	writer->format->histogram(writer, labels, histogram);
}

/*
 * End after the last family. Returns the bytes, which the caller frees, with a
 * NUL after them; NULL where memory was short.
 */
char *writer_finish(struct writer *writer, size_t *size);

#endif
