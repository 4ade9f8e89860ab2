"""Endpoints in C that use what fcgi/app/sandbox.def can grant, for test_sandbox_grants.py."""

ROUTES = """
ROUTE(try, "/try/{what}", POST, 0)
ROUTE(sqlite, "/sqlite/{mode}", POST, 0)
ROUTE(connect, "/connect/{port}", POST, 0)
ROUTE(resolve, "/resolve/{name}", POST, 0)
"""
TRY = r"""
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/router.h"

static int
write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int result = fd < 0 || write(fd, "x", 1) != 1 ||
		     pwrite(fd, "y", 1, 1) != 1 || flock(fd, LOCK_EX) < 0 ||
		     fsync(fd) < 0 || fdatasync(fd) < 0 ||
		     fallocate(fd, 0, 0, 4096) < 0 || ftruncate(fd, 2) < 0 ||
		     fchmod(fd, 0640) < 0 || futimens(fd, NULL) < 0;

	if (fd >= 0)
		close(fd);
	return result ? -1 : 0;
}

static int
change_folder(void)
{
	if (mkdir("notes/a", 0700) < 0 || write_file("notes/a/1") < 0 ||
	    rename("notes/a/1", "notes/a/2") < 0 ||
	    unlink("notes/a/2") < 0)
		return -1;
	return rmdir("notes/a");
}

static int
move_file(void)
{
	if (mkdir("notes/b", 0700) < 0 ||
	    rename("notes/own", "notes/b/own") < 0 ||
	    rename("notes/b/own", "notes/own") < 0)
		return -1;
	return rmdir("notes/b");
}

static int
read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

static void *
run(void *result)
{
	*(int *)result = getppid();
	return NULL;
}

static int
run_thread(void)
{
	pthread_t thread;
	int result = 0;

	errno = pthread_create(&thread, NULL, run, &result);
	if (errno)
		return -1;
	pthread_join(thread, NULL);
	return result == getppid() ? 0 : -1;
}

static void
change_root(int number)
{
	(void)number;
	(void)!chroot("/");
}

/* A refused call in a signal handler with a stack of its own. */
static int
handle_on_stack(void)
{
	static char memory[1 << 16];
	stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)};
	struct sigaction action = {
	    .sa_handler = change_root, .sa_flags = SA_ONSTACK};

	sigaltstack(&stack, NULL);
	sigaction(SIGVTALRM, &action, NULL);
	return raise(SIGVTALRM);
}

static int
try(const char *what)
{
	if (strcmp(what, "inside") == 0)
		return write_file("notes/note");
	if (strcmp(what, "folder") == 0)
		return change_folder();
	if (strcmp(what, "move") == 0)
		return move_file();
	if (strcmp(what, "outside") == 0)
		return write_file("elsewhere/note");
	if (strcmp(what, "above") == 0)
		return write_file("notes/../elsewhere/note");
	if (strcmp(what, "link") == 0)
		return write_file("notes/link");
	if (strcmp(what, "rename") == 0)
		return rename("notes/own", "elsewhere/own");
	if (strcmp(what, "remove") == 0)
		return unlink("elsewhere/kept");
	if (strcmp(what, "read") == 0)
		return read_file("elsewhere/kept");
	if (strcmp(what, "cut") == 0)
		return open("elsewhere/kept", O_RDONLY | O_TRUNC);
	if (strcmp(what, "thread") == 0)
		return run_thread();
	if (strcmp(what, "duplicate") == 0) /* fork() may block SIGSYS */
		return (int)syscall(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L);
	if (strcmp(what, "listen") == 0)
		return listen(0, 1);
	if (strcmp(what, "parent") == 0)
		return getppid() > 0 ? 0 : -1;
	return handle_on_stack();
}

void
endpoint_try(const struct request *request, struct response *response)
{
	int result = try(request->parameter);

	response_text(response, 200,
	    result < 0 ? strerrorname_np(errno) : "done");
}
"""
SQLITE = r"""
#include <sqlite3.h>
#include <stdio.h>

#include "http/router.h"

static int
count(void *result, int columns, char **values, char **names)
{
	(void)columns;
	(void)names;
	snprintf(result, 100, "%s", values[0]);
	return 0;
}

/* Every call opens, writes, rolls back a lot, and closes. */
void
endpoint_sqlite(const struct request *request, struct response *response)
{
	char path[100], text[1000], result[100] = "";
	char *error = NULL;
	sqlite3 *database = NULL;

	snprintf(path, sizeof(path), "notes/%s.db", request->parameter);
	snprintf(text, sizeof(text),
	    "PRAGMA journal_mode = %s; PRAGMA temp_store = MEMORY;"
	    "CREATE TABLE IF NOT EXISTS notes (text);"
	    "BEGIN IMMEDIATE; INSERT INTO notes VALUES (hex(randomblob(5000)));"
	    "COMMIT; BEGIN IMMEDIATE; WITH RECURSIVE n(i) AS "
	    "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
	    "INSERT INTO notes SELECT hex(randomblob(500)) FROM n; ROLLBACK;",
	    request->parameter);
	if (sqlite3_open(path, &database) == SQLITE_OK &&
	    sqlite3_busy_timeout(database, 10000) == SQLITE_OK &&
	    sqlite3_exec(database, text, NULL, NULL, &error) == SQLITE_OK &&
	    sqlite3_exec(database, "SELECT count(*) FROM notes; VACUUM;",
		count, result, &error) == SQLITE_OK)
		response_text(response, 200, result);
	else
		response_text(response, 500, sqlite3_errmsg(database));
	sqlite3_free(error);
	sqlite3_close(database);
}
"""
CONNECT = r"""
#include <netdb.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/router.h"

static int
dial(const char *port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found, *address;
	int fd = -1;

	if (getaddrinfo("localhost", port, &hints, &found) != 0)
		return -1;
	for (address = found; address && fd < 0; address = address->ai_next) {
		fd = socket(
		    address->ai_family, address->ai_socktype | SOCK_CLOEXEC, 0);
		if (connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

void
endpoint_connect(const struct request *request, struct response *response)
{
	struct sockaddr_storage name;
	socklen_t size = sizeof(name);
	char text[100] = "";
	int fd = dial(request->parameter);
	int waiting = 0;
	int off = 0;

	if (fd < 0 || ioctl(fd, FIONBIO, &off) < 0 ||
	    ioctl(fd, FIONREAD, &waiting) < 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &size) < 0 ||
	    getpeername(fd, (struct sockaddr *)&name, &size) < 0 ||
	    send(fd, "hello", 5, 0) != 5 || recv(fd, text, 99, 0) < 0)
		response_text(response, 500, "not connected");
	else
		response_text(response, 200, text);
	if (fd >= 0)
		close(fd);
}

void
endpoint_resolve(const struct request *request, struct response *response)
{
	struct addrinfo *found = NULL;
	int error = getaddrinfo(request->parameter, "80", NULL, &found);

	if (!error)
		freeaddrinfo(found);
	response_text(response, 200, "done");
}
"""

SOURCES = {"try": TRY, "sqlite": SQLITE, "connect": CONNECT}
