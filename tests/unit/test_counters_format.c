/*
 * A counter file with a valid checksum but wrong contents is moved aside.
 */
#include "counter_file.h"

/*
 * Put a file with this header, registry and label sets where the file is, as
 * large as it says that it is and with the right checksum: it must be moved
 * aside.
 */
static void
assert_lie_is_found(const struct counters_header *wrong, const char *text,
    const uint64_t *label_sets, const char *problem)
{
	struct counters_header header = *wrong;
	struct counters_layout layout;
	char *bytes;

	header.registry_size = (uint32_t)strlen(text);
	header.checksum = counters_format_checksum(&header, text);
	layout = counters_format_layout(&header);
	bytes = calloc(1, layout.file_size);
	assert_non_null(bytes);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), text, header.registry_size);
	memcpy(bytes + layout.label_sets, label_sets,
	    header.label_set_capacity * sizeof(uint64_t));
	assert_recovers(bytes, layout.file_size, problem);
	free(bytes);
}

/* The parts of a sound file; the caller frees *text. */
static void
sound_parts(
    struct counters_header *header, char **text, uint64_t label_sets[16])
{
	size_t size;
	char *bytes = sound_bytes(&size);

	memcpy(header, bytes, sizeof(*header));
	*text = strndup(bytes + sizeof(*header), header->registry_size);
	assert_non_null(*text);
	memcpy(label_sets, bytes + label_sets_begin(bytes),
	    16 * sizeof(*label_sets));
	free(bytes);
}

static void
a_file_whose_header_lies_about_the_rest_is_moved_aside(void **state)
{
	struct counters_header header;
	struct counters_header wrong;
	uint64_t label_sets[16];
	char *text;

	(void)state;
	sound_parts(&header, &text, label_sets);
	wrong = header;
	wrong.fixed_count = 1;
	assert_lie_is_found(&wrong, text, label_sets, "registry");
	wrong.fixed_count = header.fixed_count + 1;
	assert_lie_is_found(&wrong, text, label_sets, "registry");
	wrong = header;
	wrong.entry_size += 4;
	assert_lie_is_found(&wrong, text, label_sets, "slots");
	wrong = header;
	wrong.slot_count = SLOT_WORKER - 1;
	assert_lie_is_found(&wrong, text, label_sets, "slots");
	wrong = header;
	wrong.label_set_capacity = 12;
	assert_lie_is_found(&wrong, text, label_sets, "label set table");
	wrong.label_set_capacity = 0;
	assert_lie_is_found(&wrong, text, label_sets, "label set table");
	free(text);
}

/* A copy of the text with a part of it replaced; the caller frees it. */
static char *
replaced(const char *text, const char *part, const char *by)
{
	const char *at = strstr(text, part);
	char *copy;

	assert_non_null(at);
	assert_true(asprintf(&copy, "%.*s%s%s", (int)(at - text), text, by,
			at + strlen(part)) > 0);
	return copy;
}

static void
a_file_whose_registry_lies_is_moved_aside(void **state)
{
	static const struct {
		const char *part;
		const char *by;
	} lies[] = {
	    {"endpoints 3", "endpoints 99999999999"},
	    {"endpoints 3", "endpoints 18446744073709551617"},
	    {"endpoints 3", "endpoints 2"},
	    {"endpoints 3", "endpoints -1"},
	    {"endpoints 3", "endpoints 3x"},
	    {"endpoints 3", "endpoints +3"},
	    {"methods 2", "methods 1"},
	    {"methods 2", "methods 3"},
	    {"methods 2\nGET\nother\n", "methods 0\n"},
	    {"methods 2\nGET\nother\n", "methods 2\nGET\nother"},
	    {"cells", "sells"},
	};
	struct counters_header header;
	uint64_t label_sets[16];
	char *text;

	(void)state;
	sound_parts(&header, &text, label_sets);
	for (size_t i = 0; i < COUNT(lies); i++) {
		char *wrong = replaced(text, lies[i].part, lies[i].by);

		assert_lie_is_found(&header, wrong, label_sets, "its ");
		free(wrong);
	}
	free(text);
}

static void
a_full_table_without_the_overflow_label_set_is_moved_aside(void **state)
{
	struct counters_header header;
	uint64_t label_sets[16];
	char *text;

	(void)state;
	sound_parts(&header, &text, label_sets);
	for (unsigned i = 0; i < 16; i++)
		label_sets[i] =
		    counters_format_pack_label_set(HOME, GET, 200 + i);
	assert_lie_is_found(&header, text, label_sets, "label set table");
	free(text);
}

static void
damage_after_damage_keeps_each_file_under_a_name_of_its_own(void **state)
{
	char name[SUPPORT_NAME];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct counters counters;

		support_write(path, "damaged", 7);
		counters = open_quietly(&registry, 2);
		counters_close(&counters);
	}
	assert_int_equal(support_find(".damaged-", name, sizeof(name)), 3);
}

static void
a_damaged_file_that_cannot_be_moved_aside_stays_as_it_is(void **state)
{
	char name[SUPPORT_NAME];
	char *bytes;
	size_t size;

	(void)state;
	support_write(path, "damaged", 7);
	link_error = EEXIST; /* every name is taken */
	open_refused(-EEXIST);
	link_error = EPERM;
	open_refused(-EPERM);
	bytes = support_read(path, &size);
	assert_string_equal(bytes, "damaged");
	free(bytes);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
	link_error = 0;
	assert_recovers("damaged", 7, "it is cut short");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_file_whose_header_lies_about_the_rest_is_moved_aside),
	    TEST(a_file_whose_registry_lies_is_moved_aside),
	    TEST(a_full_table_without_the_overflow_label_set_is_moved_aside),
	    TEST(damage_after_damage_keeps_each_file_under_a_name_of_its_own),
	    TEST(a_damaged_file_that_cannot_be_moved_aside_stays_as_it_is),
	};

	return SUPPORT_RUN(tests);
}
