/*
 * The guard in front of libfcgi: what nginx sends passes whole, everything else
 * is refused before libfcgi sees it.
 */
#include "support.h"

#include "frame.h"
#include "records.h"

static enum frame_status
measure(const struct records *records)
{
	size_t length = 0;
	enum frame_status status =
	    frame_measure(records->bytes, records->size, &length);

	if (status == FRAME_COMPLETE)
		assert_int_equal(length, records->size);
	return status;
}

/* --- sound requests ----------------------------------------------------- */

static void
a_whole_request_is_complete(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "GET", "/health", "");
	assert_int_equal(measure(&records), FRAME_COMPLETE);
}

static void
a_request_with_a_body_is_complete(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "POST", "/riseload", "seconds=1&load=2");
	assert_int_equal(measure(&records), FRAME_COMPLETE);
}

static void
every_beginning_of_a_request_is_partial(void **state)
{
	struct records records = {0};
	size_t length;

	(void)state;
	records_request(&records, "POST", "/riseload", "seconds=1");
	for (size_t size = 0; size < records.size; size++)
		assert_int_equal(
		    frame_measure(records.bytes, size, &length), FRAME_PARTIAL);
}

static void
a_second_request_behind_the_first_is_not_measured(void **state)
{
	struct records records = {0};
	size_t first;
	size_t length;

	(void)state;
	records_request(&records, "GET", "/", "");
	first = records.size;
	records_request(&records, "GET", "/health", "");
	assert_int_equal(frame_measure(records.bytes, records.size, &length),
	    FRAME_COMPLETE);
	assert_int_equal(length, first);
	/* nor is whatever else is there */
	records.bytes[first] = 0xff;
	assert_int_equal(frame_measure(records.bytes, records.size, &length),
	    FRAME_COMPLETE);
	assert_int_equal(length, first);
}

static void
padding_belongs_to_its_record(void **state)
{
	struct records records = {.padding = 7};
	struct records cut = {.padding = 7};
	struct records pair = {0};

	(void)state;
	records_request(&records, "POST", "/", "body");
	assert_int_equal(measure(&records), FRAME_COMPLETE);
	records_begin(&cut, RECORDS_RESPONDER, 1);
	records_pair(&pair, "REQUEST_METHOD", "GET");
	records_add(&cut, RECORDS_PARAMS, pair.bytes, pair.size);
	cut.size--;
	assert_int_equal(measure(&cut), FRAME_PARTIAL);
}

/* libfcgi would take it for the next record. */
static void
padding_of_nothing_or_of_a_beginning_is_refused(void **state)
{
	struct records begin = {0};
	struct records params = {0};

	(void)state;
	records_begin(&begin, RECORDS_RESPONDER, 1);
	begin.bytes[6] = 8;
	assert_int_equal(measure(&begin), FRAME_INVALID);
	records_begin(&params, RECORDS_RESPONDER, 1);
	records_add(&params, RECORDS_PARAMS, NULL, 0);
	params.bytes[16 + 6] = 8;
	assert_int_equal(measure(&params), FRAME_INVALID);
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
	assert_int_equal(measure(&records), FRAME_PARTIAL);
	records_add(&records, RECORDS_STDIN, NULL, 0);
	assert_int_equal(measure(&records), FRAME_COMPLETE);
}

static void
no_params_and_no_body_is_a_request(void **state)
{
	struct records records = {0};

	(void)state;
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	records_add(&records, RECORDS_STDIN, NULL, 0);
	assert_int_equal(measure(&records), FRAME_COMPLETE);
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
	assert_int_equal(measure(&records), FRAME_COMPLETE);
}

static void
any_request_id_but_zero_passes(void **state)
{
	static const unsigned ids[] = {1, 2, 255, 256, 65535};

	(void)state;
	for (size_t i = 0; i < COUNT(ids); i++) {
		struct records records = {.id = ids[i]};

		records_request(&records, "GET", "/", "");
		assert_int_equal(measure(&records), FRAME_COMPLETE);
	}
}

/* --- what nginx never sends ---------------------------------------------- */

static void
assert_invalid(const struct records *records)
{
	assert_int_equal(measure(records), FRAME_INVALID);
}

