/*
 * Which format a scrape is answered with.
 */
#include "support.h"

#include "master/metrics_process.h"

static void
assert_format(const char *accept, enum exposition_format format)
{
	if (metrics_process_negotiate(accept) != format)
		fail_msg("not what was asked for: %s", accept);
}

/* As prometheus/prometheus makes them: scrape/scrape.go, config/config.go. */
static void
every_prometheus_gets_openmetrics(void **state)
{
	static const char *const accepts[] = {
	    /* 2.42 */
	    "application/openmetrics-text;version=1.0.0,application/"
	    "openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;"
	    "q=0.5,*/*;q=0.1",
	    /* 2.49, with its slip in the last weight */
	    "application/openmetrics-text;version=1.0.0;q=0.5,application/"
	    "openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;"
	    "q=0.3,*/*;q=2",
	    /* 2.53 */
	    "application/openmetrics-text;version=1.0.0;q=0.5,application/"
	    "openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;"
	    "q=0.3,*/*;q=0.2",
	    /* 3.0: the escaping on all of them */
	    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;"
	    "q=0.6,application/openmetrics-text;version=0.0.1;escaping=allow-"
	    "utf-8;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
	    "text/plain;version=0.0.4;escaping=allow-utf-8;q=0.3,*/*;q=0.2",
	    /* 3.4 and later: only on the newer versions */
	    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;"
	    "q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/"
	    "plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;"
	    "version=0.0.4;q=0.3,*/*;q=0.2",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(accepts); i++)
		assert_format(accepts[i], EXPOSITION_OPENMETRICS);
}

#define PROTOBUF                                                               \
	"application/vnd.google.protobuf;"                                     \
	"proto=io.prometheus.client.MetricFamily;encoding="

/* scrape_native_histograms, or the feature flag of older versions. */
static void
every_prometheus_that_takes_native_histograms_gets_protobuf(void **state)
{
	static const char *const accepts[] = {
	    /* 2.42 */
	    PROTOBUF "delimited,application/openmetrics-text;version=1.0.0;"
		     "q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,"
		     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
	    /* 2.53 */
	    PROTOBUF "delimited;q=0.5,application/openmetrics-text;"
		     "version=1.0.0;q=0.4,application/openmetrics-text;"
		     "version=0.0.1;q=0.3,text/plain;version=0.0.4;q=0.2,"
		     "*/*;q=0.1",
	    /* 3.4 and later */
	    PROTOBUF "delimited;q=0.6,application/openmetrics-text;"
		     "version=1.0.0;escaping=allow-utf-8;q=0.5,application/"
		     "openmetrics-text;version=0.0.1;q=0.4,text/plain;"
		     "version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;"
		     "version=0.0.4;q=0.2,*/*;q=0.1",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(accepts); i++)
		assert_format(accepts[i], EXPOSITION_PROTOBUF);
}

static void
another_protobuf_gets_what_else_is_asked_for(void **state)
{
	(void)state;
	assert_format(PROTOBUF "text", EXPOSITION_TEXT);
	assert_format(PROTOBUF "compact-text,application/openmetrics-text;"
			       "version=1.0.0;q=0.5",
	    EXPOSITION_OPENMETRICS);
	assert_format("application/vnd.google.protobuf;proto=io.prometheus."
		      "write.v2.Request;encoding=delimited",
	    EXPOSITION_TEXT);
	assert_format(PROTOBUF "delimited;q=0", EXPOSITION_TEXT);
}

static void
whoever_prefers_text_or_says_nothing_gets_text(void **state)
{
	static const char *const accepts[] = {
	    "",
	    "*/*",
	    "text/plain",
	    "text/plain;version=0.0.4",
	    "text/*",
	    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,"
	    "image/webp,*/*;q=0.8",
	    /* scrape_protocols: [PrometheusText0.0.4, OpenMetricsText1.0.0] */
	    "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;"
	    "version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.4",
	    /* an OpenMetrics that is not spoken here */
	    "application/openmetrics-text;version=0.0.1",
	    "application/openmetrics-text;version=2.0.0;q=0.9,*/*;q=0.1",
	    "application/openmetrics-text;version=1.0.0;q=0",
	    "application/openmetrics-text;version=1.0.0;q=0.0,*/*",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(accepts); i++)
		assert_format(accepts[i], EXPOSITION_TEXT);
}

static void
spaces_case_and_further_parameters_change_nothing(void **state)
{
	(void)state;
	assert_format("application/openmetrics-text; version=1.0.0; q=0.5, "
		      "text/plain; version=0.0.4; q=0.3",
	    EXPOSITION_OPENMETRICS);
	assert_format("Application/OpenMetrics-Text;Version=1.0.0;Q=0.5",
	    EXPOSITION_OPENMETRICS);
	assert_format("text/plain;q=0.5 , application/openmetrics-text ;"
		      "charset=utf-8;version=1.0.0",
	    EXPOSITION_OPENMETRICS);
	assert_format("application/openmetrics-text", EXPOSITION_OPENMETRICS);
}

static void
a_quality_above_one_counts_as_one(void **state)
{
	(void)state;
	assert_format("application/openmetrics-text;version=1.0.0;q=1,"
		      "text/plain;version=0.0.4;q=2",
	    EXPOSITION_OPENMETRICS);
}

static void
garbage_gets_text(void **state)
{
	static const char *const accepts[] = {",", ";", ",,,;;;", "q=1",
	    "application/openmetrics-text;q=nan",
	    "application/openmetrics-text;q=-1",
	    "application/openmetrics-text;q=x",
	    "application/openmetrics-text-plus;version=1.0.0",
	    "xapplication/openmetrics-text;version=1.0.0",
	    "application/openmetrics-tex", "\377\376", ";;version=1.0.0;q=1"};

	(void)state;
	for (size_t i = 0; i < COUNT(accepts); i++)
		assert_format(accepts[i], EXPOSITION_TEXT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_prometheus_gets_openmetrics),
	    cmocka_unit_test(
		every_prometheus_that_takes_native_histograms_gets_protobuf),
	    cmocka_unit_test(another_protobuf_gets_what_else_is_asked_for),
	    cmocka_unit_test(whoever_prefers_text_or_says_nothing_gets_text),
	    cmocka_unit_test(spaces_case_and_further_parameters_change_nothing),
	    cmocka_unit_test(a_quality_above_one_counts_as_one),
	    cmocka_unit_test(garbage_gets_text),
	};

	return SUPPORT_RUN(tests);
}
