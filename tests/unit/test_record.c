/*
 * The guard in front of libfcgi: a sound request passes whole, and records
 * that are no part of it are answered or ignored.
 */
#include "support.h"

#include "fastcgi/record.h"
#include "record_measure.h"
#include "records.h"

/* --- sound requests ----------------------------------------------------- */

static void
a_whole_request_is_complete(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "GET", "/health", "");
	assert_int_equal(measure(&records), RECORD_COMPLETE);
}

static void
a_request_with_a_body_is_complete(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "POST", "/riseload", "seconds=1&load=2");
	assert_int_equal(measure(&records), RECORD_COMPLETE);
}

static void
every_beginning_of_a_request_is_partial(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "POST", "/riseload", "seconds=1");
	for (size_t size = 0; size < records.size; size++)
		assert_int_equal(
		    measure_bytes(records.bytes, size), RECORD_PARTIAL);
}

static void
padding_belongs_to_its_record(void **state)
{
	struct records records = {.padding = 7};
	struct records cut = {.padding = 7};
	struct records pair = {0};

	(void)state;
	records_request(&records, "POST", "/", "body");
	assert_int_equal(measure(&records), RECORD_COMPLETE);
	records_begin(&cut, RECORDS_RESPONDER, 1);
	records_pair(&pair, "REQUEST_METHOD", "GET");
	records_add(&cut, RECORDS_PARAMS, pair.bytes, pair.size);
	cut.size--;
	assert_int_equal(measure(&cut), RECORD_PARTIAL);
}

/* libfcgi takes such padding for the next record, so length leaves it out. */
static void
padding_of_nothing_and_of_a_beginning_is_no_content(void **state)
{
	static const unsigned char padding[8];
	struct records records = {0};
	size_t length;
	size_t next;

	(void)state;
	records_begin(&records, RECORDS_RESPONDER, 1);
	records.bytes[6] = 8;
	records_append(&records, padding, 8);
	guard = (struct record_guard){0};
	assert_int_equal(record_validate(&guard, records.bytes, records.size,
			     &length, &next),
	    RECORD_PART);
	assert_int_equal(length, 16);
	assert_int_equal(next, 24);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	records.bytes[24 + 6] = 8;
	assert_int_equal(measure(&records), RECORD_PARTIAL);
	records_append(&records, padding, 8);
	records_add(&records, RECORDS_STDIN, NULL, 0);
	assert_int_equal(measure(&records), RECORD_COMPLETE);
}

static void
params_and_body_may_come_in_several_records(void **state)
{
	struct records records = {0};

	(void)state;
	records_begin(&records, RECORDS_RESPONDER, 1);
	for (int i = 0; i < 5; i++) {
		struct records pairs = {0};

		records_pair(&pairs, "REQUEST_METHOD", "GET");
		records_add(&records, RECORDS_PARAMS, pairs.bytes, pairs.size);
	}
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	for (int i = 0; i < 5; i++)
		records_add(&records, RECORDS_STDIN, "0123456789", 10);
	assert_int_equal(measure(&records), RECORD_PARTIAL);
	records_add(&records, RECORDS_STDIN, NULL, 0);
	assert_int_equal(measure(&records), RECORD_COMPLETE);
}

static void
no_params_and_no_body_is_a_request(void **state)
{
	struct records records = {0};

	(void)state;
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	records_add(&records, RECORDS_STDIN, NULL, 0);
	assert_int_equal(measure(&records), RECORD_COMPLETE);
}

static void
the_largest_record_passes(void **state)
{
	static unsigned char body[65535];
	struct records records = {0};

	(void)state;
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	records_add(&records, RECORDS_STDIN, body, sizeof(body));
	records_add(&records, RECORDS_STDIN, NULL, 0);
	assert_int_equal(measure(&records), RECORD_COMPLETE);
}

static void
any_request_id_but_zero_passes(void **state)
{
	static const unsigned ids[] = {1, 2, 255, 256, 65535};

	(void)state;
	for (size_t i = 0; i < COUNT(ids); i++) {
		struct records records = {.id = ids[i]};

		records_request(&records, "GET", "/", "");
		assert_int_equal(measure(&records), RECORD_COMPLETE);
	}
}

/* --- what is no part of a request ----------------------------------------- */

static void
a_management_record_is_to_be_answered_before_and_in_a_request(void **state)
{
	static const unsigned types[] = {9, 10, 11, 12, 255};

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++) {
		struct records records = {.id = RECORDS_NULL_ID};

		records_add(&records, types[i], "\017\0FCGI_MPXS_CONNS", 17);
		records.id = 1;
		records_begin(&records, RECORDS_RESPONDER, 1);
		records.id = RECORDS_NULL_ID;
		records_add(&records, types[i], NULL, 0);
		records.id = 1;
		records_add(&records, RECORDS_PARAMS, NULL, 0);
		records_add(&records, RECORDS_STDIN, NULL, 0);
		assert_int_equal(measure(&records), RECORD_COMPLETE);
		assert_int_equal(seen[RECORD_ANSWER], 2);
	}
}

