/*
 * The counter file cannot be opened: something else is at its path, or the
 * system refuses it.
 */
#include "counter_file.h"

static void
a_directory_in_its_place_is_refused_and_left_alone(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(mkdir(path, 0755), 0);
	assert_says(open_refused(-EISDIR), "it is a directory");
	assert_int_equal(stat(path, &status), 0);
	assert_true(S_ISDIR(status.st_mode));
}

static void
a_fifo_in_its_place_is_refused_at_once_and_left_alone(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_says(open_refused(-EINVAL), "not a regular file");
	assert_int_equal(stat(path, &status), 0);
	assert_true(S_ISFIFO(status.st_mode));
}

static void
a_symbolic_link_to_elsewhere_is_refused_and_what_it_names_is_left_alone(
    void **state)
{
	const char *elsewhere = support_path("precious");
	char *bytes;
	size_t size;

	(void)state;
	support_write(elsewhere, "precious", 8);
	assert_int_equal(symlink(elsewhere, path), 0);
	assert_says(open_refused(-ELOOP), "symbolic link");
	bytes = support_read(support_path("precious"), &size);
	assert_string_equal(bytes, "precious");
	free(bytes);
}

static void
a_symbolic_link_to_nowhere_is_refused_and_makes_nothing(void **state)
{
	char name[SUPPORT_NAME];

	(void)state;
	assert_int_equal(symlink(support_path("nowhere"), path), 0);
	open_refused(-ELOOP);
	assert_int_equal(support_find("nowhere", name, sizeof(name)), 0);
}

static void
a_missing_directory_is_refused_with_advice(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s", support_path("missing/counters"));
	assert_says(open_refused(-ENOENT), "make its directory");
}

static void
a_path_that_is_too_long_is_refused(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/%0300d", support_folder, 0);
	open_refused(-ENAMETOOLONG);
	/* One that is short enough, but not with .new behind it. */
	snprintf(path, sizeof(path), "%s/%0253d", support_folder, 0);
	open_refused(-ENAMETOOLONG);
	assert_int_equal(access(path, F_OK), -1);
}

/* As a user that permissions hold for; says on stderr. */
static int
open_as_nobody(void *expected)
{
	struct counters counters;

	support_become_nobody();
	return counters_open(&counters, path, &registry, 2) == *(int *)expected
		   ? 0
		   : 1;
}

static const char *
nobody_is_refused(int error)
{
	int status;
	const char *said;

	support_capture();
	status = support_in_child(open_as_nobody, &error);
	said = support_said();
	if (status != 0)
		fail_msg("another error than %d: %s", error, said);
	return said;
}

static void
a_file_without_permission_is_refused_and_kept(void **state)
{
	struct counters counters;

	(void)state;
	make_counts();
	take_away(path, 0);
	assert_says(nobody_is_refused(-EACCES), "permission denied");
	take_away(path, 0600);
	counters = open_pool(&registry, 2);
	assert_counts(&counters);
	counters_close(&counters);
}

static void
a_read_only_directory_is_refused_with_advice(void **state)
{
	char name[SUPPORT_NAME];

	(void)state;
	take_away(support_folder, 0555);
	assert_says(nobody_is_refused(-EACCES), "permission denied");
	take_away(support_folder, 0755);
	assert_int_equal(support_find("counters", name, sizeof(name)), 0);
}

static void
a_damaged_file_in_a_read_only_directory_is_refused_and_kept(void **state)
{
	char *bytes;
	size_t size;

	(void)state;
	support_write(path, "damaged", 7);
	take_away(path, 0666);
	take_away(support_folder, 0555);
	assert_says(nobody_is_refused(-EACCES), path);
	take_away(support_folder, 0755);
	bytes = support_read(path, &size);
	assert_string_equal(bytes, "damaged");
	free(bytes);
}

static void
a_sound_file_in_a_read_only_directory_is_used(void **state)
{
	int expected = 0;

	(void)state;
	make_counts();
	take_away(path, 0666);
	take_away(support_folder, 0555);
	assert_int_equal(support_in_child(open_as_nobody, &expected), 0);
	take_away(support_folder, 0755);
}

static void
a_read_only_file_system_is_refused_with_advice(void **state)
{
	(void)state;
	support_capture(); /* opens a file of its own */
	open_error = EROFS;
	struct counters counters;
	int result = counters_open(&counters, path, &registry, 2);
	open_error = 0;
	const char *said = support_said();

	assert_int_equal(result, -EROFS);
	assert_says(said, "the file system is read-only");
	assert_says(said, path);
}

