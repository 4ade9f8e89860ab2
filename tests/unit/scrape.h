#ifndef SCRAPE_H
#define SCRAPE_H

/*
 * A scrape for tests: a counter file and a /proc with known contents, and a
 * parser that is as strict as the specifications.
 */

#include "support.h"

#include <ctype.h>
#include <math.h>

#include "http/request_metrics.h"
#include "http/router.h"
#include "master/listener.h"
#include "metrics/collectors/listen_backlog.h"
#include "metrics/exposition.h"
#include "metrics/registry.h"

static struct registry *registry __attribute__((unused));
static struct counters counters __attribute__((unused));
static int netlink __attribute__((unused)) =
    -1; /* of listen_backlog_open(), for listen_fd's queue */
static int listen_fd __attribute__((unused)) = -1;

/* What the collectors read: processes, and a machine without cgroups. */
static inline void
make_proc(void)
{
	static const char stat[] =
	    " (worker) S 1 2 3 0 -1 4194304 900 901 902 903 100 20 3 4 20 0 1 "
	    "0 30000 10000000 500 18446744073709551615 1 1 0 0 0 0 0 0\n";

	support_write_text(support_path("proc/self/mountinfo"),
	    "22 28 0:20 / /sys rw - sysfs sysfs rw\n");
	support_write_text(support_path("proc/meminfo"),
	    "MemTotal: 1000 kB\nMemAvailable: 400 kB\n");
	support_write_text(support_path("proc/stat"),
	    "cpu  1 2 3 4 5 6 7 8 9 10\nbtime 1700000000\n");
	support_write_text(support_path("proc/10/stat"), stat);
	support_write_text(support_path("proc/11/stat"), stat);
	for (int pid = 10; pid <= 11; pid++) {
		char path[32];

		snprintf(path, sizeof(path), "proc/%d/limits", pid);
		support_write_text(
		    support_path(path), "Max open files 1024 1024 files\n");
		snprintf(path, sizeof(path), "proc/%d/fd/0", pid);
		support_write_text(support_path(path), "");
	}
}

/* A counter file with some of everything in it, and a /proc of our own. */
static inline int
set_up(void **state)
{
	struct request_sample request = {.endpoint = ENDPOINT_health,
	    .method = METHOD_GET,
	    .status = 200,
	    .duration_ns = 1500000,
	    .queue_ns = 250000,
	    .body_bytes = 16};

	if (support_open_folder(state) < 0)
		return -1;
	registry = request_metrics_registry();
	if (!registry ||
	    counters_open(&counters, support_path("counters"), registry, 2) < 0)
		return -1;
	request_metrics_declare(&counters);
	for (int i = 0; i < 20; i++) {
		request.duration_ns *= 2; /* up to 1572 s: beyond all buckets */
		request_metrics_add(&counters, SLOT_WORKER, &request);
	}
	request = (struct request_sample){.endpoint = ENDPOINT_status,
	    .method = METHOD_GET,
	    .status = 503,
	    .duration_ns = 1,
	    .queue_ns = -1,
	    .body_bytes = 100};
	request_metrics_add(&counters, SLOT_WORKER + 1, &request);
	counters_add(
	    counters_values(&counters, SLOT_MASTER), REGISTRY_STARTS, 4);
	scoreboard_entry(&counters.scoreboard, SLOT_MASTER)->load_ticket = 1;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER)->pid = 10;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER)->request_started =
	    1;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER)->connections = 3;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER + 1)->pid = 11;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER + 1)->connections =
	    4;
	scoreboard_entry(&counters.scoreboard, SLOT_WORKER + 1)->stopped = 1;
	make_proc();
	netlink = listen_backlog_open();
	listen_fd = listener_open(support_path("listen.sock"));
	scoreboard_entry(&counters.scoreboard, SLOT_MASTER)->listen_inode =
	    listener_inode(listen_fd);
	scoreboard_entry(&counters.scoreboard, SLOT_MASTER)->blocking_inode =
	    listener_inode(listen_fd);
	return netlink < 0 || listen_fd < 0 ? -1 : 0;
}

