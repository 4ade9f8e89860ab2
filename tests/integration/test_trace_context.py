"""W3C Trace Context through nginx: one id for a request in both logs, its headers and its errors."""

import contextlib
import http.client
import re
import socket
import subprocess

import pytest

from conftest import free_ports, running, wait_for
from test_tls import make_certificate

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"), "one")
    with running(WORKERS=2, NGINX_WORKERS=1, TLS_CERTIFICATE=certificate, TLS_KEY=key, HTTPS_PORT=free_ports(1)[0]) as started:
        yield started


def ask(service, *traceparents, method="GET", path="/bye", body=None):
    """The response to a request with these headers, each of them bytes or ASCII."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
        connection.putrequest(method, path)
        for traceparent in traceparents:
            connection.putheader("traceparent", traceparent)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        response.body = response.read()
        return response


def nginx_version():
    run = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
    return tuple(map(int, re.search(r"/(\d+)\.(\d+)", run.stderr).groups()))


def assert_is_new(answer):
    """The id is nginx's own, and the caller is told no trace."""
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert answer.headers["X-Request-ID"] != TRACE and "traceresponse" not in answer.headers


@pytest.mark.parametrize("traceparent, flags", [
    (VALID, "01"),
    (f"00-{TRACE}-{PARENT}-00", "00"),
    (f"00-{TRACE}-{PARENT}-ff", "03"),
    (f"00-{TRACE}-{PARENT}-02", "02"),
    (f"00-{TRACE}-{PARENT}-fc", "00"),
    (f"00-{TRACE}-{PARENT}-0b", "03"),
    (f"  {VALID}  ", "01"),
    (f"01-{TRACE}-{PARENT}-01", "01"),
    (f"01-{TRACE}-{PARENT}-01-", "01"),
    (f"cc-{TRACE}-{PARENT}-00-what-the-future-will-be-like", "00"),
    (f"fe-{TRACE}-{PARENT}-01-" + "x" * 8000, "01"),
])
def test_the_trace_id_of_a_valid_traceparent_is_the_id_of_the_request(service, traceparent, flags):
    answer = ask(service, traceparent)
    assert (answer.status, answer.headers["X-Request-ID"]) == (200, TRACE)
    child = re.fullmatch(f"00-{TRACE}-([0-9a-f]{{16}})-{flags}", answer.headers["traceresponse"])[1]
    assert child not in (PARENT, "0" * 16)


def test_each_request_of_a_trace_has_a_child_id_of_its_own(service):
    assert len({ask(service, VALID).headers["traceresponse"] for _ in range(20)}) == 20


@pytest.mark.parametrize("traceparent", [
    "",
    "-",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE.upper()}-{PARENT}-01",
    f"00-{TRACE}-{PARENT.upper()}-01",
    f"00-{TRACE}-{PARENT}-0A",
    f"ff-{TRACE}-{PARENT}-01",
    f"FE-{TRACE}-{PARENT}-01",
    f"0-{TRACE}-{PARENT}-01",
    f"000-{TRACE}-{PARENT}-01",
    f"00-{TRACE[1:]}-{PARENT}-01",
    f"00-{TRACE}0-{PARENT}-01",
    f"00-{TRACE}-{PARENT[1:]}-01",
    f"00-{TRACE}-{PARENT}-1",
    f"00-{TRACE}-{PARENT}",
    f"00-{TRACE}-{PARENT}-01-",
    f"00-{TRACE}-{PARENT}-01.",
    f"00-{TRACE}-{PARENT}-01-more",
    f"01-{TRACE}-{PARENT}-01.more",
    f"01-{TRACE}-{PARENT}-011",
    f"00_{TRACE}_{PARENT}_01",
    f"00-{TRACE[:-1]}g-{PARENT}-01",
    f"00-{TRACE[:-1]}\"-{PARENT}-01",
    f"00-{TRACE[:-2]}".encode() + b"\xc3\xa9" + f"-{PARENT}-01".encode(),
    b"\xff\xfe" * 1000,
    VALID * 200,
    f"{VALID}, {VALID}",
])
def test_a_traceparent_that_is_not_valid_gives_a_new_id_and_no_traceresponse(service, traceparent):
    answer = ask(service, traceparent)
    assert answer.status == 200
    assert_is_new(answer)


def test_without_a_traceparent_each_request_has_a_new_id_and_no_traceresponse(service):
    answers = [ask(service) for _ in range(5)]
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == 5
    for answer in answers:
        assert_is_new(answer)


def test_a_traceparent_over_the_limit_of_a_header_gets_a_400_with_a_new_id(service):
    answer = ask(service, f"01-{TRACE}-{PARENT}-01-" + "x" * 20000)
    assert answer.status == 400
    assert_is_new(answer)


