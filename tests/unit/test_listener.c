/*
 * The sockets that nginx connects to.
 */
#include "listening_socket.h"

static void
assert_refused(int error, const char *saying)
{
	int result;
	const char *said;

	support_capture();
	result = listener_open(path);
	said = support_said();
	assert_says(said, saying);
	assert_says(said, "cannot listen on");
	assert_int_equal(result, error);
}

static void
a_client_can_connect(void **state)
{
	int fd = listener_open(path);
	int client;
	int peer;

	(void)state;
	assert_true(fd >= 0);
	client = connect_to(path);
	assert_true(client >= 0);
	peer = accept(fd, NULL, NULL);
	assert_true(peer >= 0);
	close(peer);
	close(client);
	close(fd);
}

static void
accepting_does_not_block_and_nothing_leaks_into_programs(void **state)
{
	int fd = listener_open(path);

	(void)state;
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static void
the_socket_is_for_its_owner_and_group_only(void **state)
{
	mode_t masks[] = {0, 022, 077};
	struct stat status;

	(void)state;
	for (size_t i = 0; i < COUNT(masks); i++) {
		mode_t before = umask(masks[i]);
		int fd = listener_open(path);

		assert_int_equal(umask(before), masks[i]); /* left alone */
		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(status.st_mode & 07777, 0660);
		close(fd);
	}
}

static void
what_a_dead_process_left_is_replaced(void **state)
{
	int fd = listener_open(path);
	int client;

	(void)state;
	close(fd); /* and the name stays */
	assert_int_equal(connect_to(path), -1);
	fd = listener_open(path);
	assert_true(fd >= 0);
	client = connect_to(path);
	assert_true(client >= 0);
	close(client);
	close(fd);
}

static void
a_live_one_is_refused_and_goes_on(void **state)
{
	int fd = listener_open(path);
	int client;

	(void)state;
	assert_refused(-EADDRINUSE, "another process listens there");
	client = connect_to(path);
	assert_true(client >= 0);
	close(client);
	close(fd);
}

static void
a_live_one_with_a_full_queue_is_refused_too(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int clients[2];

	(void)state;
	strcpy(address.sun_path, path);
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 0), 0);
	clients[0] = connect_to(path);
	assert_refused(-EADDRINUSE, "another process listens there");
	close(clients[0]);
	close(fd);
}

static void
what_is_not_a_socket_is_refused_and_left_alone(void **state)
{
	char *bytes;
	size_t size;

	(void)state;
	support_write(path, "precious", 8);
	assert_refused(-EEXIST, "not a socket");
	bytes = support_read(path, &size);
	assert_string_equal(bytes, "precious");
	free(bytes);
	unlink(path);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_refused(-EEXIST, "not a socket");
}

static void
a_symbolic_link_is_refused_and_what_it_names_is_left_alone(void **state)
{
	struct stat status;

	(void)state;
	support_write(support_path("precious"), "precious", 8);
	assert_int_equal(symlink(support_path("precious"), path), 0);
	assert_refused(-EEXIST, "not a socket");
	assert_int_equal(stat(support_path("precious"), &status), 0);
}

static void
a_missing_directory_is_refused_with_advice(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s", support_path("missing/app.sock"));
	assert_refused(-ENOENT, "its directory does not exist");
}

static int
open_as_nobody(void *unused)
{
	(void)unused;
	support_become_nobody();
	return listener_open(path) == -EACCES ? 0 : 1;
}

static void
a_directory_that_may_not_be_written_is_refused_with_advice(void **state)
{
	int status;
	const char *said;

	(void)state;
	chmod(support_folder, 0555);
	support_capture();
	status = support_in_child(open_as_nobody, NULL);
	said = support_said();
	chmod(support_folder, 0755);
	assert_int_equal(status, 0);
	assert_says(said, "permission denied");
}

static void
a_name_of_107_bytes_fits_and_a_longer_one_is_refused(void **state)
{
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/%0*d", support_folder,
	    (int)(107 - strlen(support_folder) - 1), 0);
	assert_int_equal(strlen(path), 107);
	fd = listener_open(path);
	assert_true(fd >= 0);
	close(fd);
	strcat(path, "0");
	assert_refused(-ENAMETOOLONG, "at most 107 bytes");
}

static void
a_name_with_a_colon_is_a_name(void **state)
{
	struct stat status;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s", support_path("a:8081"));
	fd = listener_open(path);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &status), 0);
	assert_true(S_ISSOCK(status.st_mode));
	close(fd);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, set_up, support_release)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_client_can_connect),
	    TEST(accepting_does_not_block_and_nothing_leaks_into_programs),
	    TEST(the_socket_is_for_its_owner_and_group_only),
	    TEST(what_a_dead_process_left_is_replaced),
	    TEST(a_live_one_is_refused_and_goes_on),
	    TEST(a_live_one_with_a_full_queue_is_refused_too),
	    TEST(what_is_not_a_socket_is_refused_and_left_alone),
	    TEST(a_symbolic_link_is_refused_and_what_it_names_is_left_alone),
	    TEST(a_missing_directory_is_refused_with_advice),
	    TEST(a_directory_that_may_not_be_written_is_refused_with_advice),
	    TEST(a_name_of_107_bytes_fits_and_a_longer_one_is_refused),
	    TEST(a_name_with_a_colon_is_a_name),
	};

	return SUPPORT_RUN(tests);
}
