"""What nginx answers by itself is counted once, with its endpoint, method, code and real duration."""

import collections
import contextlib
import os
import signal
import socket
import subprocess
import threading

import pytest

from conftest import PROGRAM, ROOT, children, exists, requests_of, total, wait_for


def counted(service, *key, count=1):
    wait_for(lambda: service.requests().get(key) == count, what=lambda: f"{key} in {service.requests()}")


def waited(service, endpoint):
    return service.scrape()[("http_request_duration_seconds_sum", ("endpoint", endpoint))]


def test_a_failed_request_counts_with_the_time_that_the_client_waited(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_REQUEST_TIMEOUT=1)
    assert service.request("POST", "/hang").status == 502
    counted(service, "hang", "POST", "502")
    assert waited(service, "hang") >= 1


@pytest.mark.parametrize("data, status, key", [
    (b"GARBAGE\r\n\r\n", b"400", ("other", "other", "400")),
    (b"GET /bye HTTP/1.1\r\n\r\n", b"400", ("bye", "GET", "400")),
    (b"GET //" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414", ("other", "GET", "414")),
    (b"GET //" + b'"' * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414", ("other", "GET", "414")),
    (b"POST /bye HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", b"413", ("bye", "POST", "413")),
    (b"TRACE /bye HTTP/1.1\r\nHost: x\r\n\r\n", b"405", ("bye", "other", "405")),
    (b"POST http://x:1/status/200?a=%2f HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", b"413", ("status", "POST", "413")),
    (b"POST /%62ye HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", b"413", ("bye", "POST", "413")),
    (b"POST //\xff HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", b"413", ("other", "POST", "413")),
], ids=["no-request-line", "no-host", "uri-too-long", "long-uri-of-escapes", "body-too-large", "trace", "absolute-target", "encoded-path", "no-utf-8"])
def test_an_error_of_nginx_is_counted(own_service, data, status, key):
    service = own_service(WORKERS=2)
    assert service.raw(data).split(b" ")[1] == status
    counted(service, *key)
    assert total(service.scrape(), "http_requests_total") == total(service.scrape(), "http_request_duration_seconds_count")


def test_a_client_that_leaves_is_counted_as_499_with_the_time_it_waited(own_service):
    service = own_service(WORKERS=2)
    with contextlib.suppress(TimeoutError), socket.create_connection(("127.0.0.1", service.port), timeout=0.3) as client:
        client.sendall(b"GET /delay/30 HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(1)
    counted(service, "delay", "GET", "499")
    assert 0.25 < waited(service, "delay") < 30


def test_a_flood_of_refused_requests_is_counted_exactly(own_service):
    service = own_service(WORKERS=2)
    answers = collections.Counter()

    def flood():
        mine = collections.Counter(service.get("/crash").status for _ in range(150))
        answers.update(mine)

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answers.values()) == 1200 and answers[429] > 0
    for status, count in answers.items():
        counted(service, "crash", "GET", str(status), count=count)


def serve(service):
    with service.log.open("ab") as log:
        pool = subprocess.Popen([PROGRAM, "serve"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={
            **service.environment, "FCGI_WEBAPP_WORKERS": "2", "FCGI_WEBAPP_SOCKET": str(service.run_dir / "app.sock"),
            "FCGI_WEBAPP_METRICS_SOCKET": str(service.run_dir / "metrics.sock")})
    return pool


def test_what_nginx_answered_while_the_whole_pool_was_dead_is_counted_when_it_is_back(own_service):
    """As in the pod: nginx lives, and the pool's container starts again."""
    service = own_service(start=False)
    service.run_dir.mkdir()
    service.counters.parent.mkdir()
    service.process = subprocess.Popen([ROOT / "scripts/nginx"], env=service.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pool = serve(service)
    try:
        def is_up():
            with contextlib.suppress(OSError):
                return service.get("/health").status == 200
        wait_for(is_up)
        processes = [pid for child in children(pool.pid) for pid in (child, *children(child))]
        os.kill(pool.pid, signal.SIGKILL)
        pool.wait()
        wait_for(lambda: not any(exists(pid) for pid in processes))  # each dies with its parent, a moment later
        failed = collections.Counter(service.get("/bye").status for _ in range(100))
        assert failed == {502: 100}
        pool = serve(service)
        wait_for(is_up)
        counted(service, "bye", "GET", "502", count=100)
        pool.send_signal(signal.SIGTERM)
        assert pool.wait(20) == 0
        pool = serve(service)
        wait_for(is_up)
        assert service.requests()[("bye", "GET", "502")] == 100
    finally:
        if pool.poll() is None:
            pool.kill()
        pool.wait()


def test_what_nginx_logs_after_the_pool_at_ctrl_c_is_counted_at_the_next_start(own_service):
    service = own_service(WORKERS=2, NGINX_WORKERS=1)
    log = service.run_dir / "metrics.sock.log"
    nginx = int((service.run_dir / "nginx.pid").read_text())
    pool = [pid for pid in children(service.process.pid) if pid != nginx]
    os.kill(nginx, signal.SIGSTOP)
    os.killpg(service.process.pid, signal.SIGINT)
    wait_for(lambda: not any(exists(pid) for pid in pool))
    with log.open("a", encoding="ascii") as file:  # as nginx does for a request that is under way
        file.write("502 0.001 9 GET /bye HTTP/1.1 4bf92f3577b34da6a3ce929d0e0e4736\n")
    os.kill(nginx, signal.SIGCONT)
    assert service.process.wait(20) == 0
    service.start()
    counted(service, "bye", "GET", "502")
    os.killpg(service.process.pid, signal.SIGINT)
    assert service.process.wait(20) == 0 and not log.exists()


def test_the_file_that_nginx_writes_takes_no_space_once_it_was_counted(own_service):
    service = own_service(WORKERS=2)
    threads = [threading.Thread(target=lambda: [service.raw(b"X" * 40 + b"\r\n\r\n") for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted(service, "other", "other", "400", count=2000)
    status = os.stat(service.run_dir / "metrics.sock.log")
    assert status.st_size > 32 << 10 and status.st_blocks * 512 <= 8 << 10


def test_a_request_that_nginx_cuts_off_at_its_drain_timeout_is_a_503_in_the_log_and_counted(own_service):
    """nginx closes the connection without an answer, and has no status for it."""
    service = own_service(WORKERS=2, NGINX_WORKERS=1, FCGI_WEBAPP_DRAIN_TIMEOUT=1)
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(b"GET /delay/20 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert service.get("/bye").status == 200  # so nginx has read what came before
        os.kill(int((service.run_dir / "nginx.pid").read_text()), signal.SIGHUP)
        client.settimeout(20)
        assert client.recv(100) == b""
    counted(service, "delay", "GET", "503")
    wait_for(lambda: [line["status"] for line in service.access_log() if line["uri"] == "/delay/20"] == [503])


def test_an_answer_of_the_pool_is_counted_once_whatever_its_code(own_service):
    service = own_service(WORKERS=2)
    before = requests_of(service.scrape())
    expected = collections.Counter(before)
    for code in (200, 204, 304, 404, 429, 499, 500, 502, 503, 504):
        for _ in range(3):
            assert service.get(f"/status/{code}").status == code
            expected[("status", "GET", str(code))] += 1
    wait_for(lambda: service.requests() == dict(expected), what=lambda: f"{service.requests()} to be {dict(expected)}")
