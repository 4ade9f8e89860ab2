/*
 * A damaged counter file is detected, moved aside and counted.
 */
#include "counter_file.h"

static void
a_file_of_zero_bytes_is_moved_aside(void **state)
{
	(void)state;
	assert_recovers("", 0, "it is empty");
}

static void
a_file_cut_at_any_byte_is_moved_aside(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);
	size_t end = label_sets_begin(bytes) + registry.label_set_capacity * 8;

	(void)state;
	for (size_t length = 1; length < end; length++)
		assert_recovers(bytes, length,
		    length < HEADER_SIZE ? "it is cut short" : "its size");
	/* Beyond that it is all values: a sample, and the last bytes. */
	for (size_t length = end; length < size; length += 37)
		assert_recovers(bytes, length, "its size");
	for (size_t length = size - 16; length < size; length++)
		assert_recovers(bytes, length, "its size");
	free(bytes);
}

static void
a_file_with_more_than_it_should_have_is_moved_aside(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);
	char *longer = calloc(1, size + 4096);

	(void)state;
	assert_non_null(longer);
	memcpy(longer, bytes, size);
	assert_recovers(longer, size + 1, "its size");
	assert_recovers(longer, size + 4096, "its size");
	free(longer);
	free(bytes);
}

static void
a_foreign_file_is_moved_aside(void **state)
{
	char zeros[8192] = {0};

	(void)state;
	assert_recovers(zeros, sizeof(zeros), "not a counter file");
	memset(zeros, 'x', sizeof(zeros));
	assert_recovers(zeros, sizeof(zeros), "not a counter file");
}

static void
a_file_of_another_byte_order_is_moved_aside(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);

	(void)state;
	for (size_t at = BYTE_ORDER_AT; at < BYTE_ORDER_AT + 2; at++) {
		size_t other = 2 * BYTE_ORDER_AT + 3 - at;
		char byte = bytes[at];

		bytes[at] = bytes[other];
		bytes[other] = byte;
	}
	assert_recovers(bytes, size, "another byte order");
	free(bytes);
}

static void
a_file_of_another_version_is_moved_aside(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);

	(void)state;
	bytes[VERSION_AT] = 2;
	assert_recovers(bytes, size, "another format version");
	free(bytes);
}

/* Flip each bit of a range, one at a time; every one must be found. */
static void
assert_every_bit_matters(char *bytes, size_t size, size_t from, size_t to)
{
	for (size_t at = from; at < to; at++)
		for (int bit = 0; bit < 8; bit++) {
			bytes[at] = (char)(bytes[at] ^ 1 << bit);
			assert_recovers(bytes, size, "it");
			bytes[at] = (char)(bytes[at] ^ 1 << bit);
		}
}

static void
a_flipped_bit_anywhere_in_the_header_is_detected(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);

	(void)state;
	assert_every_bit_matters(bytes, size, 0, HEADER_SIZE);
	free(bytes);
}

static void
a_flipped_bit_anywhere_in_the_registry_is_detected(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);

	(void)state;
	assert_every_bit_matters(bytes, size, HEADER_SIZE, registry_end(bytes));
	free(bytes);
}

static void
a_flipped_bit_anywhere_in_the_label_set_table_is_detected(void **state)
{
	size_t size;
	char *bytes = sound_bytes(&size);
	size_t from = label_sets_begin(bytes);

	(void)state;
	assert_every_bit_matters(
	    bytes, size, from, from + registry.label_set_capacity * 8);
	free(bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_file_of_zero_bytes_is_moved_aside),
	    TEST(a_file_cut_at_any_byte_is_moved_aside),
	    TEST(a_file_with_more_than_it_should_have_is_moved_aside),
	    TEST(a_foreign_file_is_moved_aside),
	    TEST(a_file_of_another_byte_order_is_moved_aside),
	    TEST(a_file_of_another_version_is_moved_aside),
	    TEST(a_flipped_bit_anywhere_in_the_header_is_detected),
	    TEST(a_flipped_bit_anywhere_in_the_registry_is_detected),
	    TEST(a_flipped_bit_anywhere_in_the_label_set_table_is_detected),
	};

	return SUPPORT_RUN(tests);
}
