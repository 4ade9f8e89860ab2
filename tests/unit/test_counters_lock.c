/*
 * The locks of the counter file: one pool at a time, CGI processes beside it.
 */
#include "counter_file.h"

static void
a_second_pool_is_refused_with_a_message_that_says_what_to_do(void **state)
{
	struct pool pool = {.registry = &registry};
	const char *said;
	struct counters counters;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	said = open_refused(-EBUSY);
	assert_says(said, "another pool holds it");
	assert_says(said, "--metrics-file");
	assert_int_equal(support_finish(&pool.holder), 0);
	counters = open_pool(&registry, 2);
	assert_counts(&counters);
	counters_close(&counters);
}

static void
a_pool_that_was_killed_holds_nothing(void **state)
{
	struct pool pool = {.registry = &registry};
	struct counters counters;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	kill(pool.holder.pid, SIGKILL);
	counters = open_pool(&registry, 2); /* waits for it to be gone */
	assert_counts(&counters);
	counters_close(&counters);
	assert_int_equal(support_finish(&pool.holder), 1000 + SIGKILL);
}

static int
attach_and_count(void *argument)
{
	const struct registry *names = argument;
	struct counters counters;

	if (counters_attach(&counters, path, names) != 0)
		return 1;
	for (int i = 0; i < 10000; i++)
		counters_add_shared(
		    counters_values(&counters, SLOT_CGI), APPLES, 1);
	counters_close(&counters);
	return 0;
}

static void *
changeable(const struct registry *names)
{
	return (void *)(uintptr_t)names;
}

static void
cgi_processes_without_a_pool_make_the_file_and_count_exactly(void **state)
{
	pid_t children[PROCESSES];
	struct counters counters;
	char name[SUPPORT_NAME];

	(void)state;
	for (int i = 0; i < PROCESSES; i++)
		children[i] =
		    support_fork(attach_and_count, changeable(&registry));
	for (int i = 0; i < PROCESSES; i++)
		assert_int_equal(support_wait(children[i]), 0);
	assert_int_equal(support_find("counters", name, sizeof(name)), 1);
	counters = open_quietly(&registry, 2);
	assert_int_equal(counters_sum(&counters, APPLES), PROCESSES * 10000);
	counters_close(&counters);
}

static void
cgi_processes_beside_a_pool_count_in_the_same_file(void **state)
{
	struct pool pool = {.registry = &registry};
	pid_t children[PROCESSES];
	struct counters counters;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	for (int i = 0; i < PROCESSES; i++)
		children[i] =
		    support_fork(attach_and_count, changeable(&registry));
	for (int i = 0; i < PROCESSES; i++)
		assert_int_equal(support_wait(children[i]), 0);
	assert_int_equal(support_finish(&pool.holder), 0);
	counters = open_pool(&registry, 2);
	assert_int_equal(
	    counters_sum(&counters, APPLES), SLOT_SUM + PROCESSES * 10000);
	counters_close(&counters);
}

static void
attaching_does_not_disturb_what_the_pool_says_of_itself(void **state)
{
	struct counters pool = open_pool(&registry, 2);
	struct counters counters;

	(void)state;
	scoreboard_entry(&pool.scoreboard, SLOT_WORKER)->pid = 4711;
	assert_int_equal(counters_attach(&counters, path, &registry), 0);
	assert_int_equal(
	    scoreboard_entry(&counters.scoreboard, SLOT_WORKER)->pid, 4711);
	counters_close(&counters);
	counters_close(&pool);
}

static void
a_cgi_process_of_another_version_beside_a_pool_is_told(void **state)
{
	static const char *const fewer[] = {PLAIN_NAMES, "apples_total"};
	const struct registry other = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};
	struct pool pool = {.registry = &registry};
	struct counters counters;
	int result;

	(void)state;
	make_counts();
	support_start(&pool.holder, hold_pool, &pool);
	support_capture();
	result = counters_attach(&counters, path, &other);
	assert_says(support_said(), "another version wrote it");
	assert_int_equal(result, -ESTALE);
	assert_int_equal(support_finish(&pool.holder), 0);
	counters = open_pool(&registry, 2); /* and nothing was changed */
	assert_counts(&counters);
	counters_close(&counters);
}

static void
a_cgi_process_of_another_version_without_a_pool_takes_the_file_over(
    void **state)
{
	static const char *const fewer[] = {PLAIN_NAMES, "apples_total"};
	const struct registry other = {
	    fewer, COUNT(fewer), endpoints, 3, methods, 2, 16};
	struct counters counters;

	(void)state;
	make_counts();
	support_capture();
	assert_int_equal(counters_attach(&counters, path, &other), 0);
	assert_says(support_said(), "taken over");
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM);
	counters_close(&counters);
}