static inline int
tear_down(void **state)
{
	close(netlink);
	close(listen_fd);
	counters_close(&counters);
	registry_free(registry);
	return support_close_folder(state);
}

static inline char *
render(enum exposition_format format, bool alive)
{
	const struct exposition_source source = {
	    .counters = &counters,
	    .alive = alive,
	    .backlog_fd = netlink,
	    .root = support_folder,
	};
	size_t size = 0;
	char *text = exposition_render(&source, format, &size);

	assert_non_null(text);
	assert_int_equal(strlen(text), size);
	return text;
}

struct family {
	char name[128]; /* as TYPE has it */
	char type[16];
	char unit[16];
	bool has_help;
};

struct sample {
	char name[128];
	char labels[256]; /* between the braces */
	char value[64];
};

/* A metric or label name: [a-zA-Z_:][a-zA-Z0-9_:]*. */
static inline bool
is_name(const char *text)
{
	if (!isalpha((unsigned char)*text) && *text != '_')
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && *text != '_')
			return false;
	return true;
}

static inline void
parse_sample(const char *line, struct sample *sample)
{
	const char *brace = strchr(line, '{');
	const char *value = strrchr(line, ' ');
	size_t length = strcspn(line, "{ ");
	char *end;

	*sample = (struct sample){0};
	assert_non_null(value);
	assert_true(length < sizeof(sample->name));
	memcpy(sample->name, line, length);
	if (!is_name(sample->name))
		fail_msg("not a name: %s", line);
	if (brace) {
		if (value[-1] != '}')
			fail_msg("labels are not closed: %s", line);
		snprintf(sample->labels, sizeof(sample->labels), "%.*s",
		    (int)(value - brace - 2), brace + 1);
	}
	snprintf(sample->value, sizeof(sample->value), "%s", value + 1);
	strtod(sample->value, &end);
	if (end == sample->value || *end != '\0')
		fail_msg("not a number: %s", line);
}

/* name="value",... with nothing in a value that would have to be escaped. */
static inline void
check_labels(const struct sample *sample)
{
	const char *p = sample->labels;

	while (*p) {
		char name[64];
		size_t length = strcspn(p, "=");

		snprintf(name, sizeof(name), "%.*s", (int)length, p);
		if (!is_name(name) || p[length] != '=' || p[length + 1] != '"')
			fail_msg("bad labels: %s", sample->labels);
		p += length + 2;
		length = strcspn(p, "\"\\\n");
		if (p[length] != '"')
			fail_msg("bad label value: %s", sample->labels);
		p += length + 1;
		if (*p == ',')
			p++;
		else if (*p)
			fail_msg("bad labels: %s", sample->labels);
	}
}

static inline bool
has_suffix(const char *name, const char *suffix)
{
	size_t length = strlen(name);
	size_t end = strlen(suffix);

	return length > end && strcmp(name + length - end, suffix) == 0;
}

/* Whether the sample may stand under this family. */
static inline bool
belongs(const struct sample *sample, const struct family *family,
    enum exposition_format format)
{
	const char *suffix;

	if (strncmp(sample->name, family->name, strlen(family->name)) != 0)
		return false;
	suffix = sample->name + strlen(family->name);
	if (strcmp(family->type, "histogram") == 0)
		return strcmp(suffix, "_bucket") == 0 ||
		       strcmp(suffix, "_count") == 0 ||
		       strcmp(suffix, "_sum") == 0;
	if (strcmp(family->type, "counter") == 0 &&
	    format == EXPOSITION_OPENMETRICS)
		return strcmp(suffix, "_total") == 0;
	return *suffix == '\0';
}

