"""ALLOWED_HOSTS: nginx serves the names that are given, and refuses all others."""

import http.client
import socket
import subprocess

import pytest

from conftest import ROOT, Answer, wait_for


def test_other_names_are_refused_where_names_are_given(own_service):
    service = own_service(start=False, WORKERS=2, ALLOWED_HOSTS="localhost 127.0.0.1 shop.example")
    service.start()
    for host, status in (("shop.example", 200), ("localhost:1", 200), ("evil.example", 421), ("8.8.8.8", 421)):
        answer = service.get("/bye", headers={"Host": host})
        assert answer.status == status, host
    assert answer.headers["Content-Type"] == "application/problem+json" and answer.json["status"] == 421
    assert answer.headers["X-Request-ID"] == answer.json["request_id"]
    wait_for(lambda: any(line["request_id"] == answer.json["request_id"] for line in service.access_log()), what="its line in the log")
    wait_for(lambda: service.requests().get(("bye", "GET", "421")) == 2)


def test_without_names_every_host_is_served(service):
    assert service.get("/bye", headers={"Host": "any.example"}).status == 200


def is_healthy(service):
    return subprocess.run([ROOT / "scripts/entrypoint", "health"], env=service.environment, timeout=60,
                          capture_output=True).returncode == 0


@pytest.mark.parametrize("names, name", [("localhost", "localhost"), ("*.shop.example ~^api[0-9]+[.]example$", "api1.example")],
                         ids=["name", "patterns"])
def test_the_health_check_of_the_image_needs_no_name(own_service, names, name):
    service = own_service(start=False, WORKERS=2, ALLOWED_HOSTS=names)
    service.is_up = lambda: is_healthy(service)
    service.start()
    for host, status in ((name, 200), ("evil.example", 421), ("127.0.0.1", 421)):
        assert service.get("/bye", headers={"Host": host}).status == status, host


def answer_to(service, data):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall(data)
        response = http.client.HTTPResponse(client)
        response.begin()
        return Answer(response)


OTHER = b" HTTP/1.1\r\nHost: evil.example\r\n"
REFUSED = [  # the request, the status of the answer, and the endpoint and the method that are counted
    (b"GET /bye" + OTHER + b"\r\n", 421, "bye", "GET"),
    (b"GET /.problem" + OTHER + b"\r\n", 404, "other", "GET"),
    (b"POST /bye" + OTHER + b"Content-Length: 70000\r\n\r\n", 421, "bye", "POST"),
    (b"POST /hang" + OTHER + b"Content-Length: x\r\n\r\n", 400, "hang", "POST"),
    (b"TRACE /bye" + OTHER + b"\r\n", 405, "bye", "other"),
    (b"GET /live" + OTHER + b"X: " + b"x" * 20000 + b"\r\n\r\n", 400, "live", "GET"),
    # Before nginx has read a name, or without one.
    (b"GET //" + b"x" * 20000 + OTHER + b"\r\n", 414, "other", "GET"),
    (b"GET /version HTTP/1.1\r\n\r\n", 400, "version", "GET"),
    (b"GARBAGE\r\n\r\n", 400, "other", "other"),
]


def test_refused_requests_get_a_problem_with_the_security_headers_and_are_counted_once(own_service):
    service = own_service(WORKERS=2, ALLOWED_HOSTS="localhost 127.0.0.1")
    usual = service.get("/nope//").headers
    protection = {name: usual[name] for name in usual if name not in ("Connection", "Content-Length", "Date", "X-Request-ID")}
    assert protection["X-Content-Type-Options"] == "nosniff" and "Content-Security-Policy" in protection
    for data, status, *_ in REFUSED:
        answer = answer_to(service, data)
        assert answer.status == status, data[:80]
        assert {name: answer.headers[name] for name in protection} == protection, data[:80]
        assert answer.headers["X-Request-ID"] == answer.json["request_id"], data[:80]
    expected = {(endpoint, method, str(status)): 1 for _, status, endpoint, method in REFUSED} | {("other", "GET", "404"): 2}
    wait_for(lambda: {key: count for key, count in service.requests().items() if key[0] != "health"} == expected,
             what=lambda: f"{expected} in {service.requests()}")