static void
a_management_record_is_refused_before_the_rest_has_come(void **state)
{
	enum { ABORT = 2, GET_VALUES = 9, UNKNOWN = 11 };
	static const unsigned types[] = {
	    0, ABORT, 3, 6, 7, 8, GET_VALUES, 10, UNKNOWN, 12, 255};

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++) {
		struct records records = {0};

		/* A name that libfcgi answers into a short buffer. */
		records_add(&records, types[i], "\017\0FCGI_MPXS_CONNS", 17);
		assert_invalid(&records);
		records.size = 8;
		assert_invalid(&records);
	}
}

static void
a_management_record_in_the_middle_is_refused(void **state)
{
	struct records records = {0};

	(void)state;
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, 9, NULL, 0);
	assert_invalid(&records);
}

static void
an_abort_is_refused(void **state)
{
	struct records records = {0};

	(void)state;
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	records_add(&records, 2, NULL, 0);
	assert_invalid(&records);
}

static void
records_out_of_order_are_refused(void **state)
{
	struct records records = {0};

	(void)state;
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	assert_invalid(&records);

	records = (struct records){0};
	records_add(&records, RECORDS_STDIN, NULL, 0);
	assert_invalid(&records);

	records = (struct records){0};
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_begin(&records, RECORDS_RESPONDER, 1);
	assert_invalid(&records);

	records = (struct records){0};
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, RECORDS_STDIN, NULL, 0);
	assert_invalid(&records);

	records = (struct records){0};
	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	assert_invalid(&records);
}

static void
a_record_of_another_request_is_refused(void **state)
{
	struct records records = {.id = 1};

	(void)state;
	records_begin(&records, RECORDS_RESPONDER, 1);
	records.id = 2;
	records_add(&records, RECORDS_PARAMS, NULL, 0);
	assert_invalid(&records);
}

static void
request_id_zero_is_refused(void **state)
{
	struct records records = {0};

	(void)state;
	records_request(&records, "GET", "/", "");
	for (size_t at = 0; at < records.size;) {
		unsigned char *record = records.bytes + at;

		record[2] = record[3] = 0; /* in all of them alike */
		at += 8 + (size_t)(record[4] << 8 | record[5]);
	}
	assert_invalid(&records);
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
		assert_invalid(&records);
		records.bytes[at] = 1;
		at = next;
	}
	assert_int_equal(measure(&records), FRAME_COMPLETE);
}

static void
another_role_than_responder_is_refused(void **state)
{
	(void)state;
	for (unsigned role = 0; role < 5; role++) {
		struct records records = {0};

		records_begin(&records, role, 1);
		assert_int_equal(measure(&records),
		    role == RECORDS_RESPONDER ? FRAME_PARTIAL : FRAME_INVALID);
	}
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
		assert_invalid(&records);
	}
}

/* --- lengths that lie ------------------------------------------------------
 */

/* One PARAMS record of these bytes. */
static struct records
params(const void *bytes, size_t size)
{
	struct records records = {0};

	records_begin(&records, RECORDS_RESPONDER, 1);
	records_add(&records, RECORDS_PARAMS, bytes, size);
	return records;
}

static void
a_record_that_says_more_than_has_come_is_partial(void **state)
{
	struct records records = params("\001\001ab", 4);

	(void)state;
	records.bytes[16 + 4] = 0xff; /* the content's length */
	records.bytes[16 + 5] = 0xff;
	records.bytes[16 + 6] = 0xff; /* and the padding's */
	assert_int_equal(measure(&records), FRAME_PARTIAL);
}

static void
pairs_that_fill_their_record_are_sound(void **state)
{
	struct records records = params("\001\000a\002\003abxyz", 10);

	(void)state;
	assert_int_equal(measure(&records), FRAME_PARTIAL);
}

static void
long_lengths_are_read_as_four_bytes(void **state)
{
	static char value[70000];
	struct records pairs = {0};
	struct records records;

	(void)state;
	memset(value, 'v', 300);
	records_pair(&pairs, "A_NAME", value);
	assert_true(pairs.bytes[1] & 0x80);
	records = params(pairs.bytes, pairs.size);
	assert_int_equal(measure(&records), FRAME_PARTIAL);
	/* one byte more or less than there is */
	for (int by = -1; by <= 1; by += 2) {
		records.bytes[16 + 8 + 4] =
		    (unsigned char)(pairs.bytes[4] + by);
		assert_invalid(&records);
	}
}

