"""response_file(): files of any size, in a copy of the tree whose application answers with them."""

import collections
import contextlib
import hashlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

import conftest
from conftest import Service, name_of, requests_of, short_folder, total, wait_for

pytestmark = pytest.mark.own_build

SIZE = 64 << 20

ENDPOINT = r"""
#include <string.h>

#include "http/response_file.h"
#include "http/router.h"

void
endpoint_file(const struct request *request, struct response *response)
{
	response_file(response, "video/mp4", request->parameter);
	response_header(response, "Content-Disposition", "attachment");
	response_header(response, "Cache-Control", "private");
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    tree = tmp_path_factory.mktemp("file") / "tree"
    conftest.copy_of_the_tree(tree)
    (tree / "fcgi/app/endpoints/file.c").write_text(ENDPOINT)
    with (tree / "fcgi/app/routes.def").open("a") as table:
        table.write('ROUTE(file, "/file/{name}", GET | POST, NONBLOCKING | BODY(128K))\n')
    return conftest.build(tree)


@pytest.fixture(scope="module")
def content():
    return os.urandom(1 << 20) * (SIZE >> 20)


@contextlib.contextmanager
def serving(program, content):
    folder = short_folder()
    (folder / "files").mkdir()
    (folder / "files/large.mp4").write_bytes(content)
    (folder / "files/a b%.txt").write_text("small")
    (folder / "files/link").symlink_to("/etc/passwd")
    (folder / "secret").write_text("secret")
    started = Service(folder, PROGRAM=program, WORKERS=2, FILES_DIR=folder / "files")
    try:
        yield started.start()
    finally:
        started.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def service(program, content):
    with serving(program, content) as started:
        yield started


@pytest.fixture(scope="module")
def counting(program, content):
    """A service of which each test waits for its counts, so that the next one finds none of them."""
    with serving(program, content) as started:
        wait_for(lambda: total(started.scrape(), "http_request_queue_seconds_count") == started.requests().get(("health", "GET", "200")))
        yield started


def grown(before, after, name, endpoint):
    key = (name, ("endpoint", endpoint))
    return after[key] - before.get(key, 0)


def peak_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1])


def test_a_file_of_64_mib_arrives_whole_and_no_process_holds_it(service, content):
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("GET", "/file/large.mp4")
    answer = connection.getresponse()
    received = hashlib.sha256()
    while chunk := answer.read(1 << 16):
        received.update(chunk)
    connection.close()
    assert received.digest() == hashlib.sha256(content).digest()
    assert answer.headers["Content-Length"] == str(SIZE)
    processes = [pid for pid in service.all_pids() if name_of(pid) in ("nginx", "worker")]
    assert len(processes) >= 4
    assert max(map(peak_kib, processes)) < 32 << 10


def test_the_handler_s_type_and_headers_and_those_of_the_file_are_sent(service, content):
    answer = service.request("HEAD", "/file/large.mp4")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "video/mp4")
    assert (answer.headers["Content-Disposition"], answer.headers["Cache-Control"]) == ("attachment", "private")
    assert "X-Accel-Redirect" not in answer.headers and answer.headers["X-Content-Type-Options"] == "nosniff"
    again = service.get("/file/large.mp4", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    part = service.get("/file/large.mp4", headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, content[1000:2000])


def test_a_post_can_be_answered_with_a_file_whose_name_has_any_bytes(service):
    assert service.request("POST", "/file/a%20b%25.txt").body == b"small"


def test_a_large_body_can_be_answered_with_a_file(service):
    """As large as the route allows: the location of the files has no limit of its own."""
    assert service.request("POST", "/file/a%20b%25.txt", body=b"x" * 70000).body == b"small"


@pytest.mark.parametrize("path", ["/file/nope", "/file/link", "/file/..%2fsecret", "/.files/large.mp4", "/.files/"])
def test_nothing_else_is_sent(service, path):
    answer = service.get(path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("method, name, headers, status, size", [
    ("GET", "large.mp4", {}, 200, SIZE),
    ("HEAD", "large.mp4", {}, 200, 0),
    ("POST", "large.mp4", {}, 200, SIZE),
    ("GET", "large.mp4", {"Range": "bytes=1000-1999"}, 206, 1000),
    ("GET", "large.mp4", {"If-None-Match": "*"}, 304, 0),
    ("GET", "large.mp4", {"Range": f"bytes={SIZE}-"}, 416, None),
    ("GET", "nope", {}, 404, None),
])
def test_an_answer_with_a_file_is_counted_once_with_what_the_client_got(counting, method, name, headers, status, size):
    before = counting.scrape()
    answer = counting.request(method, f"/file/{name}", headers=headers)
    assert answer.status == status
    expected = collections.Counter(requests_of(before))
    expected[("file", method, str(status))] += 1
    wait_for(lambda: counting.requests() == dict(expected), what=lambda: f"{counting.requests()} to be {dict(expected)}")
    after = counting.scrape()
    assert grown(before, after, "http_response_size_bytes_total", "file") == (len(answer.body) if size is None else size)
    assert grown(before, after, "http_request_duration_seconds_count", "file") == 1
    queued = total(before, "http_request_queue_seconds_count") + 1
    wait_for(lambda: total(counting.scrape(), "http_request_queue_seconds_count") == queued)


def test_the_duration_of_an_answer_with_a_file_does_not_depend_on_the_client(counting):
    before = counting.scrape()
    with socket.create_connection(("127.0.0.1", counting.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        client.sendall(b"GET /file/large.mp4?slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        client.recv(1, socket.MSG_PEEK)
        time.sleep(0.3)  # this client is slow
        while client.recv(1 << 20):
            pass
    line, = wait_for(lambda: [line for line in counting.access_log() if line["uri"] == "/file/large.mp4?slow"])
    assert line["seconds"] > 0.25
    wait_for(lambda: grown(before, counting.scrape(), "http_request_duration_seconds_count", "file") == 1)
    waited = grown(before, counting.scrape(), "http_request_duration_seconds_sum", "file")
    assert waited <= float(line["upstream_seconds"]) + 0.001 < line["seconds"]


def test_a_worker_counts_what_it_answered_to_another_web_server(counting):
    """The other web server gets the header, and has no log for the metrics process."""
    before = counting.requests().get(("file", "GET", "200"), 0)
    answer = subprocess.run(
        ["cgi-fcgi", "-bind", "-connect", counting.run_dir / "app.sock"], stdout=subprocess.PIPE, timeout=20, check=True,
        env={"PATH": os.environ["PATH"], "REQUEST_METHOD": "GET", "PATH_INFO": "/file/large.mp4"}).stdout
    assert b"\r\nX-Accel-Redirect: /.files/large.mp4\r\n" in answer
    wait_for(lambda: counting.requests().get(("file", "GET", "200")) == before + 1)


def test_the_access_log_has_the_method_of_a_request_that_a_file_answers(service):
    """nginx changes the method to GET before it looks for the file."""
    assert service.request("POST", "/file/large.mp4?logged").status == 200
    lines = wait_for(lambda: [line for line in service.access_log() if line["uri"] == "/file/large.mp4?logged"])
    assert [(line["method"], line["bytes"]) for line in lines] == [("POST", SIZE)]


def test_without_a_folder_a_handler_that_sends_a_file_fails_and_no_other_is_called(program):
    folder = short_folder()
    service = Service(folder, PROGRAM=program, WORKERS=2)
    try:
        service.start()
        answer = service.get("/file/large.mp4")
        assert (answer.status, answer.headers["Content-Type"]) == (500, "application/problem+json")
        assert service.get("/.files/large.mp4").status == 404
        wait_for(lambda: service.requests().get(("file", "GET", "500")) == 1)
        assert ("file", "GET", "200") not in service.requests()
    finally:
        service.kill()
        shutil.rmtree(folder, ignore_errors=True)
