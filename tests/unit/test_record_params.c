/*
 * Lengths in PARAMS records: the guard in front of libfcgi reads them
 * across records, and refuses those that lie.
 */
#include "support.h"

#include "fastcgi/record.h"
#include "record_measure.h"
#include "records.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_record_that_says_more_than_has_come_is_partial),
	    cmocka_unit_test(pairs_that_fill_their_record_are_sound),
	    cmocka_unit_test(long_lengths_are_read_as_four_bytes),
	    cmocka_unit_test(lengths_that_lie_are_refused),
	    cmocka_unit_test(pairs_may_be_split_over_records_anywhere),
	};

	return SUPPORT_RUN(tests);
}
