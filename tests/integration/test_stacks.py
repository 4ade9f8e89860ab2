"""A worker that crashes, hangs or is slow says where, in one line of the log."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

import conftest
from conftest import PROGRAM, ROOT, wait_for

SYMBOLIZE = ROOT / "scripts" / "symbolize"


def lines(service, message):
    return [line for line in service.log_lines() if line["msg"] == message]


def symbolize(*arguments, debug=PROGRAM, text=None):
    return subprocess.run([SYMBOLIZE, f"--debug={debug}", *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)


def functions_of(log, **arguments):
    """The functions of each stack in a log: a list for each."""
    run = symbolize(log, **arguments)
    assert run.returncode == 0 and run.stderr == "", run.stderr
    return [[frame.split()[1] for frame in stack.splitlines()[1:]] for stack in run.stdout.strip().split("\n\n")]


def test_a_crash_is_one_line_whose_stack_names_the_handler(own_service):
    service = own_service(WORKERS=2)
    answer = service.request("POST", "/crash")
    [ended] = wait_for(lambda: [line for line in lines(service, "ended") if line["reason"] == "crashed"])
    [crashed] = lines(service, "crashed")
    assert crashed["pid"] == ended["child"] and crashed["signal"] == ended["signal"] == "Aborted"
    assert crashed["request_id"] == answer.headers["X-Request-ID"]
    assert crashed["endpoint"] == "crash" and crashed["level"] == "error"
    [functions] = functions_of(service.log)
    assert "endpoint_crash" in functions and "blocking_worker_run" in functions


def test_a_handler_that_hangs_says_where_before_its_worker_is_killed(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_REQUEST_TIMEOUT=1)
    answer = service.request("POST", "/hang")
    [killed] = wait_for(lambda: lines(service, "over its deadline: killed"))
    [slow] = lines(service, "slow request")
    assert service.log_lines().index(slow) < service.log_lines().index(killed)
    assert slow["pid"] == killed["child"] and slow["milliseconds"] >= 1000
    assert slow["request_id"] == killed["request_id"] == answer.headers["X-Request-ID"]
    assert slow["endpoint"] == "hang" and slow["level"] == "warning"
    [functions] = functions_of(service.log)
    assert "endpoint_hang" in functions


def test_a_slow_request_is_logged_once_and_goes_on_as_if_nothing_had_happened(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_SLOW_LOG=0.2)
    started = time.monotonic()
    answer = service.get("/block/1")
    assert answer.status == 200 and time.monotonic() - started >= 1
    assert service.get("/block/0").status == service.get("/delay/0.5").status == 200
    [slow] = lines(service, "slow request")
    assert slow["request_id"] == answer.headers["X-Request-ID"] and 200 <= slow["milliseconds"] < 1000
    [functions] = functions_of(service.log)
    assert "endpoint_block" in functions


def test_a_request_within_its_time_is_not_logged_by_default(own_service):
    service = own_service(WORKERS=2)
    assert service.get("/block/0.5").status == 200
    assert lines(service, "slow request") == []


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGBUS, signal.SIGSYS])  # a sanitizer has the others
def test_a_signal_to_an_idle_worker_is_logged_without_a_request(own_service, number):
    service = own_service(WORKERS=2)
    victim = service.workers[0]
    os.kill(victim, number)
    [ended] = wait_for(lambda: [line for line in lines(service, "ended") if line["child"] == victim])
    [crashed] = lines(service, "crashed")
    assert crashed["pid"] == victim and crashed["signal"] == ended["signal"]
    assert crashed["endpoint"] == crashed["request_id"] == ""
    [functions] = functions_of(service.log)
    assert "nonblocking_worker_run" in functions


def test_stacks_in_the_text_format_can_be_read_too(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_LOG_FORMAT="text", FCGI_WEBAPP_REQUEST_TIMEOUT=1)
    ids = [service.request("POST", path).headers["X-Request-ID"] for path in ("/crash", "/hang")]
    crash, hang = functions_of(service.log)
    assert "endpoint_crash" in crash and "endpoint_hang" in hang
    titles = [line for line in symbolize(service.log).stdout.splitlines() if "endpoint" in line and " at " not in line]
    assert [title.rpartition(" ")[2] for title in titles] == ids


def test_a_stack_of_another_build_is_refused_in_one_line(own_service, tmp_path):
    service = own_service(WORKERS=2)
    service.request("POST", "/crash")
    [crashed] = wait_for(lambda: lines(service, "crashed"))
    run = symbolize(text=service.log.read_text(), debug="/bin/sh")
    assert run.returncode == 1 and run.stdout == ""
    assert crashed["build_id"] in run.stderr and run.stderr.count("\n") == 1
    (tmp_path / "text").write_text("no program")
    for debug in (tmp_path / "text", tmp_path / "missing"):
        run = symbolize(service.log, debug=debug)
        assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)
    assert symbolize("--no-such-option").returncode == 2


def test_lines_that_are_no_stacks_are_passed_over():
    text = '{"time" broken\n{"time":"x","msg":"crashed"}\n{"time":"x","msg":"crashed","frames":7}\nx error [1] crashed\n\udcff\n\n[1]\n'
    run = subprocess.run([SYMBOLIZE, f"--debug={PROGRAM}"], input=text.encode(errors="surrogateescape"), capture_output=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


def test_frames_that_are_not_of_the_program_are_printed_as_they_are():
    """Lines of a log can come from anywhere: no frame is an option of addr2line."""
    frames = ["fcgi-webapp+0xzz", "fcgi-webapp+0x", "fcgi-webapp+0x1+--version", f"fcgi-webapp+0x{'1' * 20}", "libc.so.6+0x8aeec", "0x0"]
    build_id = re.search(r"Build ID: (\w+)", subprocess.run(["readelf", "-n", PROGRAM], capture_output=True, text=True, check=True).stdout)[1]
    stack = {"time": "x", "msg": "crashed", "build_id": build_id, "frames": " ".join(frames)}
    run = symbolize(text=json.dumps(stack))
    assert (run.returncode, run.stderr) == (0, "")
    assert [line.split()[1:] for line in run.stdout.strip().splitlines()[1:]] == [[frame] for frame in frames]
    assert symbolize(text=json.dumps({**stack, "build_id": [1]})).returncode == 1


CRASHES = """
#include <stdint.h>

