"""The routes through nginx, and what HTTP clients get wrong."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import socket
import threading
import time

import pytest

from conftest import BLOCKING_WORKERS, PROGRAM, Answer, wait_for
from descriptors import no_more_files

PROBLEM = "application/problem+json"


@pytest.mark.parametrize("path, body", [
    ("/", b'{"msg": "Hello World"}'),
    ("/health", b'{"health": "ok"}'),
    ("/ready", b'{"ready": true}'),
    ("/bye", b'{"msg": "Bye Bye"}'),
])
def test_a_route_answers_with_its_body(service, path, body):
    answer = service.get(path)
    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["Content-Type"] == "application/json"


def test_version_names_the_build(service):
    version = service.get("/version").json
    assert version["name"] == "fcgi-webapp"
    assert version["version"][0].isdigit() and version["revision"] and version["built"].endswith("Z")


def test_live_is_one_snapshot_of_everything(service):
    before = service.get("/live").json
    service.get("/bye")
    after = wait_for(lambda: (now := service.get("/live").json)["requests"]["bye"] > before["requests"]["bye"] and now)
    assert after["workers"]["count"] == 2 + BLOCKING_WORKERS
    assert after["starts"] == 1
    assert after["uptime_seconds"] >= 0
    assert after["cpu"]["limit_cores"] > 0 and after["memory"]["limit_bytes"] > 0
    assert sum(after["requests"].values()) == after["requests_total"]


# No {word} matches an empty segment, so these stay unknown whatever routes an application adds.
@pytest.mark.parametrize("path", ["/nope//", "//health", "/health//", "/status//", "/status//200", "/%2e%2e/etc/passwd", "/health%00x"])
def test_an_unknown_path_is_a_404_or_400_problem(service, path):
    answer = service.get(path)
    assert answer.status in (404, 400)
    assert answer.headers["Content-Type"] == PROBLEM
    assert answer.json["status"] == answer.status


def test_a_path_is_decoded_before_it_is_matched(service):
    assert service.get("/%68ealth").status == 200


@pytest.mark.parametrize("method, path, allow", [
    ("POST", "/health", "GET, HEAD, OPTIONS"),
    ("DELETE", "/", "GET, HEAD, OPTIONS"),
    ("BREW", "/bye", "GET, HEAD, OPTIONS"),
    ("GET", "/crash", "POST, OPTIONS"),
    ("PUT", "/riseload", "GET, HEAD, POST, DELETE, OPTIONS"),
])
def test_a_known_path_with_another_method_is_a_405_with_allow(service, method, path, allow):
    answer = service.request(method, path)
    assert answer.status == 405
    assert answer.headers["Allow"] == allow
    assert answer.headers["Content-Type"] == PROBLEM


def test_options_is_a_204_with_allow(service):
    answer = service.request("OPTIONS", "/riseload")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Allow"] == "GET, HEAD, POST, DELETE, OPTIONS"


def test_head_is_get_without_a_body(service):
    answer = service.request("HEAD", "/bye")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len('{"msg": "Bye Bye"}'))


@pytest.mark.parametrize("code", [200, 201, 204, 301, 304, 400, 404, 418, 429, 451, 500, 502, 503, 504, 599])
def test_status_answers_with_the_status_asked_for(service, code):
    before = service.requests().get(("status", "GET", str(code)), 0)
    assert service.get(f"/status/{code}").status == code
    wait_for(lambda: service.requests().get(("status", "GET", str(code)), 0) == before + 1)


@pytest.mark.parametrize("path", ["/status/99", "/status/600", "/status/abc", "/status/200.5", "/status/-1",
                                  "/status/nan", "/delay/-1", "/delay/61", "/delay/nan", "/delay/1e1", "/delay/inf"])
def test_a_value_out_of_range_is_a_400_that_says_what_is_allowed(service, path):
    answer = service.get(path)
    assert answer.status == 400
    assert "from" in answer.json["detail"]


def test_the_request_id_is_in_the_answer_and_in_the_access_log(service):
    request_id = service.get("/bye").headers["X-Request-ID"]
    assert len(request_id) == 32
    wait_for(lambda: any(line["request_id"] == request_id for line in service.access_log()), what="the log line")


@pytest.mark.parametrize("processes", [1, 4])
def test_the_lines_of_the_access_log_are_whole_in_a_slow_pipe(own_service, tmp_path, processes):
    """As a container's are. A pipe takes 4 KiB at once without a break, which matters if several processes write to it."""
    pipe = tmp_path / "access.log"
    os.mkfifo(pipe)
    log = []

    def read_slowly():
        with pipe.open("rb", buffering=0) as end:
            while some := end.read(4096):
                log.append(some)
                time.sleep(0.001)

    reader = threading.Thread(target=read_slowly, daemon=True)
    reader.start()
    service = own_service(NGINX_WORKERS=processes, ACCESS_LOG=pipe)
    requests = b"GET /bye HTTP/1.1\r\nHost: a\r\n\r\n" * 499 + b"GET /bye HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with concurrent.futures.ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda _: service.raw(requests, 60), range(16)))
    service.stop()
    reader.join()
    assert sum(answer.count(b"Bye Bye") for answer in answers) == 8000
    assert sum(json.loads(line)["uri"] == "/bye" for line in b"".join(log).splitlines()) == 8000


