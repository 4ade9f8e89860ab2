/*
 * What Prometheus reads, parsed as strictly as it is specified.
 */
#include "support.h"

#include <ctype.h>
#include <math.h>

#include "http/request_metrics.h"
#include "master/listener.h"
#include "metrics/registry.h"
#include "metrics/exposition.h"
#include "metrics/collectors/listen_backlog.h"
#include "http/router.h"

static struct registry *registry;
static struct counters counters;
static int netlink = -1; /* of listen_backlog_open(), for listen_fd's queue */
static int listen_fd = -1;

/* What the collectors read: processes, and a machine without cgroups. */
static void
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
static int
set_up(void **state)
{
	struct request_sample request = {
	    ENDPOINT_health, METHOD_GET, 200, 1500000, 250000, 16};

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
	request = (struct request_sample){
	    ENDPOINT_status, METHOD_GET, 503, 1, -1, 100};
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

static int
tear_down(void **state)
{
	close(netlink);
	close(listen_fd);
	counters_close(&counters);
	registry_free(registry);
	return support_close_folder(state);
}

static char *
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

/* --- a parser ------------------------------------------------------------- */

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
static bool
is_name(const char *text)
{
	if (!isalpha((unsigned char)*text) && *text != '_')
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && *text != '_')
			return false;
	return true;
}

static void
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
static void
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

static bool
has_suffix(const char *name, const char *suffix)
{
	size_t length = strlen(name);
	size_t end = strlen(suffix);

	return length > end && strcmp(name + length - end, suffix) == 0;
}

/* Whether the sample may stand under this family. */
static bool
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
static void
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
static void
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
static size_t
check_text(enum exposition_format format, bool alive)
{
	struct family families[64];
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
static double
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

static void
assert_value(const char *series, double expected)
{
	double value = value_of(EXPOSITION_TEXT, true, series);

	if (fabs(value - expected) > 1e-9)
		fail_msg("%s is %.17g", series, value);
	assert_true(fabs(value_of(EXPOSITION_OPENMETRICS, true, series) -
			 expected) < 1e-9);
}

/* --- the text ---------------------------------------------------------------
 */

static void
the_text_format_is_sound(void **state)
{
	(void)state;
	assert_true(check_text(EXPOSITION_TEXT, true) > 25);
}

static void
openmetrics_is_sound_and_has_the_same_families(void **state)
{
	(void)state;
	assert_int_equal(check_text(EXPOSITION_OPENMETRICS, true),
	    check_text(EXPOSITION_TEXT, true));
}

static void
both_are_sound_without_a_pool(void **state)
{
	(void)state;
	assert_int_equal(check_text(EXPOSITION_TEXT, false),
	    check_text(EXPOSITION_OPENMETRICS, false));
}

static void
both_are_sound_while_nothing_has_been_counted(void **state)
{
	const struct counters full = counters;

	(void)state;
	assert_int_equal(
	    counters_open(&counters, support_path("empty"), registry, 1), 0);
	check_text(EXPOSITION_TEXT, true);
	check_text(EXPOSITION_OPENMETRICS, true);
	assert_value("fcgi_workers{kind=\"nonblocking\",state=\"busy\"}", 0);
	counters_close(&counters);
	counters = full;
}

static void
openmetrics_ends_in_eof_and_the_text_format_does_not_know_it(void **state)
{
	char *text = render(EXPOSITION_OPENMETRICS, true);
	char *plain = render(EXPOSITION_TEXT, true);

	(void)state;
	assert_true(has_suffix(text, "\n# EOF\n"));
	assert_null(strstr(plain, "EOF"));
	assert_null(strstr(plain, "# UNIT"));
	assert_null(strstr(text, "_created"));
	assert_null(strstr(text, "fcgi_gateway_log_bytes")); /* internal */
	free(text);
	free(plain);
}

static void
openmetrics_names_the_units(void **state)
{
	static const char *const units[] = {
	    "# UNIT http_request_duration_seconds seconds\n",
	    "# UNIT http_response_size_bytes bytes\n",
	    "# UNIT cgroup_cpu_limit_cores cores\n",
	    "# UNIT cgroup_cpu_throttled_seconds seconds\n",
	    "# UNIT process_resident_memory_bytes bytes\n",
	};
	char *text = render(EXPOSITION_OPENMETRICS, true);

	(void)state;
	for (size_t i = 0; i < COUNT(units); i++)
		assert_says(text, units[i]);
	free(text);
}

/* Every family of design/metrics.md, under the name that it has there. */
static void
every_family_is_there(void **state)
{
	static const char *const names[] = {"http_requests_total counter",
	    "http_request_duration_seconds histogram",
	    "http_request_queue_seconds histogram",
	    "http_response_size_bytes_total counter",
	    "fcgi_webapp_starts_total counter", "fcgi_webapp_build_info gauge",
	    "fcgi_webapp_store_recoveries_total counter",
	    "fcgi_webapp_log_dropped_total counter", "fcgi_workers gauge",
	    "fcgi_worker_starts_total counter",
	    "fcgi_worker_exits_total counter", "fcgi_connections gauge",
	    "fcgi_listen_queue_length gauge", "fcgi_listen_queue_limit gauge",
	    "fcgi_load_active gauge", "fcgi_collector_success gauge",
	    "cgroup_limited gauge", "cgroup_cpu_limit_cores gauge",
	    "cgroup_cpu_usage_seconds_total counter",
	    "cgroup_cpu_periods_total counter",
	    "cgroup_cpu_throttled_periods_total counter",
	    "cgroup_cpu_throttled_seconds_total counter",
	    "cgroup_memory_limit_bytes gauge",
	    "cgroup_memory_usage_bytes gauge",
	    "cgroup_memory_working_set_bytes gauge",
	    "cgroup_oom_kills_total counter",
	    "process_cpu_seconds_total counter",
	    "process_resident_memory_bytes gauge", "process_open_fds gauge",
	    "process_start_time_seconds gauge"};
	char *text = render(EXPOSITION_TEXT, true);

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		char line[128];

		snprintf(line, sizeof(line), "# TYPE %s\n", names[i]);
		assert_says(text, line);
	}
	free(text);
}

