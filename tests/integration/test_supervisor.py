"""Any process may die: the sockets and the counts outlive the master, and nothing stays behind."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import BLOCKING_WORKERS, PROGRAM, children, exists, name_of, short_folder, stat_of, wait_for
from test_pool import load_of


@contextlib.contextmanager
def pool_alone(folder, program=PROGRAM, **options):
    """`fcgi-webapp serve` without nginx; yields the process of the supervisor."""
    settings = {"socket": "app", "metrics-socket": "metrics", "metrics-file": "counters", **options}
    command = [program, "serve", "--workers=2"] + [f"--{name}={folder / str(value)}" if "timeout" not in name else f"--{name}={value}"
                                                   for name, value in settings.items()]
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: (folder / settings["metrics-socket"]).exists() and process.poll() is None, what=(folder / "log").read_text)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(10)


def test_ctrl_c_starts_nothing_again():
    """A terminal signals all processes at once."""
    folder = short_folder()
    with pool_alone(folder) as pool:
        wait_for(lambda: any(name_of(pid) == "metrics process" and os.getpgid(pid) == pid for pid in children(pool.pid)))
        wait_for(lambda: any(name_of(pid) == "master" for pid in children(pool.pid)))
        os.killpg(pool.pid, signal.SIGINT)
        assert pool.wait(10) == 0
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    ended = [number for number, line in enumerate(lines) if line["msg"] == "leaving at once"]
    assert len(ended) == 1 and not [line for line in lines[ended[0]:] if line["msg"] == "started"]
    shutil.rmtree(folder)


def test_a_killed_master_is_replaced_and_no_get_fails(own_service):
    service = own_service(WORKERS=2)
    supervisor = service.supervisor
    with load_of(service, connections=16) as (answers, failures):
        for _ in range(3):
            before, seen = service.master, answers[0]
            os.kill(before, signal.SIGKILL)
            wait_for(lambda: any(name_of(pid) == "master" and pid != before for pid in children(supervisor)), what="a new master")
            wait_for(lambda: answers[0] > seen + 200, 30, "more answers")
    assert failures == []
    assert service.supervisor == supervisor and service.process.poll() is None
    wait_for(lambda: len(service.workers) == 2)
    assert service.scrape()[("fcgi_webapp_starts_total",)] == 1
    assert service.scrape()[("fcgi_worker_exits_total", ("reason", "crashed"))] == 3 * (2 + BLOCKING_WORKERS)


def test_a_scrape_is_answered_while_there_is_no_master(own_service):
    service = own_service(WORKERS=2)
    os.kill(service.supervisor, signal.SIGSTOP)
    os.kill(service.master, signal.SIGKILL)
    assert service.scrape()[("fcgi_webapp_starts_total",)] == 1
    os.kill(service.supervisor, signal.SIGCONT)
    wait_for(lambda: service.get("/health").status == 200)


def test_a_stopped_master_is_replaced_at_the_deadline(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_REQUEST_TIMEOUT=1)
    before = service.master
    os.kill(before, signal.SIGSTOP)
    wait_for(lambda: not exists(before), what="the end of the stopped master")
    wait_for(lambda: len(service.workers) == 2)
    assert service.get("/health").status == 200


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_that_reopens_logs_elsewhere_ends_nothing(own_service, number):
    service = own_service(WORKERS=2)
    for pid in [service.supervisor, service.master, service.metrics_process, *service.workers]:
        before = service.all_pids()
        os.kill(pid, number)
        assert service.get("/health").status == 200
        assert set(before) & {pid} <= set(service.all_pids())
    wait_for(lambda: any("signal ignored" in line["msg"] for line in service.log_lines()))
    assert service.process.poll() is None
    assert service.scrape()[("fcgi_worker_exits_total", ("reason", "crashed"))] == 0


def test_kill_of_nginx_master_leaves_nothing_and_a_new_start_works(own_service):
    service = own_service(WORKERS=2)
    nginx = next(pid for pid in children(service.process.pid) if name_of(pid) == "nginx")
    workers = children(nginx)
    assert workers
    os.kill(nginx, signal.SIGKILL)
    assert service.process.wait(20) == 1
    wait_for(lambda: not any(exists(pid) for pid in workers), what="the end of nginx's workers")
    service.start()
    assert service.get("/health").status == 200


def request(path):
    """A GET as nginx sends it: BEGIN_REQUEST, PARAMS, STDIN."""
    params = b"\x0e\x03REQUEST_METHODGET" + bytes([9, len(path)]) + b"PATH_INFO" + path
    return (b"\1\1\0\1\0\x08\0\0\0\1\1\0\0\0\0\0" + b"\1\4\0\1\0" + bytes([len(params)]) + b"\0\0" + params
            + b"\1\4\0\1\0\0\0\0" + b"\1\5\0\1\0\0\0\0")


@contextlib.contextmanager
def asked(socket_path, path):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(socket_path))
        client.sendall(request(path))
        yield client


def test_a_draining_pool_leaves_its_successor_its_socket():
    folder = pathlib.Path(short_folder())
    with pool_alone(folder) as old, asked(folder / "app", b"/delay/0.500") as slow:
        with asked(folder / "app", b"/bye") as quick:  # accepted after the slow one
            assert b"Bye" in quick.recv(4096)
        old.terminate()
        wait_for(lambda: not (folder / "app").exists(), what="the name of the old socket to go")
        with pool_alone(folder, **{"metrics-socket": "metrics2", "metrics-file": "counters2"}):
            wait_for(lambda: (folder / "app").exists())
            assert b'"delay"' in slow.recv(4096)
            assert old.wait(20) == 0
            assert (folder / "app").exists()
            with asked(folder / "app", b"/bye") as other:
                assert b"Bye" in other.recv(4096)


def test_kept_connections_do_not_go_to_a_worker_that_died_while_the_master_was_stopped(own_service):
    service = own_service(WORKERS=4, NGINX_WORKERS=1)
    # Which worker the light connections of this nginx go to.
    with load_of(service, connections=16, paths=("/delay/0.001",)):
        sockets = wait_for(lambda: crowded(service), 60, "one worker to have most connections")
    os.kill(service.master, signal.SIGSTOP)
    wait_for(lambda: stat_of(service.master)[0] == "T")
    victim = max(sockets, key=sockets.get)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: stat_of(victim)[0] == "Z")
    with load_of(service, connections=16, paths=("/bye",)) as (answers, failures):
        wait_for(lambda: answers[0] > 2000, 20, "answers of the other workers")
    os.kill(service.master, signal.SIGCONT)
    assert failures == []


def crowded(service):
    sockets = {pid: sockets_of(pid) for pid in service.workers}
    return sockets if max(sockets.values()) > sum(sorted(sockets.values())[:-1]) else None


def sockets_of(pid):
    """How many sockets a process has. Some close while they are counted."""
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
    return count


def test_two_workers_that_reach_their_last_request_together_do_not_both_stop_accepting(own_service):
    """Each has a request that waits for long, so it stays; while it does, the other has to accept."""
    service = own_service(WORKERS=2, FCGI_WEBAPP_MAX_REQUESTS=10)
    waiting = [threading.Thread(target=lambda: service.get("/delay/6")) for _ in range(16)]
    for thread in waiting:
        thread.start()
    wait_for(lambda: service.get("/live").json["workers"]["connections"] >= 16)
    began = time.monotonic()
    while time.monotonic() < began + 4:
        assert service.get("/bye", timeout=3).status == 200
    for thread in waiting:
        thread.join()


def load_pids(service):
    return [pid for pid in children(service.master) if name_of(pid) == "load"]


def test_a_load_dies_with_the_master_and_the_next_one_can_be_raised(own_service):
    service = own_service(WORKERS=2)
    assert service.get("/riseload?seconds=60&load=0.1").status == 202
    (load,) = wait_for(lambda: load_pids(service))
    before = service.master
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: not exists(load), what="the end of the load")
    wait_for(lambda: len(service.workers) == 2 and service.scrape()[("fcgi_load_active",)] == 0)
    assert service.get("/riseload?seconds=60&load=0.1").status == 202
    wait_for(lambda: load_pids(service))


def test_a_load_that_was_raised_is_never_invisible(own_service):
    """A load's end, a DELETE and a POST come together, again and again."""
    service = own_service(WORKERS=2)
    stop = threading.Event()

    def meddle():
        while not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                service.request("DELETE", "/riseload")
                service.request("POST", "/riseload?seconds=0.02&load=0.01")
                time.sleep(0.2)  # the rate limit allows that

    threads = [threading.Thread(target=meddle) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(4)
    stop.set()
    for thread in threads:
        thread.join()
    for _ in range(5):
        wait_for(lambda: not load_pids(service) and service.scrape()[("fcgi_load_active",)] == 0)
        assert service.request("POST", "/riseload?seconds=30&load=0.01").status == 202
        (load,) = wait_for(lambda: load_pids(service))
        assert service.scrape()[("fcgi_load_active",)] == 1
        assert service.request("DELETE", "/riseload").status == 200
        wait_for(lambda: not exists(load))