static void
another_role_than_responder_is_to_be_answered_and_its_records_ignored(
    void **state)
{
	(void)state;
	for (unsigned role = 0; role < 5; role++) {
		struct records records = {0};

		if (role == RECORDS_RESPONDER)
			continue;
		records_begin(&records, role, 1);
		records_add(&records, RECORDS_PARAMS, "\001\001ab", 4);
		records_add(&records, RECORDS_PARAMS, NULL, 0);
		records_add(&records, RECORDS_STDIN, NULL, 0);
		assert_int_equal(measure(&records), RECORD_PARTIAL);
		assert_int_equal(seen[RECORD_ANSWER], 1);
		assert_int_equal(seen[RECORD_IGNORE], 3);
		records_request(&records, "GET", "/", "");
		assert_int_equal(measure(&records), RECORD_COMPLETE);
	}
}

static void
a_second_request_meanwhile_is_to_be_answered_and_its_records_ignored(
    void **state)
{
	struct records records = {.id = 1};

	(void)state;
	records_begin(&records, RECORDS_RESPONDER, 1);
	records.id = 2;
	records_request(&records, "POST", "/", "body");
	records.id = 1;
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	records_add(&records, RECORDS_STDIN, NULL, 0);
	records.id = 2;
	records_request(&records, "GET", "/", "");
	assert_int_equal(measure(&records), RECORD_COMPLETE);
	assert_int_equal(seen[RECORD_ANSWER], 2);
	assert_int_equal(seen[RECORD_IGNORE], 4 + 3);
	assert_int_equal(seen[RECORD_PART] + seen[RECORD_COMPLETE], 3);
}

static void
an_abort_ends_the_request_wherever_it_is_and_no_other(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "POST", "/", "body");
	for (size_t at = 0; at < records.size;) {
		struct records cut = {0};
		const unsigned char *record = records.bytes + at;

		at += 8 + (size_t)(record[4] << 8 | record[5]) + record[6];
		records_append(&cut, records.bytes, at);
		records_add(&cut, RECORDS_ABORT, NULL, 0);
		assert_int_equal(measure(&cut), RECORD_PARTIAL);
		assert_int_equal(seen[RECORD_ABORT], 1);
		assert_int_equal(guard.state, RECORD_IDLE);
		records_add(&cut, RECORDS_ABORT, NULL, 0);
		records_request(&cut, "GET", "/", "");
		assert_int_equal(measure(&cut), RECORD_COMPLETE);
		assert_int_equal(seen[RECORD_ABORT], 1);
		assert_int_equal(seen[RECORD_IGNORE], 1);
	}
}

static void
records_of_no_active_request_are_ignored(void **state)
{
	struct records records = {.id = 7};

	(void)state;
	for (unsigned type = 2; type < 256; type++)
		records_add(&records, type, "\377", 1);
	assert_int_equal(measure(&records), RECORD_PARTIAL);
	assert_int_equal(seen[RECORD_IGNORE], 254);
	records.id = 1;
	records_request(&records, "GET", "/", "");
	assert_int_equal(measure(&records), RECORD_COMPLETE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_whole_request_is_complete),
	    cmocka_unit_test(a_request_with_a_body_is_complete),
	    cmocka_unit_test(every_beginning_of_a_request_is_partial),
	    cmocka_unit_test(padding_belongs_to_its_record),
	    cmocka_unit_test(
		padding_of_nothing_and_of_a_beginning_is_no_content),
	    cmocka_unit_test(params_and_body_may_come_in_several_records),
	    cmocka_unit_test(no_params_and_no_body_is_a_request),
	    cmocka_unit_test(the_largest_record_passes),
	    cmocka_unit_test(any_request_id_but_zero_passes),
	    cmocka_unit_test(
		a_management_record_is_to_be_answered_before_and_in_a_request),
	    cmocka_unit_test(
		another_role_than_responder_is_to_be_answered_and_its_records_ignored),
	    cmocka_unit_test(
		a_second_request_meanwhile_is_to_be_answered_and_its_records_ignored),
	    cmocka_unit_test(
		an_abort_ends_the_request_wherever_it_is_and_no_other),
	    cmocka_unit_test(records_of_no_active_request_are_ignored),
	};

	return SUPPORT_RUN(tests);
}
