"""make debug and make run SANITIZE=1, in a copy of the tree: docs/application.md, "Debugging"."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

import conftest
from conftest import ROOT, children, exists, wait_for

pytestmark = pytest.mark.own_build

DEADLINE = 0.3  # of an ordinary run; make debug ignores it

# Has room for five bytes.
OVERFLOW = r"""
#include <string.h>

#include "http/router.h"

void
endpoint_bye(const struct request *request, struct response *response)
{
	char room[5];

	strncpy(room, request->query, strlen(request->query));
	response_text(response, 200, room[0] ? "{\"room\": 1}" : "{}");
}
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("debug") / "tree"
    conftest.copy_of_the_tree(folder)
    return folder


class Made(conftest.Service):
    """What make starts: its child is the script, whose child is the supervisor."""

    @property
    def supervisor(self):
        return self._child(children(self.process.pid)[0], "fcgi-webapp")

    def stop(self, number=signal.SIGINT, seconds=40):
        """Like Ctrl-C: to all processes of the terminal."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def made(tree, *arguments, **environment):
    """What `make ARGUMENTS` starts, until it is up."""
    folder = conftest.short_folder()
    service = Made(folder, **environment)
    # make knows the program, and reports go where they go by default, also if a sanitizer watches these tests.
    service.environment = {name: value for name, value in service.environment.items() if name != "PROGRAM" and not name.endswith("SAN_OPTIONS")}
    service.environment["MAKEFLAGS"] = "-j2"
    with service.log.open("wb") as log:
        service.process = subprocess.Popen(["make", *arguments], cwd=tree, env=service.environment, stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(service.is_up, 300, what=lambda: service.log.read_text())
        yield service
    finally:
        service.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def debugged(tree):
    with made(tree, "debug", FCGI_WEBAPP_REQUEST_TIMEOUT=DEADLINE, WORKERS=4) as service:
        yield service


def test_there_is_one_worker_of_each_kind(debugged):
    assert len(debugged.workers) == len(debugged.blocking_workers) == 1


def worker_of(service, route):
    return service.blocking_workers[0] if route.startswith("/block") else service.workers[0]


@pytest.mark.parametrize("route", ["/block/0.1", "/bye"])
def test_a_stopped_worker_is_not_killed_and_answers_afterwards(debugged, route):
    worker = worker_of(debugged, route)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        os.kill(worker, signal.SIGSTOP)
        try:
            answer = pool.submit(debugged.get, route)
            time.sleep(5 * DEADLINE)  # an ordinary pool kills it: test_pool.py
            assert exists(worker) and not answer.done()
        finally:
            os.kill(worker, signal.SIGCONT)
        assert answer.result().status == 200
    assert worker_of(debugged, route) == worker


@pytest.mark.parametrize("title, route", [("nonblocking worker", "/bye"), ("blocking worker", "/block/0")])
def test_the_printed_command_attaches_gdb(debugged, title, route):
    if not shutil.which("gdb"):
        pytest.skip("gdb is not installed")
    printed = re.search(rf"^  {title} +(?:sudo )?(gdb -x scripts/gdb.py -p \$\(pgrep -f '(.*)'\))$", debugged.log.read_text(), re.M)
    found = [int(pid) for pid in subprocess.run(["pgrep", "-f", printed[2]], capture_output=True, text=True).stdout.split()]
    worker = worker_of(debugged, route)
    assert worker in found
    # Another service on this machine may have such a worker, too.
    command = re.sub(r"\$\(.*\)", str(worker), printed[1])
    done = subprocess.run(["sh", "-c", f"{command} -batch -nx -ex bt -ex 'shell sleep {5 * DEADLINE}'"], cwd=ROOT, capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL)
    if "ptrace: Operation not permitted" in done.stderr:
        pytest.skip("gdb may not attach here")
    assert re.search(r"^#\d+ .* in main \(.*fcgi/main\.c:\d+$", done.stdout, re.M | re.S), done.stdout + done.stderr
    assert worker_of(debugged, route) == worker
    assert debugged.get(route).status == 200


def test_a_crash_leaves_a_core_with_a_backtrace(debugged, tree):
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if "/" in pattern or "%" in pattern or not shutil.which("gdb"):
        pytest.skip("the kernel puts cores elsewhere, or gdb is not installed")
    if "none, because of ulimit" in debugged.log.read_text():
        pytest.skip("ulimit -c allows no core")
    worker = debugged.blocking_workers[0]
    assert debugged.request("POST", "/crash").status == 502
    wait_for(lambda: worker in [line.get("child") for line in debugged.log_lines() if line.get("reason") == "crashed"])
    (core,) = tree.glob("core*")
    done = subprocess.run(["gdb", "-batch", "-nx", "-x", "scripts/gdb.py", "-ex", "backtrace full", "build/debug/fcgi-webapp", core], cwd=tree,
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert re.search(r"^#\d+ .* in endpoint_crash \(", done.stdout, re.M), done.stdout + done.stderr
    wait_for(lambda: debugged.blocking_workers not in ([], [worker]), what="another worker")


def filters_of(pid):
    """Those of the container included, if the tests run in one."""
    return re.findall(r"^Seccomp\w*:\s*\d+$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)


def test_no_worker_has_a_sandbox(debugged):
    for pid in debugged.workers + debugged.blocking_workers:
        assert filters_of(pid) == filters_of("self") != []


def test_a_report_of_a_sanitizer_goes_to_standard_error_and_ends_the_worker(tree):
    (tree / "fcgi/app/endpoints/bye.c").write_text(OVERFLOW)
    with made(tree, "run", "SANITIZE=1", WORKERS=1) as service:
        assert service.get("/bye?abcd").status == 200
        worker = service.workers[0]
        assert service.get("/bye?too-long-for-it").status == 502
        wait_for(lambda: service.workers not in ([], [worker]), what="another worker")
        text = service.log.read_text()
        assert "ERROR: AddressSanitizer: stack-buffer-overflow" in text
        assert re.search(r"^ +#\d+ .* in endpoint_bye .*bye\.c:\d+", text, re.M)
        assert {line["reason"] for line in service.log_lines() if line["msg"] == "ended"} == {"crashed"}