/* --- values ------------------------------------------------------------------
 */

static void
requests_are_counted_by_endpoint_method_and_code(void **state)
{
	(void)state;
	assert_value("http_requests_total{endpoint=\"health\",method=\"GET\","
		     "code=\"200\"}",
	    20);
	assert_value("http_requests_total{endpoint=\"status\",method=\"GET\","
		     "code=\"503\"}",
	    1);
	assert_value(
	    "http_response_size_bytes_total{endpoint=\"health\"}", 320);
}

static void
declared_combinations_are_there_as_zero(void **state)
{
	(void)state;
	assert_value("http_requests_total{endpoint=\"root\",method=\"GET\","
		     "code=\"500\"}",
	    0);
	assert_value("http_requests_total{endpoint=\"riseload\",method=\"POST\""
		     ",code=\"502\"}",
	    0);
	assert_value(
	    "http_request_duration_seconds_count{endpoint=\"bye\"}", 0);
	assert_value("fcgi_worker_exits_total{reason=\"deadline\"}", 0);
}

static void
the_overflow_label_set_shows_only_when_it_has_counted(void **state)
{
	const char *series =
	    "http_requests_total{endpoint=\"other\",method=\"other\","
	    "code=\"000\"}";

	(void)state;
	assert_value(series, -1);
	counters_add(counters_values(&counters, SLOT_WORKER),
	    counters_find_value(&counters, ENDPOINT_OTHER, METHOD_OTHER, 0), 2);
	assert_value(series, 2);
	check_text(EXPOSITION_TEXT, true);
}

static void
buckets_are_cumulative_and_inclusive(void **state)
{
	(void)state;
	/* 3, 6, 12, 24, 48, ... ms */
	assert_value("http_request_duration_seconds_bucket{endpoint=\"health\","
		     "le=\"0.0025\"}",
	    0);
	assert_value("http_request_duration_seconds_bucket{endpoint=\"health\","
		     "le=\"0.005\"}",
	    1);
	assert_value("http_request_duration_seconds_bucket{endpoint=\"health\","
		     "le=\"0.025\"}",
	    4);
	assert_value("http_request_duration_seconds_bucket{endpoint=\"health\","
		     "le=\"+Inf\"}",
	    20);
	assert_value(
	    "http_request_duration_seconds_count{endpoint=\"health\"}", 20);
	assert_value("http_request_duration_seconds_sum{endpoint=\"health\"}",
	    0.003 * ((1 << 20) - 1));
	/* exactly on a bound: le means at most */
	assert_value("http_request_queue_seconds_bucket{le=\"0.0001\"}", 0);
	assert_value("http_request_queue_seconds_bucket{le=\"0.00025\"}", 20);
	assert_value("http_request_queue_seconds_sum", 0.005);
}

