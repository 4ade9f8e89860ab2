/*
 * The Accept header: the quality of a media type, and the choice among several.
 */
#include "support.h"

#include <math.h>

#include "http/media_type.h"

static void
assert_quality(const char *accept, const char *parameter, double expected)
{
	const struct media_type type = {"text/plain", {parameter}};

	if (fabs(media_type_quality(accept, &type) - expected) > 1e-9)
		fail_msg("%s: %g", accept, media_type_quality(accept, &type));
}

static void
a_type_has_the_quality_that_the_header_gives_it(void **state)
{
	(void)state;
	assert_quality("text/plain", NULL, 1);
	assert_quality("text/html, text/plain;q=0.5", NULL, 0.5);
	assert_quality("Text/Plain ; Q=0.25", NULL, 0.25);
	assert_quality("text/plain;charset=utf-8;q=0.25", NULL, 0.25);
}

static void
a_type_that_is_not_named_or_refused_has_none(void **state)
{
	(void)state;
	assert_quality("", NULL, 0);
	assert_quality("*/*", NULL, 0);
	assert_quality("text/*", NULL, 0);
	assert_quality("text/plainer", NULL, 0);
	assert_quality("text/plain;q=0", NULL, 0);
	assert_quality("text/plain;q=nan", NULL, 0);
	assert_quality("text/plain;q=-1", NULL, 0);
	assert_quality("text/plain;q=", NULL, 0);
}

static void
the_highest_of_several_ranges_counts_and_none_is_above_one(void **state)
{
	(void)state;
	assert_quality("text/plain;q=0.1, text/plain;q=0.7", NULL, 0.7);
	assert_quality("text/plain;q=0, text/plain", NULL, 1);
	assert_quality("text/plain;q=7", NULL, 1);
}

static void
a_range_of_another_version_does_not_count(void **state)
{
	(void)state;
	assert_quality("text/plain;version=1.0.0", "version=0.0.4", 0);
	assert_quality("text/plain;version=1.0.0;q=0.9,"
		       "text/plain;version=0.0.4;q=0.2",
	    "version=0.0.4", 0.2);
	assert_quality("text/plain;q=0.3", "version=0.0.4", 0.3);
	assert_quality("text/plain;version=1.0.0", NULL, 1);
}

static void
a_range_that_contradicts_any_parameter_does_not_count(void **state)
{
	static const struct media_type type = {
	    "application/x", {"proto=a.B", "encoding=delimited"}};

	(void)state;
	assert_true(media_type_quality("application/x;q=0.5", &type) > 0);
	assert_true(
	    media_type_quality(
		"application/x;proto=a.B;encoding=delimited", &type) > 0);
	assert_true(media_type_quality(
			"application/x; Encoding=delimited;else=1", &type) > 0);
	assert_true(media_type_quality("application/x;proto=a.C;encoding="
				       "delimited",
			&type) <= 0);
	assert_true(media_type_quality(
			"application/x;proto=a.B;encoding=text", &type) <= 0);
}

static void
the_best_type_is_chosen_and_the_first_of_equals(void **state)
{
	static const struct media_type types[] = {
	    {"text/html", {NULL}}, {"application/json", {NULL}}};

	(void)state;
	assert_int_equal(
	    media_type_choose("text/html,application/json", types, 2), 0);
	assert_int_equal(
	    media_type_choose("application/json,text/html", types, 2), 0);
	assert_int_equal(
	    media_type_choose("text/html;q=0.5,application/json", types, 2), 1);
	assert_int_equal(media_type_choose("image/png, */*", types, 2), -1);
	assert_int_equal(media_type_choose("", types, 2), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_type_has_the_quality_that_the_header_gives_it),
	    cmocka_unit_test(a_type_that_is_not_named_or_refused_has_none),
	    cmocka_unit_test(
		the_highest_of_several_ranges_counts_and_none_is_above_one),
	    cmocka_unit_test(a_range_of_another_version_does_not_count),
	    cmocka_unit_test(
		a_range_that_contradicts_any_parameter_does_not_count),
	    cmocka_unit_test(the_best_type_is_chosen_and_the_first_of_equals),
	};

	return SUPPORT_RUN(tests);
}
