"""What fcgi/app/sandbox.def allows, in a copy of the tree that uses it: files, a SQLite database, the network."""

import concurrent.futures
import contextlib
import ctypes
import shutil
import socket
import subprocess
import threading

import pytest

import sandbox_endpoints
import conftest
from conftest import Service, short_folder, wait_for

pytestmark = pytest.mark.own_build

OPTIONS = """
OPTION_TEXT(notes_file, "PATH", "nothing", "the notes")
OPTION_TEXT(more_notes, "PATH", NULL, "a folder that is not set")
"""
# The counter file is no folder: the log says so, and the rest of the table counts.
GRANTS = """
ALLOW_NETWORK
ALLOW_WRITE(folder_of(options->notes_file))
ALLOW_WRITE(options->metrics_file)
ALLOW_WRITE(options->more_notes)
ALLOW_WRITE(folder_of(options->more_notes))
ALLOW_SYSCALL(getppid)
ALLOW_SYSCALL(read)
ALLOW_SYSCALL(sigaltstack)
"""
# A scrape that accepts this type makes the metrics process call what only workers may.
REFUSED_TYPE = "text/refused"
DISPATCH = "metrics_process_dispatch(struct request *request, struct response *response)\n{\n"
# Runs a program on a kernel that knows no Landlock, as far as the program can see.
WITHOUT_LANDLOCK = """#!/usr/bin/python3
import ctypes, os, sys
ALLOW, ENOSYS, CREATE_RULESET = 0x7fff0000, 0x00050000 + 38, 444
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
context = ctypes.c_void_p(seccomp.seccomp_init(ALLOW))
assert seccomp.seccomp_rule_add(context, ENOSYS, CREATE_RULESET, 0) == 0 and seccomp.seccomp_load(context) == 0
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""


def landlock_version():
    """The kernel's version of Landlock, below 1 for none: system call 444 tells it."""
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint(1))


needs_landlock = pytest.mark.skipif(landlock_version() < 1, reason="this kernel has no Landlock")
can_move = pytest.mark.skipif(landlock_version() == 1, reason="this kernel's Landlock refuses to move files between folders")


