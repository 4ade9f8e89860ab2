"""How busy the workers are: exact at each scrape, and never taken back."""

import contextlib
import http.client
import os
import random
import signal
import threading
import time

import pytest

from conftest import exists, parse, run_program, wait_for

KINDS = ("nonblocking", "blocking")
EXITS = "fcgi_worker_exits_total"


def busy(samples, kind="blocking"):
    return samples[("fcgi_worker_busy_seconds_total", ("kind", kind))]


def durations(samples, *endpoints):
    return sum(samples[("http_request_duration_seconds_sum", ("endpoint", endpoint))] for endpoint in endpoints)


def count_of(samples, endpoint):
    return samples[("http_request_duration_seconds_count", ("endpoint", endpoint))]


def exactly(value):
    """Nanoseconds are exact in a scrape, but not as a float."""
    return pytest.approx(value, rel=0, abs=1e-6)


@contextlib.contextmanager
def asking(service, path, method="GET"):
    """A request under way, for a test that does not need its answer."""
    def ask():
        with contextlib.suppress(OSError, http.client.HTTPException):
            service.request(method, path)
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


def scrape_when_busy(service, at_least=0.05):
    """A scrape that shows a request under way, longer than it needs."""
    before = busy(service.scrape())
    return wait_for(lambda: (now := service.scrape()) and busy(now) >= before + at_least and now)