static void
a_full_disk_is_refused_at_the_start_and_leaves_nothing(void **state)
{
	char name[SUPPORT_NAME];

	(void)state;
	fallocate_error = ENOSPC;
	assert_says(open_refused(-ENOSPC), "the disk is full");
	assert_int_equal(support_find("counters", name, sizeof(name)), 0);
}

static void
a_full_disk_loses_nothing_of_a_file_to_be_taken_over(void **state)
{
	struct counters counters;
	char name[SUPPORT_NAME];
	char *before;
	char *after;
	size_t before_size;
	size_t after_size;
	int result;

	(void)state;
	before = sound_bytes(&before_size);
	fallocate_error = ENOSPC;
	support_capture();
	result = counters_open(&counters, path, &registry, 200);
	assert_says(support_said(), "the disk is full");
	assert_int_equal(result, -ENOSPC);
	after = support_read(path, &after_size);
	assert_int_equal(after_size, before_size);
	assert_memory_equal(after, before, before_size);
	free(before);
	free(after);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
	/* Some space, and the same process tries again. */
	fallocate_error = 0;
	counters = open_quietly(&registry, 200);
	assert_counts(&counters);
	counters_close(&counters);
}

static void
a_full_disk_loses_nothing_of_a_damaged_file(void **state)
{
	char *bytes;
	size_t size;

	(void)state;
	support_write(path, "damaged", 7);
	fallocate_error = ENOSPC;
	assert_says(open_refused(-ENOSPC), "the disk is full");
	bytes = support_read(path, &size);
	assert_string_equal(bytes, "damaged");
	free(bytes);
}

/* The kernel's own refusal, of a file larger than this process may make. */
static int
open_with_little_room(void *unused)
{
	const struct rlimit limit = {1024, 1024};
	struct counters counters;

	(void)unused;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	return counters_open(&counters, path, &registry, 100) == -EFBIG ? 0 : 1;
}

static void
a_file_that_the_kernel_will_not_let_grow_is_refused_and_leaves_nothing(
    void **state)
{
	char name[SUPPORT_NAME];
	int status;

	(void)state;
	support_capture();
	status = support_in_child(open_with_little_room, NULL);
	support_said();
	assert_int_equal(status, 0);
	assert_int_equal(support_find("counters", name, sizeof(name)), 0);
}

static void
the_file_lives_on_tmpfs_and_on_disk_alike(void **state)
{
	static const char *const places[] = {"/dev/shm", "/tmp"};
	struct statfs status;

	(void)state;
	assert_int_equal(statfs(places[0], &status), 0);
	assert_int_equal(status.f_type, TMPFS_MAGIC);
	for (size_t i = 0; i < COUNT(places); i++) {
		char folder[128];

		snprintf(folder, sizeof(folder),
		    "%s/" PROGRAM_NAME "-test-XXXXXX", places[i]);
		assert_non_null(mkdtemp(folder));
		snprintf(path, sizeof(path), "%s/counters", folder);
		make_counts();
		struct counters counters = open_pool(&registry, 2);
		assert_counts(&counters);
		counters_close(&counters);
		counters =
		    open_quietly(&registry, 20); /* and is replaced there */
		assert_counts(&counters);
		counters_close(&counters);
		support_remove(folder);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_directory_in_its_place_is_refused_and_left_alone),
	    TEST(a_fifo_in_its_place_is_refused_at_once_and_left_alone),
	    TEST(
		a_symbolic_link_to_elsewhere_is_refused_and_what_it_names_is_left_alone),
	    TEST(a_symbolic_link_to_nowhere_is_refused_and_makes_nothing),
	    TEST(a_missing_directory_is_refused_with_advice),
	    TEST(a_path_that_is_too_long_is_refused),
	    TEST(a_file_without_permission_is_refused_and_kept),
	    TEST(a_read_only_directory_is_refused_with_advice),
	    TEST(a_damaged_file_in_a_read_only_directory_is_refused_and_kept),
	    TEST(a_sound_file_in_a_read_only_directory_is_used),
	    TEST(a_read_only_file_system_is_refused_with_advice),
	    TEST(a_full_disk_is_refused_at_the_start_and_leaves_nothing),
	    TEST(a_full_disk_loses_nothing_of_a_file_to_be_taken_over),
	    TEST(a_full_disk_loses_nothing_of_a_damaged_file),
	    TEST(
		a_file_that_the_kernel_will_not_let_grow_is_refused_and_leaves_nothing),
	    TEST(the_file_lives_on_tmpfs_and_on_disk_alike),
	};

	return SUPPORT_RUN(tests);
}