static void
pairs_out_of_bounds_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} lies[] = {
	    {"\001", 1},                              /* no value's length */
	    {"\002\000a", 3},                         /* name too long */
	    {"\001\001a", 3},                         /* value too long */
	    {"\001\002ab", 4},                        /* by one */
	    {"\000\001a", 3},                         /* no name */
	    {"\000\000", 2},                          /* nothing at all */
	    {"\001\000a\001", 4},                     /* half a second pair */
	    {"\200", 1},                              /* half a length */
	    {"\200\000\000", 3},                      /* still half */
	    {"\001\200\000\000", 4},                  /* of the value */
	    {"\377\377\377\377\000", 5},              /* 2 GiB of name */
	    {"\001\377\377\377\377a", 6},             /* 2 GiB of value */
	    {"\377\377\377\377\377\377\377\377a", 9}, /* of both */
	    {"\200\000\000\001\200\000\000\001a", 9}, /* one byte short */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		struct records records = params(lies[i].bytes, lies[i].size);

		assert_invalid(&records);
	}
}

static void
a_pair_over_two_records_is_refused(void **state)
{
	struct records records = params("\002\002a", 3);

	(void)state;
	records_add(&records, RECORDS_PARAMS, "bcd", 3);
	assert_invalid(&records);
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
			size_t length = 0;

			assert_non_null(copy);
			memcpy(copy, records.bytes, records.size);
			copy[at] = (unsigned char)value;
			if (frame_measure(copy, records.size, &length) ==
			    FRAME_COMPLETE)
				assert_in_range(length, 1, records.size);
			free(copy);
		}
}

static void
garbage_is_refused(void **state)
{
	static const char *const garbage[] = {"GET / HTTP/1.1\r\n\r\n",
	    "\n\n\n\n\n\n\n\n", "\377\377\377\377\377\377\377\377"};
	size_t length;

	(void)state;
	for (size_t i = 0; i < COUNT(garbage); i++)
		assert_int_equal(
		    frame_measure((const unsigned char *)garbage[i],
			strlen(garbage[i]), &length),
		    FRAME_INVALID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_whole_request_is_complete),
	    cmocka_unit_test(a_request_with_a_body_is_complete),
	    cmocka_unit_test(every_beginning_of_a_request_is_partial),
	    cmocka_unit_test(a_second_request_behind_the_first_is_not_measured),
	    cmocka_unit_test(padding_belongs_to_its_record),
	    cmocka_unit_test(padding_of_nothing_or_of_a_beginning_is_refused),
	    cmocka_unit_test(params_and_body_may_come_in_several_records),
	    cmocka_unit_test(no_params_and_no_body_is_a_request),
	    cmocka_unit_test(the_largest_record_passes),
	    cmocka_unit_test(any_request_id_but_zero_passes),
	    cmocka_unit_test(
		a_management_record_is_refused_before_the_rest_has_come),
	    cmocka_unit_test(a_management_record_in_the_middle_is_refused),
	    cmocka_unit_test(an_abort_is_refused),
	    cmocka_unit_test(records_out_of_order_are_refused),
	    cmocka_unit_test(a_record_of_another_request_is_refused),
	    cmocka_unit_test(request_id_zero_is_refused),
	    cmocka_unit_test(another_version_is_refused_in_every_record),
	    cmocka_unit_test(another_role_than_responder_is_refused),
	    cmocka_unit_test(a_begin_record_of_another_size_is_refused),
	    cmocka_unit_test(a_record_that_says_more_than_has_come_is_partial),
	    cmocka_unit_test(pairs_that_fill_their_record_are_sound),
	    cmocka_unit_test(long_lengths_are_read_as_four_bytes),
	    cmocka_unit_test(pairs_out_of_bounds_are_refused),
	    cmocka_unit_test(a_pair_over_two_records_is_refused),
	    cmocka_unit_test(no_byte_makes_it_read_beyond_the_end),
	    cmocka_unit_test(garbage_is_refused),
	};

	return SUPPORT_RUN(tests);
}
