"""What an endpoint of one's own gets of a request: declared headers, cookies, the client. Through nginx and as plain CGI."""

import re
import subprocess

import pytest

import conftest

pytestmark = pytest.mark.own_build

ENDPOINT = r"""
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "http/router.h"

static void
add(struct json_object *body, const char *name, const char *value)
{
	json_object_object_add(body, name, json_object_new_string(value));
}

void
endpoint_echo(const struct request *request, struct response *response)
{
	struct json_object *body = json_object_new_object();
	char cookie[4200];
	int found = request_cookie(request, "session", cookie, sizeof(cookie));

	add(body, "authorization", request_header(request, HEADER_authorization));
	add(body, "if_none_match", request_header(request, HEADER_if_none_match));
	add(body, "host", request_header(request, HEADER_host));
	add(body, "accept", request_header(request, HEADER_accept));
	add(body, "traceparent", request_header(request, HEADER_traceparent));
	add(body, "id", request->id);
	add(body, "content_type", request->content_type);
	add(body, "client_address", request->client_address);
	add(body, "scheme", request->scheme);
	add(body, "session", cookie);
	json_object_object_add(body, "found", json_object_new_int(found));
	response_json(response, 200, body);
}
"""
HEADERS = ("authorization", "if_none_match", "host", "accept", "traceparent")


def copy_tree(folder):
    tree = folder / "tree"
    conftest.copy_of_the_tree(tree)
    return tree


def append(path, text):
    with path.open("a") as file:
        file.write(text)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    tree = copy_tree(tmp_path_factory.mktemp("requests"))
    (tree / "fcgi/app/endpoints/echo.c").write_text(ENDPOINT)
    append(tree / "fcgi/app/routes.def", 'ROUTE(echo, "/echo", GET | POST, 0)\n')
    conftest.declare_headers(tree, *HEADERS)
    return conftest.build(tree)


@pytest.fixture(scope="module")
def service(program):
    with conftest.running(PROGRAM=program, WORKERS=2) as started:
        yield started


def echo(service, **headers):
    answer = service.get("/echo", headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status == 200
    return answer.json


def test_a_declared_header_reaches_the_endpoint_and_one_that_is_not_sent_is_empty(service):
    body = echo(service, Authorization="Bearer x", If_None_Match='"1"', Accept="text/html")
    assert (body["authorization"], body["if_none_match"], body["accept"]) == ("Bearer x", '"1"', "text/html")
    assert body["host"] == f"127.0.0.1:{service.port}"
    body = echo(service)
    assert body["authorization"] == body["if_none_match"] == body["content_type"] == body["session"] == ""
    assert body["found"] == 0


def test_the_trace_of_a_request_reaches_the_endpoint(service):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = f"00-{trace}-00f067aa0ba902b7-01"
    body = echo(service, traceparent=sent)
    assert (body["traceparent"], body["id"]) == (sent, trace)
    body = echo(service)
    assert body["traceparent"] == "" and re.fullmatch("[0-9a-f]{32}", body["id"])


def test_the_client_the_scheme_and_the_content_type_are_always_there(service):
    body = service.request("POST", "/echo", body=b"{}", headers={"Content-Type": "application/json"}).json
    assert (body["client_address"], body["scheme"], body["content_type"]) == ("127.0.0.1", "http", "application/json")


def test_a_hundred_cookies_and_one_of_4_kib_arrive(service):
    token = "t" * 4096
    cookies = "; ".join(f"cookie{number}={'v' * 60}" for number in range(99))
    body = echo(service, Cookie=f"{cookies}; session={token}")
    assert (body["found"], body["session"]) == (1, token)


def test_cookies_that_are_too_large_are_a_400_and_the_largest_fit_beside_the_largest_body(service):
    answer = service.get("/echo", headers={"Cookie": "a=" + "x" * 16384})
    assert answer.status == 400 and answer.headers["Content-Type"] == "application/problem+json"
    answer = service.request("POST", "/echo", body=b"x" * 65536, headers={
        "Cookie": "a=" + "x" * 16000, "Authorization": "y" * 16000})
    assert answer.status == 200 and answer.json["authorization"] == "y" * 16000


@pytest.mark.parametrize("value, status", [(b"a\x00b", 400), (b"a\rb", None), (b"\xff\xc3\x28", 200)], ids=["NUL", "CR", "invalid UTF-8"])
def test_a_header_with_bytes_that_are_no_text_is_refused_or_made_utf_8(service, value, status):
    answer = service.raw(b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + value + b"\r\n\r\n")
    assert int(answer.split()[1]) in ([status] if status else [200, 400])
    answer.decode("utf-8", errors="strict")
    if status == 200:
        assert b'"authorization":"??("' in answer


def test_plain_cgi_reads_the_same_headers(program, tmp_path):
    run = subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, env={
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "PATH_INFO": "/echo", "REMOTE_ADDR": "192.0.2.1", "HTTPS": "on",
        "HTTP_AUTHORIZATION": "Bearer x", "HTTP_COOKIE": "session=1", "FCGI_WEBAPP_METRICS_FILE": str(tmp_path / "counters")})
    for part in ('"authorization":"Bearer x"', '"session":"1"', '"client_address":"192.0.2.1"', '"scheme":"https"', '"if_none_match":""'):
        assert part in run.stdout


@pytest.mark.parametrize("line, says", [
    ("HEADER(x)\nHEADER(x)", "it is declared twice"),
    ("HEADER(Authorization)", "a name has only a to z"),
    ("HEADER(content_type)", "read request->content_type"),
    (f"HEADER({'x' * 59})", "at most 58 characters"),
    ("HEADER()", 'header "": it has no name'),
])
def test_a_line_of_the_header_table_that_cannot_be_fails_the_build(tmp_path, line, says):
    tree = copy_tree(tmp_path)
    append(tree / "fcgi/app/headers.def", line + "\n")
    run = subprocess.run(["make", "-s", "build/check-headers", "BUILD=build"], cwd=tree, capture_output=True, text=True, timeout=60)
    number = len((tree / "fcgi/app/headers.def").read_text().splitlines())
    assert run.returncode != 0 and f"fcgi/app/headers.def:{number}: header " in run.stderr and says in run.stderr
