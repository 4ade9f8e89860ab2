/*
 * The counter file is opened to read it.
 */
#include "counter_file.h"

static void
reading_tells_whether_a_pool_is_alive(void **state)
{
	struct pool pool = {.registry = &registry};
	struct counters counters;
	bool alive = true;

	(void)state;
	make_counts();
	assert_int_equal(counters_read(&counters, path, &registry, &alive), 0);
	assert_false(alive);
	assert_counts(&counters);
	counters_close(&counters);
	support_start(&pool.holder, hold_pool, &pool);
	assert_int_equal(counters_read(&counters, path, &registry, &alive), 0);
	assert_true(alive);
	counters_close(&counters);
	assert_int_equal(support_finish(&pool.holder), 0);
}

/* Reading must fail with this, say so, and leave every byte as it is. */
static void
assert_unreadable(const struct registry *names, int error, const char *saying)
{
	struct counters counters;
	size_t before_size;
	size_t after_size;
	char *before = support_read(path, &before_size);
	char *after;
	char name[SUPPORT_NAME];
	bool alive;
	int result;

	support_capture();
	result = counters_read(&counters, path, names, &alive);
	assert_says(support_said(), saying);
	assert_int_equal(result, error);
	after = support_read(path, &after_size);
	assert_int_equal(after_size, before_size);
	assert_memory_equal(after, before, before_size);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
	free(before);
	free(after);
}

static void
reading_a_damaged_file_says_so_and_changes_nothing(void **state)
{
	(void)state;
	support_write(path, "", 0);
	assert_unreadable(&registry, -EBADMSG, "it is empty");
	support_write(path, "damaged", 7);
	assert_unreadable(&registry, -EBADMSG, "moves it aside");
}

static void
reading_another_versions_file_says_so_and_changes_nothing(void **state)
{
	static const char *const fewer[] = {PLAIN_NAMES, "apples_total"};
	const struct registry other = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};

	(void)state;
	make_counts();
	assert_unreadable(&other, -ESTALE, "another version wrote it");
}

static void
reading_what_is_not_there_says_so(void **state)
{
	struct counters counters;
	bool alive;
	int result;

	(void)state;
	support_capture();
	result = counters_read(&counters, path, &registry, &alive);
	assert_says(support_said(), "no such file or directory");
	assert_int_equal(result, -ENOENT);
	assert_int_equal(mkdir(path, 0755), 0);
	support_capture();
	result = counters_read(&counters, path, &registry, &alive);
	assert_says(support_said(), "it is a directory");
	assert_int_equal(result, -EISDIR);
	rmdir(path);
	assert_int_equal(mkfifo(path, 0644), 0);
	support_capture();
	result = counters_read(&counters, path, &registry, &alive);
	assert_says(support_said(), "not a regular file");
	assert_int_equal(result, -EINVAL);
}

static void
reading_needs_no_more_than_permission_to_read(void **state)
{
	struct counters counters;
	bool alive;

	(void)state;
	make_counts();
	take_away(path, 0444);
	assert_int_equal(counters_read(&counters, path, &registry, &alive), 0);
	assert_counts(&counters);
	counters_close(&counters);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(reading_tells_whether_a_pool_is_alive),
	    TEST(reading_a_damaged_file_says_so_and_changes_nothing),
	    TEST(reading_another_versions_file_says_so_and_changes_nothing),
	    TEST(reading_what_is_not_there_says_so),
	    TEST(reading_needs_no_more_than_permission_to_read),
	};

	return SUPPORT_RUN(tests);
}