#include "http/router.h"

static volatile int zero;

static int
recurse(volatile char *below)
{
	volatile char memory[4096];

	memory[0] = *below;
	return zero ? 0 : recurse(memory) + memory[0];
}

void
endpoint_crash(const struct request *request, struct response *response)
{
	char byte = 0;

	(void)response;
	if (request->method == METHOD_POST)
		((void (*)(void))(intptr_t)zero)();
	recurse(&byte);
	zero = 1;
}
"""


@pytest.mark.own_build
def test_a_call_of_a_null_pointer_and_a_full_stack_are_logged_in_the_sandbox(tmp_path):
    tree = conftest.copy_of_the_tree(tmp_path / "tree")
    (tree / "fcgi/app/endpoints/crash.c").write_text(CRASHES)
    routes = tree / "fcgi/app/routes.def"
    routes.write_text(routes.read_text().replace('"/crash", POST,', '"/crash", POST | PUT,'))
    program = conftest.build(tree)
    with conftest.running(PROGRAM=program, WORKERS=2) as service:
        for method in ("POST", "PUT"):
            service.request(method, "/crash")
        wait_for(lambda: len([line for line in lines(service, "ended") if line["reason"] == "crashed"]) == 2)
        call, full = functions_of(service.log, debug=program)
        assert call[:2] == ["0x0", "endpoint_crash"] and "blocking_worker_run" in call
        assert set(full) == {"recurse"}
        assert [line["signal"] for line in lines(service, "crashed")] == 2 * ["Segmentation fault"]
