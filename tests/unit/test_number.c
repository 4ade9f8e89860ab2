/*
 * Which texts are decimal numbers.
 */
#include "support.h"

#include <math.h>

#include "base/number.h"

static void
decimal_numbers_are_read(void **state)
{
	static const struct {
		const char *text;
		double value;
	} numbers[] = {{"0", 0}, {"30", 30}, {"0.5", 0.5}, {"1.50", 1.5},
	    {"007", 7},
	    {"12345678901234567890123456789012", 1.2345678901234568e31}};

	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		double value = -1;

		assert_int_equal(number_parse(numbers[i].text, &value), 0);
		assert_true(
		    fabs(value - numbers[i].value) <= fabs(value) * 1e-15);
	}
}

static void
everything_else_is_not_a_number(void **state)
{
	static const char *const texts[] = {"", ".", "1.", ".5", "-1", "+1",
	    " 1", "1 ", "1e3", "0x10", "nan", "inf", "infinity", "1,5", "1.2.3",
	    "1s", "one", "1..2", "123456789012345678901234567890123"};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		double value;

		if (number_parse(texts[i], &value) != -EINVAL)
			fail_msg("'%s' is taken for a number", texts[i]);
	}
}

static void
a_size_is_rounded_up_to_a_multiple_of_the_unit(void **state)
{
	(void)state;
	assert_int_equal(number_round_up(0, 64), 0);
	assert_int_equal(number_round_up(1, 64), 64);
	assert_int_equal(number_round_up(64, 64), 64);
	assert_int_equal(number_round_up(65, 64), 128);
	assert_int_equal(number_round_up(7, 3), 9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(decimal_numbers_are_read),
	    cmocka_unit_test(everything_else_is_not_a_number),
	    cmocka_unit_test(a_size_is_rounded_up_to_a_multiple_of_the_unit),
	};

	return SUPPORT_RUN(tests);
}
