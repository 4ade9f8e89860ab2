/*
 * Sockets that pass from a program to the next one of the same process.
 */
#include "support.h"

#include <sys/socket.h>

#include "master/inherited.h"
#include "master/sockets.h"

#define VARIABLE PROGRAM_VARIABLES "INHERITED"

static char path[PATH_MAX];
static char metrics[PATH_MAX];
static struct options options;
static struct sockets sockets;

static int
set_up(void **state)
{
	int error = support_clear(state);

	snprintf(path, sizeof(path), "%s", support_path("app.sock"));
	snprintf(metrics, sizeof(metrics), "%s", support_path("m.sock"));
	options.socket = path;
	options.metrics_socket = metrics;
	unsetenv(VARIABLE);
	return error ? error : sockets_open(&sockets, &options);
}

static int
tear_down(void **state)
{
	close(sockets.nonblocking.fd);
	close(sockets.blocking.fd);
	close(sockets.metrics.fd);
	return support_release(state);
}

static bool
is_closed(int fd)
{
	return fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

static void
the_next_program_gets_the_same_sockets(void **state)
{
	struct sockets next = {0};

	(void)state;
	assert_int_equal(sockets_pass(&sockets), 0);
	assert_int_equal(fcntl(sockets.blocking.fd, F_GETFD), 0);
	assert_int_equal(sockets_open(&next, &options), 0);
	assert_int_equal(next.nonblocking.fd, sockets.nonblocking.fd);
	assert_int_equal(next.blocking.fd, sockets.blocking.fd);
	assert_int_equal(next.metrics.fd, sockets.metrics.fd);
	assert_string_equal(next.blocking.path, sockets.blocking.path);
	assert_memory_equal(&next.metrics.file, &sockets.metrics.file,
	    sizeof(next.metrics.file));
	/* And its own children do not. */
	assert_int_equal(fcntl(next.blocking.fd, F_GETFD), FD_CLOEXEC);
	assert_null(getenv(VARIABLE));
	sockets_unlink_all(&next);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(metrics, F_OK), -1);
}

