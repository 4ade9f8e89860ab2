"""Handlers may block: whoever waits for a blocked one asked for it."""

import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import threading

import pytest

from conftest import BLOCKING_WORKERS, wait_for
from test_pool import BEGIN, STDIN, load_of

QUEUE = 16  # requests for each blocking worker: the one under way, and those that wait for it


@contextlib.contextmanager
def asking(service, *paths, method="GET"):
    """Requests under way, each in a thread of its own; yields their futures."""
    with concurrent.futures.ThreadPoolExecutor(max(len(paths), 1)) as threads:
        yield [threads.submit(service.request, method, path) for path in paths]


def busy(service):
    """How many requests run in blocking workers."""
    return sum(value for key, value in service.scrape().items()
               if key[0] == "fcgi_workers" and ("kind", "blocking") in key and ("state", "busy") in key)


def waiting(service):
    """How many connections wait for a blocking worker."""
    return service.scrape()["fcgi_listen_queue_length", ("kind", "blocking")]


@contextlib.contextmanager
def blocked(service, first, *others):
    """The only blocking worker is on the first request, and the others wait for it."""
    with asking(service, first) as running:
        wait_for(lambda: busy(service) == 1)
        with asking(service, *others) as queued:
            wait_for(lambda: waiting(service) == len(others))
            yield running + queued


def is_logged(service, message):
    return any(line["msg"] == message for line in service.log_lines())


@pytest.mark.parametrize("seconds", ["0", "0.05", "1"])
def test_block_answers_after_its_time(service, seconds):
    answer = service.get("/block/" + seconds)
    assert answer.status == 200
    assert answer.json == {"block": float(seconds)}


@pytest.mark.parametrize("seconds", ["-1", "10.1", "x", "nan", "1e1", "0x1", " 1"])
def test_block_says_what_it_takes(service, seconds):
    answer = service.get("/block/" + seconds.replace(" ", "%20"))
    assert answer.status == 400
    assert answer.json["detail"] == "The time must be a number of seconds from 0 to 10."


def test_nobody_else_waits_for_a_blocked_handler(own_service):
    service = own_service(WORKERS=2)
    with asking(service, *["/block/3"] * BLOCKING_WORKERS) as blocked:
        wait_for(lambda: busy(service) == BLOCKING_WORKERS)
        with load_of(service, connections=8, paths=("/", "/bye", "/delay/0.01")) as (answers, failures):
            wait_for(lambda: answers[0] >= 200, 30)
        assert not any(request.done() for request in blocked)
        assert [request.result().status for request in blocked] == [200] * BLOCKING_WORKERS
    assert failures == []


def test_the_next_request_goes_to_a_worker_that_is_free(own_service):
    service = own_service(FCGI_WEBAPP_BLOCKING_WORKERS=3)
    with asking(service, "/block/8", "/block/8") as blocked:
        wait_for(lambda: busy(service) == 2)
        for _ in range(100):
            assert service.get("/block/0").status == 200
        assert not any(request.done() for request in blocked)
        for pid in service.blocking_workers:
            os.kill(pid, signal.SIGKILL)


def test_a_hanging_handler_ends_at_its_deadline_and_holds_up_nobody(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_REQUEST_TIMEOUT=3)
    before = service.workers
    with asking(service, "/hang", "/hang", method="POST") as hanging:
        wait_for(lambda: busy(service) == 2)
        with load_of(service, connections=8, paths=("/", "/bye")) as (answers, failures):
            wait_for(lambda: answers[0] >= 100, 30)
        assert [request.result().status for request in hanging] == [502, 502]
    assert failures == []
    assert service.workers == before
    assert service.get("/block/0").status == 200


def test_more_requests_than_may_wait_are_a_503_at_once(own_service):
    service = own_service(FCGI_WEBAPP_BLOCKING_WORKERS=1, FCGI_WEBAPP_REQUEST_TIMEOUT=60)
    with blocked(service, "/block/8", *["/block/0"] * (QUEUE - 1)) as requests:
        answer = service.get("/block/0")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.json["request_id"] == answer.headers["X-Request-ID"]
        assert answer.json["status"] == 503
        assert not any(request.done() for request in requests)
        assert [request.result().status for request in requests] == [200] * QUEUE
    wait_for(lambda: service.requests()["block", "GET", "503"] == 1)
    assert service.requests()["block", "GET", "200"] == QUEUE


def test_a_request_that_waited_too_long_is_a_503_and_reaches_no_handler(own_service):
    """Too long is half of --request-timeout, and at least 2 s."""
    service = own_service(FCGI_WEBAPP_BLOCKING_WORKERS=1, FCGI_WEBAPP_REQUEST_TIMEOUT=4)
    with asking(service, "/block/3") as blocked:
        wait_for(lambda: busy(service) == 1)
        answer = service.get("/block/0")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json["detail"] == "All workers are busy. The request waited for too long."
        assert blocked[0].result().status == 200
    assert {key[2]: count for key, count in service.requests().items() if key[0] == "block"} == {"200": 1, "503": 1}


