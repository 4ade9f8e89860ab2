"""Response heads of any size, up to the limit that nginx and the program share."""

import http.client
import re
import subprocess

import pytest

import conftest
from conftest import parse, requests_of, wait_for

pytestmark = pytest.mark.own_build

ENDPOINTS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/router.h"

/* One header, of which the request says how long its value is. */
void
endpoint_value(const struct request *request, struct response *response)
{
	size_t size = strtoul(request->parameter, NULL, 10);
	char *value = malloc(size + 1);

	memset(value, 'v', size);
	value[size] = '\0';
	response_header(response, "X-Long", value);
	response_text(response, 200, "{}");
	free(value);
}

/* As many cookies as the request says, of 1,000 bytes each. */
void
endpoint_cookies(const struct request *request, struct response *response)
{
	response_text(response, 200, "{}");
	for (long i = 0; i < atol(request->parameter); i++) {
		char value[1001];

		memset(value, 'c', sizeof(value) - 1);
		value[1000] = '\0';
		value[snprintf(value, sizeof(value), "c%ld=", i)] = 'c';
		response_header(response, "Set-Cookie", value);
	}
}

void
endpoint_silent(const struct request *request, struct response *response)
{
	(void)request;
	(void)response;
}

void
endpoint_status_of(const struct request *request, struct response *response)
{
	response_header(response, "X B", "c");
	response_header(response, "X-B", "c");
	response_text(response, atoi(request->parameter), "{}");
}
"""
ROUTES = """
ROUTE(silent, "/silent", GET, 0)
ROUTE(status_of, "/status_of/{status}", GET, NONBLOCKING)
ROUTE(value, "/value/{size}", GET, 0)
ROUTE(cookies, "/cookies/{count}", GET | POST, 0)
"""
REST_OF_HEAD = len("Content-Type: application/json\r\nContent-Length: 2\r\nX-Long: \r\n\r\n")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The program with two endpoints more."""
    tree = tmp_path_factory.mktemp("heads") / "tree"
    conftest.copy_of_the_tree(tree)
    (tree / "fcgi/app/endpoints/heads.c").write_text(ENDPOINTS)
    with (tree / "fcgi/app/routes.def").open("a") as table:
        table.write(ROUTES)
    return conftest.build(tree)


@pytest.fixture(scope="module")
def service(program):
    with conftest.running(PROGRAM=program, WORKERS=2) as started:
        yield started


@pytest.fixture(scope="module", autouse=True)
def many_headers():
    """The client of the tests takes 100 headers and lines of 64 KiB."""
    before, http.client._MAXHEADERS = http.client._MAXHEADERS, 1000
    yield
    http.client._MAXHEADERS = before


def counts(service, endpoint):
    return {key[1:]: count for key, count in service.requests().items() if key[0] == endpoint}


def problems(service):
    return [line for line in service.log_lines() if line["level"] in ("error", "warning")]


def limit_of(answer):
    """How long a head may be, as the error says."""
    return int(re.search(r"(\d+) bytes", answer.json["detail"])[1])


def test_headers_of_any_size_below_the_limit_arrive_and_count_as_200(service):
    for number, size in enumerate((1, 400, 520, 1000, 2000, 4000, 8000, 12000), 1):
        answer = service.get(f"/value/{size}")
        assert answer.status == 200 and answer.headers["X-Long"] == "v" * size
        wait_for(lambda: counts(service, "value") == {("GET", "200"): number})
    answer = service.get("/cookies/15")
    assert answer.status == 200
    assert [len(cookie) for cookie in answer.headers.get_all("Set-Cookie")] == [1000] * 15
    assert problems(service) == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_head_over_the_limit_is_a_500_that_says_so_and_is_counted_and_logged_once(service, method):
    before, logged = counts(service, "cookies").get((method, "500"), 0), len(problems(service))
    answer = service.request(method, "/cookies/40")
    assert answer.status == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Set-Cookie" not in answer.headers
    assert limit_of(answer) > 16000
    wait_for(lambda: counts(service, "cookies").get((method, "500"), 0) == before + 1)
    (line,) = problems(service)[logged:]
    assert line["level"] == "error" and line["endpoint"] == "cookies" and line["header"] == "Set-Cookie"


def test_a_head_of_just_the_limit_passes_nginx_and_one_byte_more_is_a_500(service):
    limit = limit_of(service.get("/value/100000"))
    before = counts(service, "value")
    largest = limit - REST_OF_HEAD
    answer = service.get(f"/value/{largest}")
    assert answer.status == 200 and len(answer.headers["X-Long"]) == largest and answer.body == b"{}"
    assert service.get(f"/value/{largest + 1}").status == 500
    wait_for(lambda: counts(service, "value") == {
        ("GET", "200"): before.get(("GET", "200"), 0) + 1, ("GET", "500"): before[("GET", "500")] + 1})
    assert service.request("HEAD", f"/value/{largest}").status == 200
    assert service.request("HEAD", f"/value/{largest + 1}").status == 500


def test_a_handler_that_does_not_answer_is_a_500_that_says_so_and_is_logged_once(service):
    logged = len(problems(service))
    answer = service.get("/silent")
    assert (answer.status, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert answer.json["detail"] == "The handler did not answer."
    wait_for(lambda: len(problems(service)) > logged)
    (line,) = problems(service)[logged:]
    assert (line["msg"], line["endpoint"], line["request_id"]) == ("the handler did not answer", "silent", answer.json["request_id"])


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600, 999, -1])
def test_a_status_that_no_response_ends_with_is_a_500_that_says_so(service, status):
    logged = len(problems(service))
    answer = service.get(f"/status_of/{status}")
    assert (answer.status, answer.headers["Content-Type"]) == (500, "application/problem+json")
    wait_for(lambda: len(problems(service)) > logged + 1)
    line = problems(service)[-1]
    assert (line["endpoint"], line["status"]) == ("status_of", status) and "not from 200 to 599" in line["msg"]


def test_a_header_whose_name_is_not_a_token_is_omitted_and_logged(service):
    logged = len(problems(service))
    answer = service.get("/status_of/200")
    assert (answer.status, answer.headers["X-B"], answer.body) == (200, "c", b"{}")
    wait_for(lambda: len(problems(service)) > logged)
    (line,) = problems(service)[logged:]
    assert line["header"] == "X B" and "not a token" in line["msg"]
    assert service.get("/status_of/599").status == 599


def test_plain_cgi_has_the_same_limit(program, tmp_path):
    def run(path):
        return subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, env={
            "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "PATH_INFO": path,
            "FCGI_WEBAPP_METRICS_FILE": str(tmp_path / "counters")})

    refused = run("/value/100000")
    assert refused.stdout.startswith("Status: 500") and '"header":"X-Long"' in refused.stderr
    largest = int(re.search(r"(\d+) bytes", refused.stdout)[1]) - REST_OF_HEAD
    assert run(f"/value/{largest}").stdout.startswith("Content-Type: application/json")
    assert run(f"/value/{largest + 1}").stdout.startswith("Status: 500")
    shown = subprocess.run([program, "metrics", "--metrics-file", tmp_path / "counters"], capture_output=True, text=True, check=True)
    assert requests_of(parse(shown.stdout)) == {("value", "GET", "200"): 1, ("value", "GET", "500"): 2}
