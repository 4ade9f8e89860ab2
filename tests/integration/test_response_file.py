"""response_file(): files of any size, in a copy of the tree whose application answers with them."""

import hashlib
import http.client
import os
import re
import shutil

import pytest

import conftest
from conftest import Service, name_of, short_folder, wait_for

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
        table.write('ROUTE(file, "/file/{name}", GET | POST, NONBLOCKING)\n')
    return conftest.build(tree)


@pytest.fixture(scope="module")
def content():
    return os.urandom(1 << 20) * (SIZE >> 20)


@pytest.fixture(scope="module")
def service(program, content):
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


@pytest.mark.parametrize("path", ["/file/nope", "/file/link", "/file/..%2fsecret", "/.files/large.mp4", "/.files/"])
def test_nothing_else_is_sent(service, path):
    answer = service.get(path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_an_answer_with_a_file_is_counted_once_as_the_endpoint_s(service):
    before = service.requests().get(("file", "GET", "200"), 0)
    assert service.get("/file/large.mp4").status == 200
    wait_for(lambda: service.requests().get(("file", "GET", "200")) == before + 1)
    assert ("other", "GET", "200") not in service.requests()


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
        wait_for(lambda: service.requests().get(("file", "GET", "200")) == 1)
    finally:
        service.kill()
        shutil.rmtree(folder, ignore_errors=True)