static void
a_cgi_process_repairs_a_damaged_file_where_no_pool_does(void **state)
{
	struct counters counters;
	char name[SUPPORT_NAME];

	(void)state;
	support_write(path, "damaged", 7);
	support_capture();
	assert_int_equal(counters_attach(&counters, path, &registry), 0);
	assert_says(support_said(), "moved aside");
	assert_int_equal(counters_sum(&counters, REGISTRY_STORE_RECOVERIES), 1);
	counters_close(&counters);
	assert_int_equal(support_find(".damaged-", name, sizeof(name)), 1);
}

static void
a_cgi_process_is_refused_what_a_pool_is_refused(void **state)
{
	struct counters counters;
	int result;

	(void)state;
	assert_int_equal(mkdir(path, 0755), 0);
	support_capture();
	result = counters_attach(&counters, path, &registry);
	assert_says(support_said(), "it is a directory");
	assert_int_equal(result, -EISDIR);
	snprintf(path, sizeof(path), "%s", support_path("missing/counters"));
	support_capture();
	result = counters_attach(&counters, path, &registry);
	assert_says(support_said(), "make its directory");
	assert_int_equal(result, -ENOENT);
}

/* A CGI process that counts, waits, counts again and leaves. */
static int
attach_and_wait(void *argument)
{
	struct pool *pool = argument;
	struct counters counters;

	if (counters_attach(&counters, path, pool->registry) != 0)
		return 1;
	counters_add_shared(counters_values(&counters, SLOT_CGI), APPLES, 5);
	support_hold(&pool->holder);
	counters_add_shared(counters_values(&counters, SLOT_CGI), APPLES, 7);
	counters_close(&counters);
	return 0;
}

/* A pool with more workers, so that it has to replace the file. */
static int
open_large(void *unused)
{
	struct counters counters;

	(void)unused;
	if (counters_open(&counters, path, &registry, 20) != 0)
		return 1;
	counters_close(&counters);
	return 0;
}

/* Whether someone waits for a lock on this inode (proc_locks(5)). */
static bool
is_waited_for(ino_t inode)
{
	FILE *locks = fopen("/proc/locks", "re");
	char wanted[32];
	char line[256];
	bool found = false;

	assert_non_null(locks);
	snprintf(wanted, sizeof(wanted), ":%lu ", (unsigned long)inode);
	while (!found && fgets(line, sizeof(line), locks))
		found = strstr(line, "-> OFDLCK") && strstr(line, wanted);
	fclose(locks);
	return found;
}

static void
a_file_is_not_replaced_while_a_cgi_process_counts_in_it(void **state)
{
	struct pool cgi = {.registry = &registry};
	struct stat status;
	struct counters counters;
	pid_t pool;

	(void)state;
	make_counts();
	assert_int_equal(stat(path, &status), 0);
	support_start(&cgi.holder, attach_and_wait, &cgi);
	support_capture();
	pool = support_fork(open_large, NULL);
	while (
	    !is_waited_for(status.st_ino) && waitpid(pool, NULL, WNOHANG) == 0)
		sched_yield();
	assert_int_equal(support_finish(&cgi.holder), 0);
	assert_int_equal(support_wait(pool), 0);
	assert_says(support_said(), "waiting for CGI processes");
	counters = open_pool(&registry, 2);
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM + 5 + 7);
	counters_close(&counters);
}

static void
a_cgi_process_that_takes_its_time_does_not_keep_a_pool_from_starting(
    void **state)
{
	struct pool cgi = {.registry = &registry};
	struct counters counters;

	(void)state;
	make_counts();
	support_start(&cgi.holder, attach_and_wait, &cgi);
	counters = open_pool(&registry, 2); /* nothing is to be replaced */
	assert_int_equal(support_finish(&cgi.holder), 0);
	assert_int_equal(counters_sum(&counters, APPLES), SLOT_SUM + 5 + 7);
	counters_close(&counters);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_second_pool_is_refused_with_a_message_that_says_what_to_do),
	    TEST(a_pool_that_was_killed_holds_nothing),
	    TEST(cgi_processes_without_a_pool_make_the_file_and_count_exactly),
	    TEST(cgi_processes_beside_a_pool_count_in_the_same_file),
	    TEST(attaching_does_not_disturb_what_the_pool_says_of_itself),
	    TEST(a_cgi_process_of_another_version_beside_a_pool_is_told),
	    TEST(
		a_cgi_process_of_another_version_without_a_pool_takes_the_file_over),
	    TEST(a_cgi_process_repairs_a_damaged_file_where_no_pool_does),
	    TEST(a_cgi_process_is_refused_what_a_pool_is_refused),
	    TEST(a_file_is_not_replaced_while_a_cgi_process_counts_in_it),
	    TEST(
		a_cgi_process_that_takes_its_time_does_not_keep_a_pool_from_starting),
	};

	return SUPPORT_RUN(tests);
}