static void
after_a_failed_execve_nothing_is_passed(void **state)
{
	(void)state;
	assert_int_equal(sockets_pass(&sockets), 0);
	sockets_unpass(&sockets);
	assert_null(getenv(VARIABLE));
	assert_int_equal(fcntl(sockets.nonblocking.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(sockets.metrics.fd, F_GETFD), FD_CLOEXEC);
}

static void
a_socket_on_another_path_is_closed_and_its_file_goes(void **state)
{
	struct options others = options;
	struct sockets next = {0};
	char other[PATH_MAX];
	const char *said;
	int error;

	(void)state;
	snprintf(other, sizeof(other), "%s", support_path("other.sock"));
	others.metrics_socket = other;
	assert_int_equal(sockets_pass(&sockets), 0);
	support_capture();
	error = sockets_open(&next, &others);
	said = support_said();
	assert_int_equal(error, 0);
	assert_says(said, "listens elsewhere");
	assert_says(said, metrics);
	assert_int_equal(next.blocking.fd, sockets.blocking.fd);
	assert_int_equal(access(metrics, F_OK), -1);
	assert_int_equal(access(other, F_OK), 0);
	close(next.metrics.fd);
}

static void
a_file_that_replaced_a_sockets_name_stays(void **state)
{
	struct inherited inherited;
	int fd;

	(void)state;
	assert_int_equal(sockets_pass(&sockets), 0);
	unlink(metrics);
	fd = open(metrics, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	support_capture();
	inherited_read(&inherited);
	inherited_close(&inherited);
	support_said();
	assert_true(is_closed(sockets.metrics.fd));
	assert_int_equal(access(metrics, F_OK), 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void
a_variable_of_another_process_is_ignored_and_removed(void **state)
{
	struct inherited inherited;
	char text[200];

	(void)state;
	snprintf(text, sizeof(text), "%d %d:1:1 %d:1:1 %d:1:1", getppid(),
	    sockets.nonblocking.fd, sockets.blocking.fd, sockets.metrics.fd);
	setenv(VARIABLE, text, 1);
	inherited_read(&inherited);
	assert_int_equal(inherited.count, 0);
	assert_null(getenv(VARIABLE));
	assert_false(is_closed(sockets.metrics.fd));
}

/* L is a listening socket, C a connected one, F a file. */
static const char *const invalid[] = {
    " ",
    " L:1:1",
    " L:1:1 L:1:1",
    " L:1:1 L:1:1 L:1:1 ",
    " L:1:1 L:1:1 L:1:1 L:1:1",
    "  L:1:1 L:1:1 L:1:1",
    " L:1:1 L:1:1 L:1",
    " L:1:1 L:1:1 L:1:1x",
    " L:1:1 L:1:1 L:-1:1",
    " L:1:1 L:1:1 +L:1:1",
    " L:1:1 L:1:1 -1:1:1",
    " L:1:1 L:1:1 2:1:1",
    " L:1:1 L:1:1 4294967299:1:1",
    " L:1:1 L:1:1 99999999999999999999999:1:1",
    " L:1:1 L:1:1 L:99999999999999999999999:1",
    " L:1:1 L:1:1 C:1:1",
    " L:1:1 L:1:1 F:1:1",
    " L:1:1 L:1:1 1000000:1:1",
};

/* Set the variable of this process, with numbers in place of letters. */
static void
set_variable(const char *pattern, int listening, int connected, int file)
{
	char text[200];
	int length = snprintf(text, sizeof(text), "%d", getpid());

	for (; *pattern; pattern++) {
		char *end = text + length;
		size_t size = sizeof(text) - (size_t)length;

		if (!strchr("LCF", *pattern))
			length += snprintf(end, size, "%c", *pattern);
		else
			length += snprintf(end, size, "%d",
			    *pattern == 'L'   ? listening
			    : *pattern == 'C' ? connected
					      : file);
	}
	setenv(VARIABLE, text, 1);
}

static void
what_does_not_name_three_listening_sockets_is_refused_as_a_whole(void **state)
{
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	for (size_t i = 0; i < COUNT(invalid); i++) {
		struct inherited inherited;
		const char *said;
		int listening = dup(sockets.metrics.fd);

		set_variable(invalid[i], listening, pair[0], file);
		support_capture();
		inherited_read(&inherited);
		said = support_said();
		assert_says(said, "does not name");
		if (inherited.count != 0)
			fail_msg("taken: %s", invalid[i]);
		assert_null(getenv(VARIABLE));
		close(listening);
	}
	close(pair[0]);
	close(pair[1]);
	close(file);
}

/* As a version with more sockets passes them. */
static void
a_variable_of_another_format_does_not_keep_the_pool_from_its_sockets(
    void **state)
{
	struct sockets next = {0};
	char text[300];
	const char *said;
	int error;

	(void)state;
	assert_int_equal(sockets_pass(&sockets), 0);
	snprintf(text, sizeof(text), "%s 99:1:1", getenv(VARIABLE));
	setenv(VARIABLE, text, 1);
	support_capture();
	error = sockets_open(&next, &options);
	said = support_said();
	assert_int_equal(error, 0);
	assert_says(said, "does not name");
	assert_null(getenv(VARIABLE));
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(access(metrics, F_OK), 0);
	sockets = next;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_next_program_gets_the_same_sockets),
	    TEST(after_a_failed_execve_nothing_is_passed),
	    TEST(a_socket_on_another_path_is_closed_and_its_file_goes),
	    TEST(a_file_that_replaced_a_sockets_name_stays),
	    TEST(a_variable_of_another_process_is_ignored_and_removed),
	    TEST(
		what_does_not_name_three_listening_sockets_is_refused_as_a_whole),
	    TEST(
		a_variable_of_another_format_does_not_keep_the_pool_from_its_sockets),
	};

	return SUPPORT_RUN(tests);
}
