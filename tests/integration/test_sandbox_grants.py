"""What fcgi/app/sandbox.def allows, in a copy of the tree that uses it: files, a SQLite database, the network."""

import concurrent.futures
import ctypes
import shutil
import socket
import subprocess
import threading

import pytest

from conftest import ROOT, Service, short_folder, wait_for

# The counter file is no folder: the log says so, and the rest of the table counts.
GRANTS = """
ALLOW_NETWORK
ALLOW_WRITE("notes")
ALLOW_WRITE(options->metrics_file)
ALLOW_WRITE(options->cpu)
ALLOW_SYSCALL(getppid)
ALLOW_SYSCALL(read)
ALLOW_SYSCALL(sigaltstack)
"""
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
	if (mkdir("notes/a", 0700) < 0 || mkdir("notes/b", 0700) < 0 ||
	    write_file("notes/a/1") < 0 ||
	    rename("notes/a/1", "notes/a/2") < 0 ||
	    rename("notes/a/2", "notes/b/3") < 0 ||
	    unlink("notes/b/3") < 0 || rmdir("notes/a") < 0)
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
	if (strcmp(what, "fork") == 0)
		return fork();
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
# A scrape that accepts this type makes the metrics process call what only workers may.
REFUSED_TYPE = "text/refused"
DISPATCH = "metrics_process_dispatch(struct request *request, struct response *response)\n{\n"
LINK = "LDFLAGS=-Wl,--no-as-needed -lsqlite3"


def has_landlock():
    """Whether this kernel has Landlock: its version is asked for by system call 444."""
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint(1)) > 0


needs_landlock = pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")


def make(tree, *arguments):
    return subprocess.run(["make", "-s", "-j2", "build/fcgi-webapp", "BUILD=build", LINK, *arguments], cwd=tree,
                          capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp("grants") / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    for name, source in {"try": TRY, "sqlite": SQLITE, "connect": CONNECT}.items():
        (tree / f"fcgi/app/endpoints/{name}.c").write_text(source)
    with (tree / "fcgi/app/routes.def").open("a") as table:
        table.write(ROUTES)
    (tree / "fcgi/app/sandbox.def").write_text(GRANTS)
    source = tree / "fcgi/master/metrics_process.c"
    assert DISPATCH in source.read_text()
    source.write_text("#include <unistd.h>\n" + source.read_text().replace(
        DISPATCH, DISPATCH + f'if (strcmp(request->accept, "{REFUSED_TYPE}") == 0) getppid();\n'))
    built = make(tree)
    assert built.returncode == 0, built.stdout + built.stderr
    return tree


@pytest.fixture(scope="module")
def service(tree):
    folder = short_folder()
    for name in ("notes", "elsewhere"):
        (folder / name).mkdir()
    (folder / "elsewhere/kept").write_text("kept")
    (folder / "notes/own").write_text("own")
    (folder / "notes/link").symlink_to("../elsewhere/note")
    started = Service(folder, PROGRAM=tree / "build/fcgi-webapp", WORKERS=2, RES_OPTIONS="timeout:1 attempts:1")
    try:
        yield started.start()
    finally:
        started.kill()
        shutil.rmtree(folder, ignore_errors=True)


def attempt(service, path):
    """What an endpoint answers; on a failure, what the log says."""
    answer = service.request("POST", path)
    assert answer.status == 200, (answer.body, service.log_lines()[-3:])
    return answer.body.decode()


@pytest.mark.parametrize("what", ["inside", "folder", "read", "thread", "parent"])
def test_what_is_granted_works(service, what):
    assert attempt(service, f"/try/{what}") == "done"


@needs_landlock
@pytest.mark.parametrize("what", ["outside", "above", "link", "rename", "remove"])
def test_writing_outside_of_the_folder_is_an_error_and_changes_nothing(service, what):
    assert attempt(service, f"/try/{what}") == "EACCES"
    assert [path.name for path in (service.folder / "elsewhere").iterdir()] == ["kept"]
    assert (service.folder / "elsewhere/kept").read_text() == "kept"


@pytest.mark.parametrize(("what", "call"), [
    ("cut", "openat"), ("fork", "clone"), ("listen", "listen"), ("stack", "chroot")])
def test_what_no_grant_covers_ends_the_worker(service, what, call):
    logged = len(service.log_lines())
    assert service.request("POST", f"/try/{what}").status == 502
    [refusal] = wait_for(lambda: [line for line in service.log_lines()[logged:] if "sandbox" in line["msg"]])
    assert refusal["system_call"] == call and f"ALLOW_SYSCALL({call})" in refusal["msg"]
    assert (service.folder / "elsewhere/kept").read_text() == "kept"


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist", "wal"])
def test_sqlite_works_in_each_journal_mode_with_several_workers_at_once(service, mode):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: int(attempt(service, f"/sqlite/{mode}")), range(12)))
    assert max(counts) == 12
    assert int(attempt(service, f"/sqlite/{mode}")) == 13


def test_a_worker_connects_and_looks_up_names(service):
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_once, args=[server])
        thread.start()
        assert attempt(service, f"/connect/{server.getsockname()[1]}") == "hello yourself"
        thread.join()


def answer_once(server):
    client, _ = server.accept()
    with client:
        assert client.recv(5) == b"hello"
        client.sendall(b"hello yourself")


def test_a_look_up_that_fails_ends_no_worker(service):
    assert attempt(service, "/resolve/no-such-host.invalid") == "done"


def test_a_folder_that_is_none_is_logged_and_the_others_count(service):
    lines = [line["msg"] for line in service.log_lines() if "cannot allow workers to write to" in line["msg"]]
    assert lines and all(str(service.counters) in line and "name the folder" in line for line in lines)


def test_the_metrics_process_gets_no_grants_and_dies_of_a_refused_call_too(service):
    before, logged = service.metrics_process, len(service.log_lines())
    assert service.get("/metrics", port=service.metrics_port, headers={"Accept": REFUSED_TYPE}).status == 502
    [refusal] = wait_for(lambda: [line for line in service.log_lines()[logged:] if "sandbox" in line["msg"]])
    assert refusal["role"] == "metrics process" and refusal["system_call"] == "getppid"
    assert "sandbox.def" not in refusal["msg"] and "report" in refusal["msg"]
    wait_for(lambda: service.metrics_process != before)
    wait_for(lambda: service.get("/metrics", port=service.metrics_port).status == 200)


@pytest.mark.parametrize(("line", "sentence"), [
    ("ALLOW_NETWORK", "ALLOW_NETWORK: it is there twice"),
    ("ALLOW_SYSCALL(getppid)", "ALLOW_SYSCALL(getppid): it is there twice"),
    ("ALLOW_SYSCALL(sokcet)", "sokcet"),
])
def test_a_line_that_is_wrong_fails_the_build(tree, line, sentence):
    table = tree / "fcgi/app/sandbox.def"
    table.write_text(GRANTS + line + "\n")
    built = make(tree)
    table.write_text(GRANTS)
    assert built.returncode != 0
    assert "fcgi/app/sandbox.def" in built.stderr and sentence in built.stderr