def make(tree):
    return subprocess.run(["make", "-s", "-j2", "build/fcgi-webapp", "BUILD=build", "LIBS=sqlite3"], cwd=tree,
                          capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp("grants") / "tree"
    conftest.copy_of_the_tree(tree)
    for name, source in sandbox_endpoints.SOURCES.items():
        (tree / f"fcgi/app/endpoints/{name}.c").write_text(source)
    with (tree / "fcgi/app/routes.def").open("a") as table:
        table.write(sandbox_endpoints.ROUTES)
    with (tree / "fcgi/app/options.def").open("a") as table:
        table.write(OPTIONS)
    (tree / "fcgi/app/sandbox.def").write_text(GRANTS)
    source = tree / "fcgi/master/metrics_process.c"
    assert DISPATCH in source.read_text()
    source.write_text("#include <unistd.h>\n" + source.read_text().replace(
        DISPATCH, DISPATCH + f'if (strcmp(request->accept, "{REFUSED_TYPE}") == 0) getppid();\n'))
    built = make(tree)
    assert built.returncode == 0, built.stdout + built.stderr
    return tree


@contextlib.contextmanager
def running_in_folders(program):
    """The service in a folder that it may write, beside one that it may not."""
    folder = short_folder()
    for name in ("notes", "elsewhere"):
        (folder / name).mkdir()
    (folder / "elsewhere/kept").write_text("kept")
    (folder / "notes/own").write_text("own")
    (folder / "notes/link").symlink_to("../elsewhere/note")
    service = Service(folder, PROGRAM=program, WORKERS=2, RES_OPTIONS="timeout:1 attempts:1",
                      FCGI_WEBAPP_NOTES_FILE="notes/notes.db")
    try:
        yield service.start()
    finally:
        service.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def service(tree):
    with running_in_folders(tree / "build/fcgi-webapp") as service:
        yield service


def attempt(service, path):
    """What an endpoint answers; on a failure, what the log says."""
    answer = service.request("POST", path)
    assert answer.status == 200, (answer.body, service.log_lines()[-3:])
    return answer.body.decode()


@pytest.mark.parametrize("what", ["inside", "folder", pytest.param("move", marks=can_move), "read", "thread", "parent"])
def test_what_is_granted_works(service, what):
    assert attempt(service, f"/try/{what}") == "done"


@needs_landlock
@pytest.mark.parametrize("what", ["outside", "above", "link", "rename", "remove"])
def test_writing_outside_of_the_folder_is_an_error_and_changes_nothing(service, what):
    assert attempt(service, f"/try/{what}") == "EACCES"
    assert [path.name for path in (service.folder / "elsewhere").iterdir()] == ["kept"]
    assert (service.folder / "elsewhere/kept").read_text() == "kept"


def test_without_landlock_a_worker_warns_and_writes_everywhere(tree):
    wrapper = tree / "build/without-landlock"
    wrapper.write_text(WITHOUT_LANDLOCK.format(program=str(tree / "build/fcgi-webapp")))
    wrapper.chmod(0o755)
    with running_in_folders(wrapper) as service:
        assert any("serving without Landlock" in line["msg"] for line in service.log_lines())
        assert [attempt(service, f"/try/{what}") for what in ("inside", "outside", "read")] == ["done"] * 3
        assert int(attempt(service, "/sqlite/wal")) == 1


@pytest.mark.parametrize(("what", "call"), [
    ("cut", "openat"), ("duplicate", "clone"), ("listen", "listen"), ("stack", "chroot")])
def test_what_no_grant_covers_ends_the_worker(service, what, call):
    logged = len(service.log_lines())
    assert service.request("POST", f"/try/{what}").status == 502
    [refusal] = wait_for(lambda: [line for line in service.log_lines()[logged:] if "sandbox" in line["msg"]])
    assert refusal["system_call"] == call and f"ALLOW_SYSCALL({call})" in refusal["msg"]
    assert (service.folder / "elsewhere/kept").read_text() == "kept"


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist", "wal"])
def test_sqlite_works_in_each_journal_mode_with_several_workers_at_once(service, mode):
    # While a new database changes to WAL, SQLite refuses others at once, without its busy timeout.
    assert int(attempt(service, f"/sqlite/{mode}")) == 1
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: int(attempt(service, f"/sqlite/{mode}")), range(11)))
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
    assert lines and all(str(service.counters) in line and "folder_of" in line for line in lines)


def test_the_metrics_process_gets_no_grants_and_dies_of_a_refused_call_too(service):
    before, logged = service.metrics_process, len(service.log_lines())
    assert service.get("/metrics", port=service.metrics_port, headers={"Accept": REFUSED_TYPE}).status == 502
    [refusal] = wait_for(lambda: [line for line in service.log_lines()[logged:] if "sandbox" in line["msg"]])
    assert refusal["role"] == "metrics process" and refusal["system_call"] == "getppid"
    assert "sandbox.def" not in refusal["msg"] and "report" in refusal["msg"]
    wait_for(lambda: service.metrics_process != before)
    wait_for(lambda: service.get("/metrics", port=service.metrics_port).status == 200)


@pytest.mark.parametrize(("line", "sentence"), [
    ("ALLOW_NETWORK", ": ALLOW_NETWORK: it is there twice"),
    ("ALLOW_SYSCALL(getppid)", "ALLOW_SYSCALL(getppid): it is there twice"),
    ("ALLOW_SYSCALL(sokcet)", "ALLOW_SYSCALL(sokcet): there is no such system call"),
    ("ALLOW_NETWROK\nALLOW_WRITE(\"data\")", "ALLOW_NETWROK"),
])
def test_a_line_that_is_wrong_fails_the_build(tree, line, sentence):
    table = tree / "fcgi/app/sandbox.def"
    table.write_text(GRANTS + line + "\n")
    built = make(tree)
    table.write_text(GRANTS)
    assert built.returncode != 0
    assert "fcgi/app/sandbox.def" in built.stderr and sentence in built.stderr
    assert built.stderr.count("error:") <= 1