static void
workers_are_busy_idle_or_stopped(void **state)
{
	(void)state;
	assert_value("fcgi_workers{kind=\"nonblocking\",state=\"busy\"}", 1);
	assert_value("fcgi_workers{kind=\"nonblocking\",state=\"idle\"}", 0);
	assert_value("fcgi_workers{kind=\"nonblocking\",state=\"stopped\"}", 1);
	assert_value("fcgi_connections", 7);
	assert_value("fcgi_load_active", 1);
}

static void
without_a_pool_gauges_are_zero_and_counters_are_kept(void **state)
{
	static const char *const gauges[] = {
	    "fcgi_workers{kind=\"nonblocking\",state=\"busy\"}",
	    "fcgi_workers{kind=\"nonblocking\",state=\"stopped\"}",
	    "fcgi_connections", "fcgi_load_active"};

	(void)state;
	for (size_t i = 0; i < COUNT(gauges); i++)
		assert_true(
		    fabs(value_of(EXPOSITION_TEXT, false, gauges[i])) < 1e-9);
	assert_true(
	    fabs(value_of(EXPOSITION_TEXT, false, "fcgi_webapp_starts_total") -
		 4) < 1e-9);
}

/* --- what cannot be read ---------------------------------------------------
 */

static double
success(const char *collector)
{
	char series[128];

	snprintf(series, sizeof(series),
	    "fcgi_collector_success{collector=\"%s\"}", collector);
	return value_of(EXPOSITION_TEXT, true, series);
}

/* Neither HELP, nor TYPE, nor a sample; or all of them. */
static void
assert_families(const char *const *names, bool expected)
{
	char *text = render(EXPOSITION_TEXT, true);
	char *openmetrics = render(EXPOSITION_OPENMETRICS, true);

	for (; *names; names++) {
		if ((strstr(text, *names) != NULL) != expected)
			fail_msg("%s is %s", *names,
			    expected ? "not there" : "there");
		assert_int_equal(strstr(openmetrics, *names) != NULL, expected);
	}
	free(text);
	free(openmetrics);
	check_text(EXPOSITION_TEXT, true);
	check_text(EXPOSITION_OPENMETRICS, true);
}

static const char *const cpu_families[] = {"cgroup_limited{resource=\"cpu\"}",
    "cgroup_cpu_limit_cores", "cgroup_cpu_usage_seconds", "cgroup_cpu_periods",
    "cgroup_cpu_throttled_periods", "cgroup_cpu_throttled_seconds", NULL};
static const char *const memory_families[] = {
    "cgroup_limited{resource=\"memory\"}", "cgroup_memory_limit_bytes",
    "cgroup_memory_usage_bytes", "cgroup_memory_working_set_bytes",
    "cgroup_oom_kills", NULL};
static const char *const process_families[] = {"process_cpu_seconds",
    "process_resident_memory_bytes", "process_virtual_memory_bytes",
    "process_open_fds", "process_max_fds", "process_start_time_seconds", NULL};
static const char *const queue_families[] = {
    "fcgi_listen_queue_length", "fcgi_listen_queue_limit", NULL};

static void
a_collector_that_fails_leaves_its_families_out_and_says_so(void **state)
{
	static const struct {
		const char *collector;
		const char *file;
		const char *const *families;
	} failures[] = {
	    {"cgroup_memory", "proc/meminfo", memory_families},
	    {"process", "proc/11/limits", process_families},
	};

	(void)state;
	support_capture();
	for (size_t i = 0; i < COUNT(failures); i++) {
		assert_families(failures[i].families, true);
		assert_true(success(failures[i].collector) > 0);
		support_write_text(
		    support_path(failures[i].file), "nonsense\n");
		assert_families(failures[i].families, false);
		assert_true(fabs(success(failures[i].collector)) < 1e-9);
		make_proc();
		assert_families(failures[i].families, true);
		assert_true(success(failures[i].collector) > 0);
	}
	support_said();
}

