/*
 * A scrape: the families of metrics.def, then those of the application, then
 * those of the collectors.
 */
#include "metrics/exposition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "metrics/app_exposition.h"
#include "metrics/busy_time.h"
#include "metrics/collectors.h"
#include "metrics/native.h"
#include "metrics/protobuf_format.h"
#include "metrics/registry.h"
#include "metrics/text_format.h"

static const struct writer_format *const formats[] = {
    [EXPOSITION_TEXT] = &text_format_prometheus,
    [EXPOSITION_OPENMETRICS] = &text_format_openmetrics,
    [EXPOSITION_PROTOBUF] = &protobuf_format,
};

/* One scrape. */
struct scrape {
	const struct exposition_source *source;
	struct collection collection;
	struct writer writer;
	struct counters_label_set *cells; /* NULL: the format needs none */
	size_t cell_count;
};

/* --- out of the counter file -------------------------------------------- */

static uint64_t
read_busy_time(
    const struct exposition_source *source, enum scoreboard_kind kind)
{
	return source->is_scrape
		   ? busy_time_show(source->counters, kind)
		   : busy_time_read(source->counters, kind, source->alive);
}

static uint64_t
read_value(const struct exposition_source *source, size_t value)
{
	switch (value) {
	case REGISTRY_BUSY_NONBLOCKING:
		return read_busy_time(source, SCOREBOARD_NONBLOCKING);
	case REGISTRY_BUSY_BLOCKING:
		return read_busy_time(source, SCOREBOARD_BLOCKING);
	default:
		return counters_sum(source->counters, value);
	}
}

/* A series that has at most one label; NULL for none. */
static void
write_value(struct scrape *scrape, const char *label, const char *label_value,
    size_t value)
{
	const struct metric_label labels[] = {
	    {label, label_value}, {NULL, NULL}};
	const char *unit = scrape->writer.family->unit;
	bool is_time = unit && strcmp(unit, "seconds") == 0;

	writer_sample(&scrape->writer, labels,
	    (struct writer_number){is_time ? WRITER_NANOSECONDS : WRITER_COUNT,
		{.count = read_value(scrape->source, value)}});
}

/* Of the bucket at this index; a trace id of "" if it has none. */
static struct writer_exemplar
find_exemplar(const struct counters *counters, size_t index)
{
	struct writer_exemplar to = {.trace_id = ""};
	struct exemplar exemplar;

	if (exemplars_find(&counters->exemplars, index, &exemplar)) {
		memcpy(to.trace_id, exemplar.trace_id, sizeof(to.trace_id));
		to.value = (struct writer_number){
		    WRITER_NANOSECONDS, {.count = exemplar.value}};
		to.time_ns = exemplar.time_ns;
	}
	return to;
}

static void
write_histogram(struct scrape *scrape, const struct metric_label *labels,
    const struct native_place *place)
{
	const struct counters *counters = scrape->source->counters;
	struct native_histogram both;
	struct writer_exemplar exemplars[REGISTRY_BUCKETS];
	struct writer_histogram histogram = {
	    .bounds = registry_bounds,
	    .bound_count = REGISTRY_BOUND_COUNT,
	    .buckets = both.classic,
	    .sum = {WRITER_NANOSECONDS,
		{.count = counters_sum(counters, place->first)}},
	};

	if (scrape->writer.format->has_exemplars) {
		for (size_t i = 0; i < REGISTRY_BUCKETS; i++)
			exemplars[i] =
			    find_exemplar(counters, place->first + 1 + i);
		histogram.exemplars = exemplars;
	}
	if (scrape->cells) {
		native_read(
		    counters, place, scrape->cells, scrape->cell_count, &both);
		histogram.native = &both.native;
	} else {
		for (size_t i = 0; i < REGISTRY_BUCKETS; i++)
			both.classic[i] =
			    counters_sum(counters, place->first + 1 + i);
	}
	writer_histogram(&scrape->writer, labels, &histogram);
}

static void
write_endpoints(struct scrape *scrape, const struct registry_family *family)
{
	const struct registry *registry = scrape->source->counters->registry;

	for (unsigned i = 0; i < registry->endpoint_count; i++) {
		const struct metric_label labels[] = {
		    {"endpoint", registry->endpoints[i]}, {NULL, NULL}};
		const struct native_place place = {family->cells, i,
		    registry_endpoint_value(i, family->value)};

		if (family->kind == REGISTRY_KIND_ENDPOINT_COUNTER)
			write_value(scrape, labels[0].name, labels[0].value,
			    place.first);
		else
			write_histogram(scrape, labels, &place);
	}
}

static void
write_pool_histogram(
    struct scrape *scrape, const struct registry_family *family)
{
	const struct registry *registry = scrape->source->counters->registry;

	write_histogram(scrape, NULL,
	    &(struct native_place){family->cells,
		(unsigned)registry->endpoint_count - 1, family->value});
}

static void
write_label_sets(struct scrape *scrape)
{
	const struct counters *counters = scrape->source->counters;
	const struct registry *registry = counters->registry;
	struct counters_label_set *sets =
	    calloc(registry->label_set_capacity, sizeof(*sets));
	size_t count = sets ? counters_list_label_sets(counters, sets) : 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t sum = counters_sum(counters, sets[i].index);
		char code[8];
		const struct metric_label labels[] = {
		    {"endpoint", registry->endpoints[sets[i].endpoint]},
		    {"method", registry->methods[sets[i].method]},
		    {"code", code},
		    {NULL, NULL},
		};

		if (sets[i].code == 0 && sum == 0)
			continue; /* the overflow, made with the file */
		snprintf(code, sizeof(code), "%03u", sets[i].code);
		writer_count(&scrape->writer, labels, sum);
	}
	free(sets);
}

