/*
 * Answers to the records that belong to no request.
 */
#include "support.h"

#include "fastcgi/record.h"
#include "fastcgi/management.h"
#include "records.h"

static unsigned char answer[MANAGEMENT_ANSWER_MAX];

static size_t
ask(const struct records *records)
{
	memset(answer, 0xee, sizeof(answer));
	return management_answer(records->bytes, 1024, answer);
}

static size_t
get_values(const struct records *names)
{
	struct records records = {.id = RECORDS_NULL_ID};

	records_add(&records, RECORD_GET_VALUES, names->bytes, names->size);
	return ask(&records);
}

static void
all_three_values_are_told(void **state)
{
	struct records names = {0};

	(void)state;
	records_pair(&names, "FCGI_MPXS_CONNS", "");
	records_pair(&names, "FCGI_MAX_REQS", "");
	records_pair(&names, "FCGI_MAX_CONNS", "");
	assert_int_equal(get_values(&names), 8 + 20 + 19 + 18);
	assert_memory_equal(answer, "\1\12\0\0\0\71\0\0", 8);
	assert_memory_equal(answer + 8,
	    "\16\4FCGI_MAX_CONNS1024\15\4FCGI_MAX_REQS1024"
	    "\17\1FCGI_MPXS_CONNS0",
	    57);
}

static void
what_is_not_known_is_left_out(void **state)
{
	struct records names = {0};

	(void)state;
	assert_int_equal(get_values(&names), 8);
	assert_memory_equal(answer, "\1\12\0\0\0\0\0\0", 8);
	records_pair(&names, "FCGI_MAX_CONN", "");
	records_pair(&names, "", "");
	records_pair(&names, "FCGI_MPXS_CONNS_", "");
	assert_int_equal(get_values(&names), 8);
	records_pair(&names, "FCGI_MPXS_CONNS", "a value, which is ignored");
	assert_int_equal(get_values(&names), 8 + 18);
}

/* libfcgi answers each of them, into 64 bytes. */
static void
a_value_is_told_once_however_often_it_is_asked_for(void **state)
{
	static const char *const asked[] = {
	    "FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"};
	struct records names = {0};

	(void)state;
	for (int i = 0; i < 3000; i++)
		records_pair(&names, asked[i % 3], "");
	assert_int_equal(get_values(&names), 8 + 57);
}

static void
the_largest_numbers_fit(void **state)
{
	struct records names = {0};
	struct records records = {.id = RECORDS_NULL_ID};

	(void)state;
	records_pair(&names, "FCGI_MAX_CONNS", "");
	records_pair(&names, "FCGI_MAX_REQS", "");
	records_pair(&names, "FCGI_MPXS_CONNS", "");
	records_add(&records, RECORD_GET_VALUES, names.bytes, names.size);
	assert_true(management_answer(records.bytes, UINT_MAX, answer) <=
		    MANAGEMENT_ANSWER_MAX);
}

static void
names_that_lie_about_their_lengths_have_no_answer(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} lies[] = {{"\1", 1}, {"\2\0a", 3}, {"\1\1a", 3}, {"\200\0\0", 3},
	    {"\1\377\377\377\377a", 6},
	    {"\377\377\377\377\377\377\377\377a", 9}};

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		struct records names = {0};

		records_append(&names, lies[i].bytes, lies[i].size);
		assert_int_equal(get_values(&names), 0);
	}
}

static void
another_type_is_said_to_be_unknown(void **state)
{
	(void)state;
	for (unsigned type = 10; type < 256; type++) {
		struct records records = {.id = RECORDS_NULL_ID};

		records_add(&records, type, "whatever", 8);
		assert_int_equal(ask(&records), 16);
		assert_memory_equal(answer, "\1\13\0\0\0\10\0\0", 8);
		assert_int_equal(answer[8], type);
		assert_memory_equal(answer + 9, "\0\0\0\0\0\0\0", 7);
	}
}

static void
a_request_that_is_turned_away_ends_with_the_reason(void **state)
{
	static const struct {
		unsigned role;
		int status;
	} cases[] = {{1, 1}, {2, 3}, {3, 3}, {0, 3}, {257, 3}};
	static const unsigned char zeros[8];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct records records = {.id = 0x1234};

		records_begin(&records, cases[i].role, 1);
		assert_int_equal(ask(&records), 16);
		assert_memory_equal(answer, "\1\3\x12\x34\0\10\0\0", 8);
		assert_memory_equal(answer + 8, zeros, 4);
		assert_int_equal(answer[12], cases[i].status);
		assert_memory_equal(answer + 13, zeros, 3);
	}
}

static void
an_aborted_request_is_complete(void **state)
{
	struct records records = {.id = 9};

	(void)state;
	records_add(&records, RECORDS_ABORT, NULL, 0);
	assert_int_equal(ask(&records), 16);
	assert_memory_equal(answer, "\1\3\0\11\0\10\0\0\0\0\0\0\0\0\0\0", 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_three_values_are_told),
	    cmocka_unit_test(what_is_not_known_is_left_out),
	    cmocka_unit_test(
		a_value_is_told_once_however_often_it_is_asked_for),
	    cmocka_unit_test(the_largest_numbers_fit),
	    cmocka_unit_test(names_that_lie_about_their_lengths_have_no_answer),
	    cmocka_unit_test(another_type_is_said_to_be_unknown),
	    cmocka_unit_test(
		a_request_that_is_turned_away_ends_with_the_reason),
	    cmocka_unit_test(an_aborted_request_is_complete),
	};

	return SUPPORT_RUN(tests);
}