/* Buckets of one series, in order: they grow, and +Inf is the count. */
static inline void
check_histogram(const struct sample *sample)
{
	static char series[256];
	static double bound;
	static uint64_t count;
	const char *le = strstr(sample->labels, "le=\"");
	uint64_t value = strtoull(sample->value, NULL, 10);

	if (has_suffix(sample->name, "_bucket")) {
		char labels[256];
		double this;

		assert_non_null(le);
		this = strtod(le + 4, NULL);
		/* le="1" and le="1.0" may be two series */
		if (!isinf(this))
			assert_non_null(strchr(le, '.'));
		snprintf(labels, sizeof(labels), "%s/%.*s", sample->name,
		    (int)(le - sample->labels), sample->labels);
		if (strcmp(labels, series) == 0) {
			assert_true(this > bound);
			assert_true(value >= count);
		}
		snprintf(series, sizeof(series), "%s", labels);
		bound = this;
		count = value;
	} else if (has_suffix(sample->name, "_count")) {
		assert_true(isinf(bound));
		assert_int_equal(value, count);
	}
}

/* A line that begins with "# ". */
static inline void
parse_comment(const char *line, struct family *families, size_t *count,
    enum exposition_format format)
{
	struct family *family = &families[*count - (*count > 0)];
	char keyword[8];
	char name[128];
	int rest = 0;

	if (sscanf(line, "# %7s %127s %n", keyword, name, &rest) != 2 || !rest)
		fail_msg("not a comment: %s", line);
	if (strcmp(keyword, "HELP") == 0) {
		for (size_t i = 0; i < *count; i++)
			if (strcmp(families[i].name, name) == 0)
				fail_msg("%s comes twice", name);
		assert_true(is_name(name));
		assert_true(line[rest] != '\0');
		assert_null(strpbrk(line + rest, "\\\""));
		family = &families[(*count)++];
		*family = (struct family){.has_help = true};
		memcpy(family->name, name, sizeof(family->name));
		return;
	}
	assert_true(*count > 0);
	assert_string_equal(family->name, name);
	if (strcmp(keyword, "TYPE") == 0) {
		assert_string_equal(family->type, "");
		snprintf(family->type, sizeof(family->type), "%s", line + rest);
	} else if (strcmp(keyword, "UNIT") == 0) {
		assert_int_equal(format, EXPOSITION_OPENMETRICS);
		snprintf(
		    family->unit, sizeof(family->unit), "_%s", line + rest);
		if (!has_suffix(name, family->unit))
			fail_msg("%s does not end in its unit", name);
	} else {
		fail_msg("not a comment of the format: %s", line);
	}
}

/* Read all of it, family by family; returns how many families there are. */
static inline size_t
check_text(enum exposition_format format, bool alive)
{
	struct family families[256];
	size_t count = 0;
	char *text = render(format, alive);
	char *rest = text;
	char *line;

	assert_true(has_suffix(text, "\n"));
	while ((line = strsep(&rest, "\n")) && rest) {
		struct sample sample;

		assert_true(count < COUNT(families));
		assert_true(*line != '\0'); /* no blank lines */
		if (strcmp(line, "# EOF") == 0) {
			assert_int_equal(format, EXPOSITION_OPENMETRICS);
			assert_string_equal(rest, "");
			break;
		}
		if (*line == '#') {
			parse_comment(line, families, &count, format);
			continue;
		}
		parse_sample(line, &sample);
		check_labels(&sample);
		assert_true(count > 0);
		if (!*families[count - 1].type ||
		    !belongs(&sample, &families[count - 1], format))
			fail_msg("not under its family: %s", line);
		check_histogram(&sample);
	}
	for (size_t i = 0; i < count; i++) {
		bool counter = strcmp(families[i].type, "counter") == 0;

		assert_true(families[i].has_help);
		assert_true(counter || strcmp(families[i].type, "gauge") == 0 ||
			    strcmp(families[i].type, "histogram") == 0);
		/* _total on counters, and only there */
		assert_int_equal(has_suffix(families[i].name, "_total"),
		    counter && format == EXPOSITION_TEXT);
	}
	free(text);
	return count;
}

/* The value of one series; -1 where it is not there. */
static inline double
value_of(enum exposition_format format, bool alive, const char *series)
{
	char *text = render(format, alive);
	char *line = text;
	size_t length = strlen(series);
	double value = -1;

	while (line && *line) {
		if (strncmp(line, series, length) == 0 && line[length] == ' ')
			value = strtod(line + length, NULL);
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	free(text);
	return value;
}

#endif