static void
without_proc_all_that_comes_from_it_is_left_out(void **state)
{
	const char *said;

	(void)state;
	support_remove(support_path("proc"));
	support_capture();
	assert_families(cpu_families, false);
	assert_families(memory_families, false);
	assert_families(process_families, false);
	assert_families((const char *const[]){"cgroup_limited", NULL}, false);
	assert_true(fabs(success("cgroup_cpu")) < 1e-9);
	said = support_said();
	assert_says(said, "collector cgroup_cpu: cannot read: No such file");
	/* once, and not at each scrape */
	assert_null(strstr(
	    strstr(said, "collector cgroup_cpu") + 1, "collector cgroup_cpu"));
	assert_families(queue_families, true);
	assert_true(success("listen_queue") > 0);
	make_proc();
	assert_families(cpu_families, true);
	assert_families(memory_families, true);
	assert_families(process_families, true);
}

static void
a_listen_queue_that_cannot_be_asked_for_is_left_out(void **state)
{
	int open_netlink = netlink;

	(void)state;
	assert_families(queue_families, true);
	netlink = -EMFILE; /* as listen_backlog_open() failed */
	support_capture();
	assert_families(queue_families, false);
	assert_true(fabs(success("listen_queue")) < 1e-9);
	assert_says(support_said(), "Too many open files");
	netlink = open_netlink;
	assert_families(queue_families, true);
}

static void
without_a_pool_there_is_no_process_and_no_queue(void **state)
{
	char *text;

	(void)state;
	support_capture();
	text = render(EXPOSITION_TEXT, false);
	assert_string_equal(support_said(), ""); /* nothing has failed */
	assert_null(strstr(text, "process_"));
	assert_null(strstr(text, "fcgi_listen_queue"));
	assert_says(text, "fcgi_collector_success{collector=\"process\"} 0\n");
	assert_says(text, "cgroup_cpu_usage_seconds_total ");
	free(text);
}

static void
large_counts_and_sums_are_exact(void **state)
{
	char *text;
	_Atomic uint64_t *values = counters_values(&counters, SLOT_CGI);

	(void)state;
	counters_add(values,
	    registry_endpoint_value(ENDPOINT_bye, REGISTRY_ENDPOINT_SIZE),
	    (1ull << 53) + 1);
	counters_add(values,
	    registry_endpoint_value(ENDPOINT_bye, REGISTRY_ENDPOINT_DURATION),
	    9007199254740993000ull);
	text = render(EXPOSITION_TEXT, true);
	assert_says(text, "http_response_size_bytes_total{endpoint=\"bye\"} "
			  "9007199254740993\n");
	assert_says(text, "http_request_duration_seconds_sum{endpoint=\"bye\"} "
			  "9007199254.740993000\n");
	free(text);
}

static void
each_format_has_its_content_type(void **state)
{
	(void)state;
	assert_string_equal(exposition_content_type(EXPOSITION_TEXT),
	    "text/plain; version=0.0.4; charset=utf-8");
	assert_string_equal(exposition_content_type(EXPOSITION_OPENMETRICS),
	    "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_text_format_is_sound),
	    cmocka_unit_test(openmetrics_is_sound_and_has_the_same_families),
	    cmocka_unit_test(both_are_sound_without_a_pool),
	    cmocka_unit_test(both_are_sound_while_nothing_has_been_counted),
	    cmocka_unit_test(
		openmetrics_ends_in_eof_and_the_text_format_does_not_know_it),
	    cmocka_unit_test(openmetrics_names_the_units),
	    cmocka_unit_test(every_family_is_there),
	    cmocka_unit_test(requests_are_counted_by_endpoint_method_and_code),
	    cmocka_unit_test(declared_combinations_are_there_as_zero),
	    cmocka_unit_test(
		the_overflow_label_set_shows_only_when_it_has_counted),
	    cmocka_unit_test(buckets_are_cumulative_and_inclusive),
	    cmocka_unit_test(workers_are_busy_idle_or_stopped),
	    cmocka_unit_test(
		without_a_pool_gauges_are_zero_and_counters_are_kept),
	    cmocka_unit_test(
		a_collector_that_fails_leaves_its_families_out_and_says_so),
	    cmocka_unit_test(without_proc_all_that_comes_from_it_is_left_out),
	    cmocka_unit_test(
		a_listen_queue_that_cannot_be_asked_for_is_left_out),
	    cmocka_unit_test(without_a_pool_there_is_no_process_and_no_queue),
	    cmocka_unit_test(large_counts_and_sums_are_exact),
	    cmocka_unit_test(each_format_has_its_content_type),
	};

	return SUPPORT_RUN_WITH(tests, set_up, tear_down);
}