def test_metrics_are_not_public(service):
    assert b"http_requests_total" not in service.get("/metrics").body
    assert b"Active connections" not in service.get("/nginx_status").body
    assert service.get("/nginx_status", port=service.metrics_port).status == 200
    assert service.get("/health", port=service.metrics_port).status == 404


def test_the_server_does_not_tell_its_version(service):
    answer = service.get("/")
    assert answer.headers["Server"] == "nginx"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


# --- what clients get wrong ----------------------------------------------------------------------------------------


def status_of(answer):
    return int(answer.split()[1])


@pytest.mark.parametrize("data, status", [
    (b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40000 + b"\r\n\r\n", 400),
    (b"POST /riseload HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n", 413),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", 400),
    (b"nonsense\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505),
    (b"POST /riseload HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
    (b"POST /riseload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", 400),
], ids=["long URI", "long header", "large body", "no Host", "two Hosts", "NUL in URI", "NUL in header", "nonsense",
        "HTTP/9.9", "negative length", "broken chunk"])
def test_a_broken_request_is_a_4xx_problem(service, data, status):
    answer = service.raw(data)
    assert status_of(answer) == status
    head, _, body = answer.partition(b"\r\n\r\n")
    assert PROBLEM.encode() in head
    assert json.loads(body)["status"] == status


def test_a_body_on_a_get_does_not_disturb_the_next_request(service):
    for _ in range(20):
        assert service.request("GET", "/bye", body=b"x" * 5000).body == b'{"msg": "Bye Bye"}'
        assert service.get("/health").status == 200


def test_a_large_body_within_the_limit_is_read(service):
    for size in (1, 8191, 8192, 8193, 32768, 65535):
        assert service.request("POST", "/health", body=b"x" * size).status == 405
        assert service.request("POST", "/riseload?nonsense=1", body=b"x" * size).status == 400


def test_half_a_request_holds_up_nobody(service):
    workers = service.workers
    clients = []
    for data in (b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST /bye HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"):
        client = socket.create_connection(("127.0.0.1", service.port))
        client.sendall(data)
        clients.append(client)
    for _ in range(50):
        assert service.get("/health").status == 200
    for client in clients:
        client.close()
    assert service.workers == workers


def test_a_pipelined_pair_of_requests_gets_two_answers(service):
    answer = service.raw(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /bye HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2


# --- other websites ---------------------------------------------------------------------------------------------------

HARMFUL = [("GET", "/riseload?seconds=1&load=0.01"), ("POST", "/riseload?seconds=1&load=0.01"), ("DELETE", "/riseload"), ("POST", "/crash"),
           ("POST", "/hang"), ("GET", "/status/500"), ("GET", "/delay/0")]


@pytest.mark.parametrize("headers", [
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example"}, {"Origin": "null"},
])
@pytest.mark.parametrize("method, path", HARMFUL)
def test_a_fault_is_not_injected_for_another_website(service, method, path, headers):
    workers = service.workers
    answer = service.request(method, path, headers=headers)
    assert answer.status == 403
    assert answer.headers["Content-Type"] == "application/problem+json" and "another website" in answer.json["detail"]
    assert service.workers == workers
    assert service.scrape()[("fcgi_load_active",)] == 0


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}])
def test_a_person_and_the_own_page_may_inject_faults(service, headers):
    assert service.get("/status/418", headers=headers).status == 418
    assert service.get("/status/418", headers={"Origin": f"http://127.0.0.1:{service.port}"}).status == 418


def test_other_routes_serve_other_websites(service):
    assert service.get("/bye", headers={"Sec-Fetch-Site": "cross-site"}).status == 200


def test_head_starts_no_load(service):
    assert service.request("HEAD", "/riseload?seconds=9&load=0.01").status == 200
    assert service.scrape()[("fcgi_load_active",)] == 0


def test_a_rate_that_the_master_cannot_read_is_null_and_never_a_false_spike(own_service):
    service = own_service(WORKERS=2)

    def usage():
        return service.get("/live").json["cpu"]["usage_cores"]

    def a_second_of_readings():
        seen, now = [], time.monotonic()
        while time.monotonic() < now + 2.5:
            seen.append(usage())
        return seen

    wait_for(lambda: usage() is not None, what="the first rate")
    with no_more_files(service.master):
        wait_for(lambda: usage() is None, what="the rate to be unknown")
    wait_for(lambda: usage() is not None, what="the next rate")
    assert all(value is None or 0 <= value <= os.cpu_count() + 1 for value in a_second_of_readings())


def test_a_worker_that_can_open_nothing_says_null_and_raises_no_load(own_service):
    service = own_service(WORKERS=1)
    with contextlib.ExitStack() as stack:
        client = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        stack.callback(client.close)

        def ask(method, path):
            """Over the same connections each time: the worker need not accept one."""
            client.request(method, path)
            return Answer(client.getresponse())

        assert ask("GET", "/live").json["memory"]["limit_bytes"] > 0
        stack.enter_context(no_more_files(service.workers[0]))
        live = ask("GET", "/live").json
        assert live["cpu"]["limit_cores"] is None and live["cpu"]["limited"] is None
        assert set(live["memory"].values()) == {None}
        for query, limit in (("load=1.5", "CPU"), ("load=0&memory=50%25", "memory")):
            answer = ask("GET", "/riseload?seconds=5&" + query)  # a POST would need a fresh connection
            assert answer.status == 503
            assert answer.json["detail"] == f"The {limit} limit cannot be read: Too many open files."
        assert not ask("GET", "/live").json["load_active"]


def test_uptime_does_not_follow_the_wall_clock(own_service, tmp_path):
    """The service's wall clock alone is stepped: nothing happens to this machine's."""
    (library,) = pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    offset, program = tmp_path / "offset", tmp_path / "program"
    offset.write_text("+0")
    program.write_text(f"""#!/bin/sh
export FAKETIME_TIMESTAMP_FILE={offset} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 LD_PRELOAD={library}
export ASAN_OPTIONS="${{ASAN_OPTIONS:-}}:verify_asan_link_order=0"
exec {PROGRAM} "$@"
""")
    program.chmod(0o755)
    service = own_service(WORKERS=2, PROGRAM=program)
    before = service.get("/live").json
    offset.write_text("-3600")
    after = wait_for(lambda: (live := service.get("/live").json)["time"] < before["time"] - 3000 and live, what="the step back")
    assert before["uptime_seconds"] <= after["uptime_seconds"] < before["uptime_seconds"] + 600
    offset.write_text("+3600")
    after = wait_for(lambda: (live := service.get("/live").json)["time"] > before["time"] + 3000 and live, what="the step forward")
    assert before["uptime_seconds"] <= after["uptime_seconds"] < before["uptime_seconds"] + 600
