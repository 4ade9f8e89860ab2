/*
 * The rates of /live, of counters that grow and of those that are lost.
 */
#include "request_counters.h"

#include "base/clock.h"
#include "master/rates.h"

/* One reading, at this second, of this many requests; the rate of all. */
static int64_t
rate_at(struct rates *rates, int64_t second, uint64_t requests)
{
	counters_values(&counters,
	    SLOT_WORKER)[counters_find_value(&counters, 0, 0, 200)] = requests;
	rates_tick(rates, &counters, second * CLOCK_NS_PER_SECOND);
	return scoreboard_entry(&counters.scoreboard, SLOT_MASTER)
	    ->request_rate;
}

static void
the_request_rate_is_the_growth_of_the_last_second(void **state)
{
	struct rates rates = {0};

	(void)state;
	assert_int_equal(rate_at(&rates, 100, 500), 0);
	assert_int_equal(rate_at(&rates, 101, 530), 30000);
	assert_int_equal(rate_at(&rates, 103, 531), 500);
	assert_int_equal(rate_at(&rates, 104, 531), 0);
}

/* A truncated file, before the master has repaired it. */
static void
the_request_rate_stays_while_counts_are_lost(void **state)
{
	struct rates rates = {0};

	(void)state;
	rate_at(&rates, 100, 500);
	assert_int_equal(rate_at(&rates, 101, 530), 30000);
	assert_int_equal(rate_at(&rates, 102, 0), 30000);
	assert_int_equal(rate_at(&rates, 103, 535), 30000); /* repaired */
	assert_int_equal(rate_at(&rates, 104, 542), 7000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_request_rate_is_the_growth_of_the_last_second),
	    TEST(the_request_rate_stays_while_counts_are_lost),
	};

	return SUPPORT_RUN(tests);
}
