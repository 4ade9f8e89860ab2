"""ALLOWED_HOSTS: nginx serves the names that are given, and refuses all others."""

import subprocess

import pytest

from conftest import ROOT, wait_for


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
