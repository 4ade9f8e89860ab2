/*
 * Records that break the protocol: the guard in front of libfcgi refuses
 * them, and reads nothing beyond their end.
 */
#include "support.h"

#include "fastcgi/record.h"
#include "record_measure.h"
#include "records.h"

static void
a_record_of_a_request_with_the_id_0_is_refused(void **state)
{
	(void)state;
	for (unsigned type = 0; type <= 8; type++) {
		struct records records = {.id = RECORDS_NULL_ID};

		records_add(&records, type, NULL, 0);
		assert_invalid(&records, "a record of a request has the id 0");
	}
}

static void
records_out_of_order_are_refused(void **state)
{
	const char *problem = "a record is out of order";
	struct records records = {0};

	(void)state;
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_begin(&records, RECORDS_RESPONDER, 1);
	assert_invalid(&records, "BEGIN_REQUEST came twice");

	records = (struct records){0};
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, RECORDS_STDIN, NULL, 0);
	assert_invalid(&records, problem);

	records = (struct records){0};
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	assert_invalid(&records, problem);

	for (unsigned type = 3; type < 256; type++) {
		records = (struct records){0};
		records_begin(&records, RECORDS_RESPONDER, 1);
		records_add(&records, type, NULL, 0);
		if (type != RECORDS_PARAMS)
			assert_invalid(&records, problem);
	}

	records = (struct records){0};
	records_request(&records, "GET", "/", "");
	records_add(&records, RECORDS_STDIN, "x", 1);
	assert_invalid(&records, problem);
}

static void
another_version_is_refused_in_every_record(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "GET", "/", "body");
	for (size_t at = 0; at < records.size;) {
		const unsigned char *record = records.bytes + at;
		size_t next =
		    at + 8 + (size_t)(record[4] << 8 | record[5]) + record[6];

		records.bytes[at] = 2;
		assert_invalid(&records, "this is not FastCGI version 1");
		records.bytes[at] = 1;
		at = next;
	}
	assert_int_equal(measure(&records), RECORD_COMPLETE);
}

static void
a_begin_record_of_another_size_is_refused(void **state)
{
	static const unsigned sizes[] = {0, 1, 7, 9, 16, 255};
	static const unsigned char content[256] = {0, 1};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct records records = {0};

		records_add(&records, RECORDS_BEGIN, content, sizes[i]);
		assert_invalid(&records, "BEGIN_REQUEST has a wrong size");
	}
}

/*
 * Each byte of a sound request set to each value, at each length: whatever that
 * makes, nothing beyond the size is read (valgrind and ASan look) and a length
 * that is reported is not beyond it either.
 */
static void
no_byte_makes_it_read_beyond_the_end(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "POST", "/", "x=1");
	for (size_t at = 0; at < records.size; at++)
		for (unsigned value = 0; value < 256; value += 5) {
			unsigned char *copy = malloc(records.size);

			assert_non_null(copy);
			memcpy(copy, records.bytes, records.size);
			copy[at] = (unsigned char)value;
			measure_bytes(copy, records.size);
			free(copy);
		}
}

static void
garbage_is_refused(void **state)
{
	static const char *const garbage[] = {"GET / HTTP/1.1\r\n\r\n",
	    "\n\n\n\n\n\n\n\n", "\377\377\377\377\377\377\377\377"};

	(void)state;
	for (size_t i = 0; i < COUNT(garbage); i++)
		assert_int_equal(
		    measure_bytes(
			(const unsigned char *)garbage[i], strlen(garbage[i])),
		    RECORD_INVALID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_record_of_a_request_with_the_id_0_is_refused),
	    cmocka_unit_test(records_out_of_order_are_refused),
	    cmocka_unit_test(another_version_is_refused_in_every_record),
	    cmocka_unit_test(a_begin_record_of_another_size_is_refused),
	    cmocka_unit_test(no_byte_makes_it_read_beyond_the_end),
	    cmocka_unit_test(garbage_is_refused),
	};

	return SUPPORT_RUN(tests);
}
