"""HUP brings in a new program: no request is refused, no count is lost."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import pytest

import conftest
from conftest import PROGRAM, run_program, short_folder, wait_for
from test_app_metrics import make_tree
from test_pool import load_of
from test_supervisor import asked, pool_alone

pytestmark = pytest.mark.own_build

METRIC = 'COUNTER(upgrade_tests_total, "Tests of an upgrade.")\n'
NEW_METRIC = ("upgrade_tests_total",)
STARTS = ("fcgi_webapp_starts_total",)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree with one metric more and another version."""
    folder = make_tree(tmp_path_factory.mktemp("next") / "tree", METRIC, handlers=False)
    makefile = folder / "Makefile"
    makefile.write_text(makefile.read_text().replace("\nVERSION := ", "\nVERSION := 9"))
    conftest.build(folder)
    return folder


@pytest.fixture(scope="module")
def new_program(tree):
    return shutil.copy2(tree / "build/fcgi-webapp", tree / "new")


@pytest.fixture
def place(tmp_path):
    """Where the program is that runs, and is replaced."""
    return pathlib.Path(shutil.copy2(PROGRAM, tmp_path / "fcgi-webapp"))


def replace(place, program):
    """As a package manager or a linker does: by another file of this name."""
    shutil.copy2(program, f"{place}.new")
    os.rename(f"{place}.new", place)


def version_of(program):
    return run_program("--version").stdout.split()[1] if program == PROGRAM else subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def version(service):
    return service.get("/version").json["version"]


def says(service, text):
    return [line for line in service.log_lines() if text in line["msg"]]


def open_files(pid):
    return sorted(os.readlink(f"/proc/{pid}/fd/{fd}").rstrip("0123456789[]") for fd in os.listdir(f"/proc/{pid}/fd"))


@contextlib.contextmanager
def scrapes_of(service):
    """A scrape after another while the block runs; yields their statuses."""
    statuses, stop = [], threading.Event()

    def scrape():
        while not stop.is_set():
            statuses.append(service.get("/metrics", port=service.metrics_port).status)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        thread.join()


def pool_of(service):
    """The processes of a pool that has started all of them."""
    wait_for(lambda: len(service.workers) == 2 and len(service.blocking_workers) == conftest.BLOCKING_WORKERS)
    return {service.supervisor, service.master, service.metrics_process, *service.workers, *service.blocking_workers}


def hup(service):
    os.kill(service.supervisor, signal.SIGHUP)


def test_hup_brings_in_a_changed_program_no_get_fails_and_all_are_counted(own_service, place, new_program):
    service = own_service(WORKERS=2, PROGRAM=place)
    supervisor, files = service.supervisor, open_files(service.supervisor)
    with load_of(service, connections=16, paths=("/bye", "/ready", "/block/0.002")) as (answers, failures), \
            scrapes_of(service) as scrapes:
        for count, program in enumerate((new_program, PROGRAM, new_program), 2):
            replace(place, program)
            hup(service)
            wait_for(lambda: len(says(service, "serving")) == count, 20, "another program")
            seen = answers[0]
            wait_for(lambda: answers[0] > seen + 200, 30, "more answers")
    assert failures == []
    assert set(scrapes) == {200}
    assert service.supervisor == supervisor
    assert version(service) == version_of(new_program) != version_of(PROGRAM)
    samples = service.scrape()
    assert samples[NEW_METRIC] == 0
    assert samples[STARTS] == 4
    counts = conftest.requests_of(samples)
    assert sum(counts[(endpoint, "GET", "200")] for endpoint in ("bye", "ready", "block")) == answers[0]
    assert {code for _, _, code in counts} == {"200"}  # it was never unready
    assert samples[("fcgi_worker_exits_total", ("reason", "crashed"))] == 0
    assert open_files(supervisor) == files
    assert service.stop() == 0
    assert not list(service.run_dir.glob("*.sock*"))


def test_requests_that_come_during_the_change_wait_for_the_new_program(own_service, place, new_program):
    service = own_service(WORKERS=2, PROGRAM=place)
    answers = {}

    def ask(name, *arguments, **options):
        answers[name] = service.request(*arguments, **options)

    threads = [threading.Thread(target=ask, args=("old", "GET", "/delay/1.5"))]
    threads[0].start()
    wait_for(lambda: service.get("/live").json["workers"]["connections"] >= 1)
    replace(place, new_program)
    hup(service)
    wait_for(lambda: says(service, "the program has changed"))
    wait_for(lambda: len(service.workers) <= 1, what="the end of idle workers")
    threads += [threading.Thread(target=ask, args=arguments) for arguments in (
        ("new", "GET", "/version"), ("ready", "GET", "/ready"), ("post", "POST", "/riseload?seconds=1&load=0.01"))]
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers["old"].status == 200
    assert answers["new"].json["version"] == version_of(new_program)
    assert answers["ready"].status == 200
    assert answers["post"].status == 202
    assert service.scrape()[STARTS] == 2


def test_a_request_that_waited_for_the_change_is_no_request_that_waited_for_a_worker(own_service, place, new_program):
    """Blocking workers refuse what has waited for 2 s because all were busy."""
    service = own_service(WORKERS=2, PROGRAM=place, FCGI_WEBAPP_REQUEST_TIMEOUT=4)
    slow = threading.Thread(target=lambda: service.get("/delay/3.5"))
    slow.start()
    wait_for(lambda: service.get("/live").json["workers"]["connections"] >= 1)
    replace(place, new_program)
    hup(service)
    wait_for(lambda: not service.blocking_workers, what="the end of the blocking workers")
    began = time.monotonic()
    answer = service.get("/block/0")
    slow.join()
    assert answer.status == 200
    assert time.monotonic() - began > 2


