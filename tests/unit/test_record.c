/*
 * The guard in front of libfcgi: a request passes whole, what is no part of one
 * is taken out, and what breaks the protocol ends the connection.
 */
#include "support.h"

#include "fastcgi/record.h"
#include "records.h"

static struct record_guard guard;
static unsigned seen[RECORD_INVALID + 1]; /* how often each status came */

static enum record_status
measure_bytes(const unsigned char *bytes, size_t size)
{
	enum record_status status;
	size_t at = 0;

	guard = (struct record_guard){0};
	memset(seen, 0, sizeof(seen));
	for (;;) {
		size_t length;
		size_t next;

		status = record_validate(
		    &guard, bytes + at, size - at, &length, &next);
		seen[status]++;
		if (status == RECORD_PARTIAL || status == RECORD_INVALID)
			break;
		assert_in_range(length, RECORD_HEADER_SIZE, next);
		assert_in_range(next, RECORD_HEADER_SIZE, size - at);
		at += next;
	}
	if (status == RECORD_PARTIAL && guard.state == RECORD_ENDED &&
	    at == size)
		return RECORD_COMPLETE;
	return status;
}

static enum record_status
measure(const struct records *records)
{
	return measure_bytes(records->bytes, records->size);
}

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

/* --- what breaks the protocol --------------------------------------------- */

static void
assert_invalid(const struct records *records, const char *problem)
{
	assert_int_equal(measure(records), RECORD_INVALID);
	assert_string_equal(guard.problem, problem);
}

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
	assert_int_equal(measure(&records), RECORD_PARTIAL);
}

static void
pairs_that_fill_their_record_are_sound(void **state)
{
	struct records records = params("\001\000a\002\003abxyz", 10);

	(void)state;
	assert_int_equal(measure(&records), RECORD_PARTIAL);
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
	assert_int_equal(measure(&records), RECORD_PARTIAL);
	/* one byte more or less than there is */
	for (int by = -1; by <= 1; by += 2) {
		records.bytes[16 + 8 + 4] =
		    (unsigned char)(pairs.bytes[4] + by);
		records_add(&records, RECORDS_PARAMS, NULL, 0);
		assert_invalid(&records, "PARAMS ends inside a parameter");
	}
}

static void
lengths_that_lie_are_refused(void **state)
{
	const char *cut = "PARAMS ends inside a parameter";
	const char *nameless = "a parameter has no name";
	const char *large = "a parameter exceeds 128 KiB";
	const struct {
		const char *bytes;
		size_t size;
		const char *problem;
	} lies[] = {
	    {"\001", 1, cut},                    /* no value's length */
	    {"\002\000a", 3, cut},               /* name too long */
	    {"\001\001a", 3, cut},               /* value too long */
	    {"\001\002ab", 4, cut},              /* by one */
	    {"\000\001a", 3, nameless},          /* no name */
	    {"\000\000", 2, nameless},           /* nothing at all */
	    {"\001\000a\001", 4, cut},           /* half a second pair */
	    {"\200", 1, cut},                    /* half a length */
	    {"\200\000\000", 3, cut},            /* still half */
	    {"\001\200\000\000", 4, cut},        /* of the value */
	    {"\377\377\377\377\000", 5, large},  /* 2 GiB of name */
	    {"\001\377\377\377\377a", 6, large}, /* 2 GiB of value */
	    {"\377\377\377\377\377\377\377\377a", 9, large}, /* of both */
	    {"\200\000\000\001\200\000\000\001a", 9, cut}, /* one byte short */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		struct records records = params(lies[i].bytes, lies[i].size);

		records_add(&records, RECORDS_PARAMS, NULL, 0);
		assert_invalid(&records, lies[i].problem);
	}
}

static void
pairs_may_be_split_over_records_anywhere(void **state)
{
	static char value[300];
	struct records pairs = {0};

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	records_pair(&pairs, "SHORT", "x");
	records_pair(&pairs, "A_LONG_ONE", value);
	records_pair(&pairs, "EMPTY", "");
	for (size_t first = 1; first < pairs.size; first++) {
		struct records records = params(pairs.bytes, first);
		size_t left = pairs.size - first;
		size_t second = left > 3 ? 3 : left;

		records_add(
		    &records, RECORDS_PARAMS, pairs.bytes + first, second);
		if (left > second)
			records_add(&records, RECORDS_PARAMS,
			    pairs.bytes + first + second, left - second);
		records_add(&records, RECORDS_PARAMS, NULL, 0);
		records_add(&records, RECORDS_STDIN, NULL, 0);
		assert_int_equal(measure(&records), RECORD_COMPLETE);
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
	    cmocka_unit_test(a_record_of_a_request_with_the_id_0_is_refused),
	    cmocka_unit_test(records_out_of_order_are_refused),
	    cmocka_unit_test(another_version_is_refused_in_every_record),
	    cmocka_unit_test(a_begin_record_of_another_size_is_refused),
	    cmocka_unit_test(a_record_that_says_more_than_has_come_is_partial),
	    cmocka_unit_test(pairs_that_fill_their_record_are_sound),
	    cmocka_unit_test(long_lengths_are_read_as_four_bytes),
	    cmocka_unit_test(lengths_that_lie_are_refused),
	    cmocka_unit_test(pairs_may_be_split_over_records_anywhere),
	    cmocka_unit_test(no_byte_makes_it_read_beyond_the_end),
	    cmocka_unit_test(garbage_is_refused),
	};

	return SUPPORT_RUN(tests);
}
