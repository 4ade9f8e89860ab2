/*
 * Times as text, compared with the C library's.
 */
#include "support.h"

#include "base/clock.h"

static void
assert_is_as_strftime(time_t seconds, int milliseconds)
{
	char wanted[64];
	char text[CLOCK_TEXT_SIZE];
	struct tm utc;
	size_t length;

	gmtime_r(&seconds, &utc);
	length = strftime(wanted, sizeof(wanted), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(
	    wanted + length, sizeof(wanted) - length, ".%03dZ", milliseconds);
	clock_format(seconds * CLOCK_NS_PER_SECOND +
			 milliseconds * CLOCK_NS_PER_MS + 999999,
	    text);
	assert_string_equal(text, wanted);
}

static void
the_first_and_last_second_of_each_day_of_two_centuries_are_right(void **state)
{
	(void)state;
	for (time_t day = 0; day < 200 * 366; day++) {
		assert_is_as_strftime(day * 86400, 0);
		assert_is_as_strftime(day * 86400 + 86399, 999);
	}
}

static void
every_second_of_a_day_is_right(void **state)
{
	(void)state;
	for (time_t second = 0; second < 86400; second++)
		assert_is_as_strftime(1709164800 + second, 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		the_first_and_last_second_of_each_day_of_two_centuries_are_right),
	    cmocka_unit_test(every_second_of_a_day_is_right),
	};

	return SUPPORT_RUN(tests);
}
