/*
 * The endpoint that raises a load: what it asks of the master, and what it
 * refuses.
 */
#include "support.h"

#include <math.h>

#include "load/order.h"
#include "handlers.h"

/* What the master was asked for; false where it was not. */
static bool
was_asked(struct load *load)
{
	struct load_order order;

	if (read(asked[0], &order, sizeof(order)) != sizeof(order))
		return false;
	*load = order.load;
	return true;
}

static bool
is_active(void)
{
	return scoreboard_entry(&counters.scoreboard, SLOT_MASTER)
		   ->load_ticket != 0;
}

static void
raising_a_load_asks_the_master_and_answers_at_once(void **state)
{
	struct load load = {0};

	(void)state;
	assert_int_equal(
	    ask(METHOD_POST, "/riseload", "seconds=5&load=0.5cores"), 202);
	assert_string_equal(field("msg"), "Load raised");
	assert_string_equal(field("load"), "0.5cores");
	assert_true(was_asked(&load));
	assert_true(fabs(load.seconds - 5) < 1e-9);
	assert_true(fabs(load.cpu_cores - 0.5) < 1e-9);
	assert_int_equal(load.memory_bytes, 0);
	assert_true(is_active());
}

static void
a_test_can_write_the_query_behind_the_path(void **state)
{
	struct load load = {0};

	(void)state;
	assert_int_equal(
	    send_json(METHOD_POST, "/riseload?seconds=5&load=0.5cores", "{}"),
	    202);
	assert_string_equal(request.path, "/riseload");
	assert_string_equal(request.query, "seconds=5&load=0.5cores");
	assert_true(was_asked(&load));
	assert_true(fabs(load.cpu_cores - 0.5) < 1e-9);
	assert_int_equal(get("/riseload?"), 409);
}

static void
the_defaults_of_a_load_are_as_documented(void **state)
{
	struct load load = {0};

	(void)state;
	assert_int_equal(get("/riseload"), 202);
	assert_true(was_asked(&load));
	assert_true(fabs(load.seconds - 60) < 1e-9);
	assert_string_equal(field("load"), "1.5");
	assert_string_equal(field("memory"), "0");
}

static void
a_load_of_memory_alone_is_one(void **state)
{
	struct load load = {0};

	(void)state;
	assert_int_equal(
	    ask(METHOD_POST, "/riseload", "load=0&memory=8M"), 202);
	assert_true(was_asked(&load));
	assert_int_equal(load.memory_bytes, 8 << 20);
}

static void
a_second_load_is_a_409_and_the_first_goes_on(void **state)
{
	struct load load = {0};

	(void)state;
	assert_int_equal(ask(METHOD_POST, "/riseload", "seconds=5"), 202);
	assert_true(was_asked(&load));
	assert_int_equal(ask(METHOD_POST, "/riseload", "seconds=5"), 409);
	assert_false(was_asked(&load));
}

static void
delete_ends_the_load_and_without_one_is_a_404(void **state)
{
	struct load load = {0};

	(void)state;
	assert_int_equal(ask(METHOD_DELETE, "/riseload", ""), 404);
	assert_false(was_asked(&load));
	assert_int_equal(ask(METHOD_POST, "/riseload", "seconds=5"), 202);
	assert_true(was_asked(&load));
	assert_int_equal(ask(METHOD_DELETE, "/riseload", ""), 200);
	assert_true(was_asked(&load));
	assert_true(load.seconds <= 0);
	assert_false(is_active());
}

static void
a_bad_load_is_a_400_and_nobody_is_asked(void **state)
{
	static const char *const queries[] = {"seconds=0", "seconds=601",
	    "seconds=-1", "seconds=x", "seconds=", "load=x", "load=11",
	    "load=-1", "memory=x", "memory=151%25", "load=0", "load=0&memory=0",
	    "load=0&memory=0%25", "sconds=5", "seconds=5&x=1", "load=1%",
	    "load=1%00", "load=0.000000000000000000000000000000000001"};
	struct load load = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(queries); i++) {
		if (ask(METHOD_POST, "/riseload", queries[i]) != 400)
			fail_msg("%s is taken", queries[i]);
		assert_string_equal(field("title"), "Bad Request");
		assert_false(was_asked(&load));
		assert_false(is_active());
	}
}

static void
a_load_that_cannot_be_asked_for_is_a_503_and_none_is_active(void **state)
{
	(void)state;
	service.load_request_fd = -1; /* as plain CGI */
	assert_int_equal(ask(METHOD_POST, "/riseload", "seconds=5"), 503);
	assert_false(is_active());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(raising_a_load_asks_the_master_and_answers_at_once),
	    TEST(a_test_can_write_the_query_behind_the_path),
	    TEST(the_defaults_of_a_load_are_as_documented),
	    TEST(a_load_of_memory_alone_is_one),
	    TEST(a_second_load_is_a_409_and_the_first_goes_on),
	    TEST(delete_ends_the_load_and_without_one_is_a_404),
	    TEST(a_bad_load_is_a_400_and_nobody_is_asked),
	    TEST(a_load_that_cannot_be_asked_for_is_a_503_and_none_is_active),
	};

	return SUPPORT_RUN(tests);
}