def test_a_client_that_leaves_the_queue_is_not_served(own_service):
    service = own_service(FCGI_WEBAPP_BLOCKING_WORKERS=1)
    with asking(service, "/block/2") as blocked:
        wait_for(lambda: busy(service) == 1)
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(b"GET /block/0.5 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_for(lambda: waiting(service) == 1)
        assert blocked[0].result().status == 200
    assert service.get("/block/0").status == 200
    counts = wait_for(lambda: (found := service.requests()).get(("block", "GET", "499")) and found)
    assert {key[2]: count for key, count in counts.items() if key[0] == "block"} == {"200": 2, "499": 1}


def test_a_get_whose_blocking_worker_is_killed_is_sent_again_and_a_post_is_not(own_service):
    service = own_service(FCGI_WEBAPP_BLOCKING_WORKERS=1)
    with asking(service, "/block/1") as blocked:
        wait_for(lambda: busy(service) == 1)
        os.kill(service.blocking_workers[0], signal.SIGKILL)
        assert blocked[0].result().status == 200
    with asking(service, "/hang", method="POST") as hanging:
        wait_for(lambda: busy(service) == 1)
        os.kill(service.blocking_workers[0], signal.SIGKILL)
        assert hanging[0].result().status == 502


def test_crashes_fail_for_nobody_else(own_service):
    """As many as nginx lets through, beside what waits in the other workers."""
    service = own_service(WORKERS=2)
    crashes = []
    ending = threading.Event()

    def crash():
        while not ending.is_set():
            crashes.append(service.request("POST", "/crash").status)

    with load_of(service, connections=16, paths=("/", "/bye", "/delay/0.05")) as (answers, failures):
        thread = threading.Thread(target=crash)
        thread.start()
        wait_for(lambda: len(crashes) >= 30 and answers[0] >= 300, 60)
        ending.set()
        thread.join()
    assert failures == []
    assert set(crashes) <= {429, 502, 503}
    assert crashes.count(502) >= 10


def test_hup_replaces_blocking_workers_and_no_request_fails(own_service):
    service = own_service()
    before = service.blocking_workers
    with load_of(service, connections=8, paths=("/block/0.005",)) as (answers, failures):
        os.kill(service.supervisor, signal.SIGHUP)
        wait_for(lambda: is_logged(service, "all workers replaced"), 30)
    assert answers[0] > 0 and failures == []
    assert not set(before) & set(service.blocking_workers)


def test_a_drain_answers_what_waits_for_a_blocking_worker(own_service):
    service = own_service(FCGI_WEBAPP_BLOCKING_WORKERS=1)
    with blocked(service, "/block/2", *["/block/0.01"] * 8) as requests:
        assert service.stop(signal.SIGTERM) == 0
        assert [request.result().status for request in requests] == [200] * 9
    assert not (service.run_dir / "app.sock.blocking").exists()


def test_blocking_workers_are_recycled_after_max_requests(own_service):
    service = own_service(FCGI_WEBAPP_MAX_REQUESTS=5)
    before = service.blocking_workers
    for _ in range(30):
        assert service.get("/block/0").status == 200
    wait_for(lambda: not set(before) & set(service.blocking_workers))
    assert service.requests()["block", "GET", "200"] == 30


@pytest.mark.parametrize("name", ["app.sock", "app.sock.blocking"])
def test_both_sockets_serve_every_route(service, name):
    """For a web server that knows only one."""
    for path, expected in ((b"/bye", b"Bye"), (b"/block/0", b"block")):
        params = b"".join(bytes([len(key), len(value)]) + key + value for key, value in ((b"REQUEST_METHOD", b"GET"), (b"PATH_INFO", path)))
        header = b"\x01\x04\x00\x01" + len(params).to_bytes(2, "big") + b"\x00\x00"
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(service.run_dir / name))
            peer.sendall(BEGIN + header + params + b"\x01\x04\x00\x01\x00\x00\x00\x00" + STDIN)
            assert expected in peer.recv(65536)


def test_live_tells_the_kinds_of_workers_apart(own_service):
    service = own_service(WORKERS=3)
    with asking(service, "/block/1"):
        wait_for(lambda: busy(service) == 1)
        workers = json.loads(service.get("/live").body)["workers"]
    assert (workers["count"], workers["nonblocking"]["count"], workers["blocking"]["count"]) == (3 + BLOCKING_WORKERS, 3, BLOCKING_WORKERS)
    assert (workers["blocking"]["busy"], workers["blocking"]["idle"]) == (1, BLOCKING_WORKERS - 1)