/* --- gauges --------------------------------------------------------------- */

static void
write_build_info(struct scrape *scrape)
{
	const struct metric_label labels[] = {
	    {"version", version_number},
	    {"revision", version_revision},
	    {NULL, NULL},
	};

	writer_count(&scrape->writer, labels, 1);
}

/* Of the pool that runs; nobody where none does. */
static struct scoreboard_census
take_census(const struct exposition_source *source, enum scoreboard_kind kind)
{
	const struct scoreboard *scoreboard = &source->counters->scoreboard;

	return source->alive ? scoreboard_census(scoreboard, kind)
			     : (struct scoreboard_census){0};
}

static void
write_workers_of_kind(struct scrape *scrape, enum scoreboard_kind kind)
{
	const struct scoreboard_census census =
	    take_census(scrape->source, kind);
	const struct {
		const char *state;
		unsigned workers;
	} states[] = {
	    {"busy", census.busy},
	    {"idle", census.idle},
	    {"stopped", census.stopped},
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		const struct metric_label labels[] = {
		    {"kind", scoreboard_kind_name(kind)},
		    {"state", states[i].state},
		    {NULL, NULL},
		};

		writer_count(&scrape->writer, labels, states[i].workers);
	}
}

static void
write_workers(struct scrape *scrape)
{
	for (int kind = 0; kind < SCOREBOARD_KINDS; kind++)
		write_workers_of_kind(scrape, (enum scoreboard_kind)kind);
}

static void
write_connections(struct scrape *scrape)
{
	uint64_t connections = 0;

	for (int kind = 0; kind < SCOREBOARD_KINDS; kind++)
		connections +=
		    take_census(scrape->source, (enum scoreboard_kind)kind)
			.connections;
	writer_count(&scrape->writer, NULL, connections);
}

static void
write_load_active(struct scrape *scrape)
{
	const struct scoreboard_entry *master = scoreboard_entry(
	    &scrape->source->counters->scoreboard, SLOT_MASTER);

	writer_count(&scrape->writer, NULL,
	    scrape->source->alive && master->load_ticket != 0);
}

static void
write_collector_success(struct scrape *scrape)
{
	collectors_write_success(&scrape->collection, &scrape->writer);
}

static void (*const gauges[])(struct scrape *) = {
#define GAUGE(symbol, family, unit, help) write_##symbol,
#include "metrics/metrics.def"
};

/* --- all of it ------------------------------------------------------------ */

static void
write_family(struct scrape *scrape, const struct registry_family *family)
{
	writer_begin_family(&scrape->writer, &family->family);
	switch (family->kind) {
	case REGISTRY_KIND_COUNTER:
		write_value(scrape, NULL, NULL, family->value);
		break;
	case REGISTRY_KIND_COUNTER_BY:
		for (const struct registry_series *series = family->series;
		     series->label_value; series++)
			write_value(scrape, family->label, series->label_value,
			    series->value);
		break;
	case REGISTRY_KIND_HISTOGRAM:
		write_pool_histogram(scrape, family);
		break;
	case REGISTRY_KIND_ENDPOINT_COUNTER:
	case REGISTRY_KIND_ENDPOINT_HISTOGRAM:
		write_endpoints(scrape, family);
		break;
	case REGISTRY_KIND_LABEL_SETS:
		write_label_sets(scrape);
		break;
	case REGISTRY_KIND_GAUGE:
		gauges[family->value](scrape);
		break;
	case REGISTRY_KIND_INTERNAL:
		break;
	}
	writer_end_family(&scrape->writer);
}

static void
write_scrape(struct scrape *scrape)
{
	for (const struct registry_family *family = registry_families;
	     family->family.name; family++)
		if (family->kind != REGISTRY_KIND_INTERNAL)
			write_family(scrape, family);
	app_exposition_write(
	    scrape->source->counters, scrape->source->alive, &scrape->writer);
	/* What the kernel counts did not begin with the counter file. */
	scrape->writer.created_ns = 0;
	collectors_write(&scrape->collection, &scrape->writer);
}

/* Without memory the whole scrape fails, because its histograms would lie. */
static void
list_cells(struct scrape *scrape)
{
	const struct counters *counters = scrape->source->counters;

	if (!scrape->writer.format->has_native)
		return;
	scrape->cells = calloc(
	    counters->registry->label_set_capacity, sizeof(*scrape->cells));
	if (scrape->cells)
		scrape->cell_count =
		    counters_list_cells(counters, scrape->cells);
	else
		scrape->writer.has_failed = true;
}

char *
exposition_render(const struct exposition_source *source,
    enum exposition_format format, size_t *size)
{
	const struct collector_source collector_source = {
	    .root = source->root,
	    .scoreboard = &source->counters->scoreboard,
	    .backlog_fd = source->backlog_fd,
	};
	struct scrape scrape = {
	    .source = source,
	    .writer = {.format = formats[format],
		.created_ns = counters_created(source->counters)},
	};

	/* All of them first, so that the numbers of one scrape agree. */
	collectors_read(&scrape.collection, &collector_source, source->alive);
	list_cells(&scrape);
	write_scrape(&scrape);
	free(scrape.cells);
	collectors_free(&scrape.collection);
	return writer_finish(&scrape.writer, size);
}

const char *
exposition_content_type(enum exposition_format format)
{
	return formats[format]->content_type;
}