def test_two_traceparents_give_a_new_id(service):
    """Before 1.23, nginx sees only the first header of a name."""
    other = VALID.replace("4bf9", "aaaa")
    for first, second in ((VALID, VALID), (VALID, other), ("x", VALID)):
        answer = ask(service, first, second)
        assert answer.status == 200
        if nginx_version() >= (1, 23) or first == "x":
            assert_is_new(answer)
        else:
            assert answer.headers["X-Request-ID"] == TRACE


def test_a_client_does_not_choose_the_id_by_other_headers(service):
    sent = {"X-Request-ID": TRACE, "Request-Id": TRACE, "REQUEST_ID": TRACE, "trace_flags": "01"}
    assert_is_new(service.get("/bye", headers=sent))


def test_a_trace_goes_through_tls_and_http_2(service):
    url = f"https://localhost:{service.environment['HTTPS_PORT']}/nope//"
    for version, traced in (("--http2", True), ("--http1.1", True), ("--http2", False)):
        said = subprocess.run(["curl", "-sSi", version, "--cacert", service.environment["TLS_CERTIFICATE"],
                               "-H", f"traceparent: {VALID if traced else VALID.upper()}", url],
                              check=True, capture_output=True, text=True, timeout=30).stdout
        (request_id,) = re.findall(r"(?im)^x-request-id: ([0-9a-f]{32})\s*$", said)
        assert (request_id == TRACE) == traced == bool(re.search(rf"(?im)^traceresponse: 00-{TRACE}-", said)), said
        assert f'"request_id":"{request_id}"' in said.replace(" ", "")


# --- one id everywhere ------------------------------------------------------------


def traceparent_of(number):
    """A traceparent and its trace id, which no other number has."""
    return f"00-{number:032x}-{PARENT}-01", f"{number:032x}"


ERRORS = [
    ("GET", "/nope//", None, 404),        # from the pool
    ("GET", "/delay/nan", None, 400),     # from the pool
    ("POST", "/bye", None, 405),          # from the pool
    ("TRACE", "/bye", None, 405),         # from nginx
    ("POST", "/bye", b"x" * 70000, 413),  # from nginx
    ("POST", "/crash", None, 502),        # from nginx, for a worker that died
]


def test_an_error_names_the_id_that_the_headers_and_the_access_log_have(service):
    ids = {}
    for number, (method, path, body, status) in enumerate(ERRORS):
        for traceparent, trace in (traceparent_of(number + 1), ("none", None)):
            answer = ask(service, traceparent, method=method, path=path, body=body)
            request_id = answer.headers["X-Request-ID"]
            assert answer.status == status
            assert re.search(b'"request_id": ?"' + request_id.encode() + b'"}$', answer.body), answer.body
            assert (request_id == trace) == ("traceresponse" in answer.headers) == bool(trace)
            ids[request_id] = (method, path, status)
    assert len(ids) == 2 * len(ERRORS)

    def logged():
        lines = {line["request_id"]: (line["method"], line["uri"], line["status"]) for line in service.access_log()}
        return ids.items() <= lines.items()
    wait_for(logged, what="the access log")


def test_the_log_of_the_pool_has_the_trace_id_of_a_request_that_crashed(service):
    traceparent, trace = traceparent_of(0xc0ffee)
    assert ask(service, traceparent, method="POST", path="/crash").headers["X-Request-ID"] == trace
    lines = wait_for(lambda: [line for line in service.log_lines() if line.get("request_id") == trace], what="the log of the pool")
    assert {line["msg"] for line in lines} >= {"crashing on request"}, lines


@pytest.mark.parametrize("number, path, body, status", [
    (0xb0b, "/riseload?nonsense=1", b"", 400),
    (0xbad, "/riseload", b"x" * 70000, 413),
], ids=["of the pool", "of nginx"])
def test_the_metrics_have_the_trace_id_as_an_exemplar(service, number, path, body, status):
    traceparent, trace = traceparent_of(number)
    openmetrics = {"Accept": "application/openmetrics-text;version=1.0.0"}

    def scraped():
        assert ask(service, traceparent, method="POST", path=path, body=body).status == status
        return f'trace_id="{trace}"'.encode() in service.get("/metrics", port=service.metrics_port, headers=openmetrics).body
    wait_for(scraped, what="the exemplar")


def test_what_nginx_cannot_parse_has_an_id_too(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=15) as client:
        client.sendall(f"GET / HTTP/1.1\r\ntraceparent: {VALID}\r\n\r\n".encode())  # no Host
        answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    assert " 400 " in answer.splitlines()[0]
    (request_id,) = re.findall(r"X-Request-ID: ([0-9a-f]{32})\r", answer)
    assert answer.endswith(f'"request_id":"{request_id}"}}')


def test_a_snippet_ignores_the_trace_ids_of_clients(own_service, tmp_path):
    (tmp_path / "trace.http.conf").write_text('map "" $trace_id { default $request_id; }\n')
    assert_is_new(ask(own_service(WORKERS=2, NGINX_CONF_D=tmp_path), VALID))