def test_the_utilisation_of_a_known_duty_cycle_is_exact(own_service):
    """Two clients keep two of four workers busy for a part of the time that they know."""
    service = own_service(WORKERS=2)
    before, waited = service.scrape(), []

    def client():
        for _ in range(10):
            began = time.monotonic()
            assert service.get("/block/0.1").status == 200
            waited.append(time.monotonic() - began)
            time.sleep(0.05)

    clients = [threading.Thread(target=client) for _ in range(2)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    after = wait_for(lambda: (now := service.scrape()) and count_of(now, "block") == 20 and now)
    spent = busy(after) - busy(before)
    assert spent == exactly(durations(after, "block") - durations(before, "block"))
    assert 20 * 0.1 <= spent <= sum(waited)


def test_a_request_under_way_is_in_each_scrape(own_service):
    service = own_service(WORKERS=2)

    def timed_scrape():
        began = time.monotonic()
        samples = service.scrape()
        return began, busy(samples), time.monotonic()

    with asking(service, "/block/3"):
        scrape_when_busy(service)
        scrapes = [timed_scrape() for _ in range(8)]
        assert service.scrape()[("fcgi_workers", ("kind", "blocking"), ("state", "busy"))] == 1
        for (began, before, ended), (later_began, after, later_ended) in zip(scrapes, scrapes[1:]):
            assert later_began - ended <= after - before <= later_ended - began
    samples = wait_for(lambda: (now := service.scrape()) and count_of(now, "block") and now)
    assert busy(samples) == exactly(durations(samples, "block"))


def test_the_time_of_a_delayed_response_is_nobodys(own_service):
    service = own_service(WORKERS=2)
    before = service.scrape()
    threads = [threading.Thread(target=service.get, args=("/delay/1",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = wait_for(lambda: (now := service.scrape()) and count_of(now, "delay") == 20 and now)
    assert durations(after, "delay") >= 20
    assert 0 < busy(after, "nonblocking") - busy(before, "nonblocking") < 2
    assert busy(after) == busy(before)


def test_the_time_of_a_request_that_died_with_its_worker_is_counted(own_service):
    """nginx sends a GET again, which the next worker answers."""
    service = own_service(WORKERS=2, FCGI_WEBAPP_BLOCKING_WORKERS=1)
    began = time.monotonic()
    with asking(service, "/block/2"):
        shown = busy(scrape_when_busy(service))
        os.kill(service.blocking_workers[0], signal.SIGKILL)
        samples = wait_for(lambda: (now := service.scrape())[(EXITS, ("reason", "crashed"))] == 1 and now)
        ended = time.monotonic()
        assert busy(samples) >= shown
    samples = wait_for(lambda: (now := service.scrape()) and count_of(now, "block") and now)
    assert shown <= busy(samples) - durations(samples, "block") <= ended - began


def test_a_request_over_its_deadline_counts_until_its_worker_is_killed(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_REQUEST_TIMEOUT=1)
    began = time.monotonic()
    with asking(service, "/hang", method="POST"):
        samples = wait_for(lambda: (now := service.scrape())[(EXITS, ("reason", "deadline"))] == 1 and now)
    assert 1 <= busy(samples) <= time.monotonic() - began


def test_a_worker_that_is_stopped_on_a_request_is_busy(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_BLOCKING_WORKERS=1)
    with asking(service, "/block/3"):
        scrape_when_busy(service)
        os.kill(service.blocking_workers[0], signal.SIGSTOP)
        scrape_when_busy(service, 0.5)
        os.kill(service.blocking_workers[0], signal.SIGCONT)
    samples = wait_for(lambda: (now := service.scrape()) and count_of(now, "block") and now)
    assert 0.5 <= busy(samples) == exactly(durations(samples, "block"))


def test_what_was_shown_outlives_the_whole_pool(own_service):
    service = own_service(WORKERS=2)
    with asking(service, "/block/10"):
        shown = busy(scrape_when_busy(service))
        pids = service.all_pids()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # the script's own short sleeps
                os.kill(pid, signal.SIGKILL)
        service.process.wait()
        wait_for(lambda: not any(exists(pid) for pid in pids))
    for _ in range(2):  # without a pool nothing is under way
        run = run_program("metrics", "--metrics-file", str(service.counters))
        assert busy(parse(run.stdout)) == shown
    service.start()
    assert busy(service.scrape()) == shown
    before = service.scrape()
    assert service.get("/block/0.1").status == 200
    after = wait_for(lambda: (now := service.scrape()) and count_of(now, "block") and now)
    assert busy(after) - busy(before) == exactly(durations(after, "block"))
    assert service.stop() == 0
    run = run_program("metrics", "--metrics-file", str(service.counters))
    assert busy(parse(run.stdout)) == busy(after)
    service.start()
    assert busy(service.scrape()) == busy(after)


def test_the_command_shows_a_request_under_way_beside_a_pool(own_service):
    service = own_service(WORKERS=2)

    def printed():
        return busy(parse(run_program("metrics", "--metrics-file", str(service.counters)).stdout))

    with asking(service, "/block/1"):
        shown = busy(scrape_when_busy(service))
        first = wait_for(lambda: (now := printed()) > shown and now)  # it reads a copy of the scoreboard
        assert busy(service.scrape()) >= first


def test_no_scrape_shows_less_than_the_one_before_whatever_is_killed(own_service):
    service = own_service(WORKERS=3)
    stop, problems, scrapes, dice = threading.Event(), [], [0], random.Random(20)

    def load(number):
        paths = ["/block/0.02", "/", "/delay/0.01", "/block/0.1", "/bye"]
        while not stop.is_set():
            number += 1
            with contextlib.suppress(OSError, http.client.HTTPException):
                service.get(paths[number % len(paths)])

    def scrape():
        last = dict.fromkeys(KINDS, 0.0)
        while not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):  # 502: it is being replaced
                samples = service.scrape()
                scrapes[0] += 1
                problems.extend((kind, last[kind], busy(samples, kind)) for kind in KINDS if busy(samples, kind) < last[kind])
                last = {kind: busy(samples, kind) for kind in KINDS}

    threads = [threading.Thread(target=load, args=(number,)) for number in range(6)] + [threading.Thread(target=scrape)]
    for thread in threads:
        thread.start()
    for number in range(30):
        seen = scrapes[0]
        victim = {9: "metrics_process", 19: "master", 29: "master"}.get(number)
        workers = service.workers + service.blocking_workers
        with contextlib.suppress(ProcessLookupError):
            os.kill(getattr(service, victim) if victim else dice.choice(workers or [service.master]), signal.SIGKILL)
        wait_for(lambda: scrapes[0] >= seen + 5, 30, "scrapes")
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []
    samples = service.scrape()
    assert busy(samples) >= durations(samples, "block")
    assert busy(samples, "nonblocking") > 0