def cut(place):
    with open(PROGRAM, "rb") as program:
        pathlib.Path(f"{place}.new").write_bytes(program.read(10000))


def write(text):
    return lambda place: pathlib.Path(f"{place}.new").write_text(text)


@pytest.mark.parametrize("make", [cut, write("not a program\n"), write(""), write("#!/bin/sh\nexit 2\n"), write("#!/bin/sh\nkill -SEGV $$\n")],
                         ids=["half", "text", "empty", "refuses", "dies"])
def test_a_program_that_does_not_run_leaves_the_old_one_as_it_is(own_service, place, make):
    service = own_service(WORKERS=2, PROGRAM=place)
    pids = pool_of(service)
    make(place)
    os.chmod(f"{place}.new", 0o755)
    os.rename(f"{place}.new", place)
    hup(service)
    wait_for(lambda: says(service, "the new program does not run"))
    assert version(service) == version_of(PROGRAM)
    assert pool_of(service) == pids
    assert not says(service, "the program has changed")
    # And the next one is taken.
    replace(place, PROGRAM)
    hup(service)
    wait_for(lambda: len(says(service, "serving")) == 2)


@pytest.mark.parametrize("spoil", [lambda place: place.unlink(), lambda place: place.chmod(0o644)], ids=["gone", "not executable"])
def test_a_program_that_cannot_be_executed_leaves_the_old_one_as_it_is(own_service, place, new_program, spoil):
    service = own_service(WORKERS=2, PROGRAM=place)
    pids = pool_of(service)
    replace(place, new_program)
    spoil(place)
    hup(service)
    (line,) = wait_for(lambda: says(service, "the new program does not run"))
    assert line["program"] == str(place)
    assert pool_of(service) == pids
    assert service.get("/health").status == 200


def test_an_option_that_the_new_program_refuses_leaves_the_old_one_as_it_is(own_service, place, tmp_path):
    """The trial has the same arguments: here, a program of the future wants another number."""
    folder = short_folder()
    with pool_alone(folder, program=place) as process:
        trial = tmp_path / "trial"
        pathlib.Path(f"{place}.new").write_text(f'#!/bin/sh\necho "$@" >{trial}\nexit 2\n')
        os.chmod(f"{place}.new", 0o755)
        os.rename(f"{place}.new", place)
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "does not run" in (folder / "log").read_text())
        words = trial.read_text().split()
        assert words[0] == "serve" and "--workers=2" in words and words[-1] == "--help"
    shutil.rmtree(folder)


def test_a_program_that_is_spoiled_after_its_trial_lets_the_old_one_serve_again(own_service, place, new_program):
    service = own_service(WORKERS=2, PROGRAM=place)
    slow = threading.Thread(target=lambda: service.get("/delay/1"))
    slow.start()
    wait_for(lambda: service.get("/live").json["workers"]["connections"] >= 1)
    before = service.master
    replace(place, new_program)
    hup(service)
    wait_for(lambda: says(service, "the program has changed"))
    write("spoiled\n")(place)
    os.rename(f"{place}.new", place)
    answer = service.get("/version")
    slow.join()
    assert answer.json["version"] == version_of(PROGRAM)
    wait_for(lambda: says(service, "cannot execute"))
    assert service.master != before
    wait_for(lambda: service.scrape()[STARTS] == 1)
    replace(place, new_program)
    hup(service)
    wait_for(lambda: version(service) == version_of(new_program))


@pytest.mark.parametrize("number, answered", [(signal.SIGTERM, True), (signal.SIGINT, False)])
def test_a_signal_that_ends_it_wins_over_the_new_program(place, new_program, number, answered):
    folder = short_folder()
    with pool_alone(folder, program=place) as process, asked(folder / "app", b"/delay/1.500") as slow:
        time.sleep(0.1)  # an idle connection would be closed
        replace(place, new_program)
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "the program has changed" in (folder / "log").read_text())
        process.send_signal(number)
        assert (b'"delay"' in slow.recv(4096)) == answered
        assert process.wait(20) == 0
    assert (folder / "log").read_text().count('"serving"') == 1
    assert not list(folder.glob("app*")) and not (folder / "metrics").exists()
    shutil.rmtree(folder)


def test_many_hups_bring_in_the_last_program(own_service, place, new_program):
    service = own_service(WORKERS=2, PROGRAM=place)
    with load_of(service, connections=4, paths=("/bye",)) as (_, failures):
        for program in (new_program, PROGRAM) * 4 + (new_program,):
            replace(place, program)
            for _ in range(3):
                hup(service)
                time.sleep(0.02)
        wait_for(lambda: version(service) == version_of(new_program), 20)
        hup(service)  # whichever of them ran last, this brings in the last file
        wait_for(lambda: version(service) == version_of(new_program), 20)
    assert failures == []


def test_a_symbolic_link_to_another_version_brings_that_in(own_service, tmp_path, new_program):
    link = tmp_path / "fcgi-webapp"
    link.symlink_to(PROGRAM)
    service = own_service(WORKERS=2, PROGRAM=link)
    (tmp_path / "new").symlink_to(new_program)
    os.rename(tmp_path / "new", link)
    hup(service)
    wait_for(lambda: version(service) == version_of(new_program))


def test_a_variable_of_the_user_brings_in_no_descriptor(own_service):
    """FCGI_WEBAPP_INHERITED counts only in the process that it names."""
    service = own_service(WORKERS=2, FCGI_WEBAPP_INHERITED="1 3:1:1 4:1:1 5:1:1")
    assert service.get("/health").status == 200
