"""Bodies up to the limit of their route, and above it: in a copy of the tree that has such routes. docs/adding-an-endpoint.md."""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest

import test_web_servers
import conftest
from conftest import wait_for
from test_tls import make_certificate

pytestmark = pytest.mark.own_build

K, M = 1 << 10, 1 << 20
DEFAULT = 64 * K
PROBLEM = "application/problem+json"

# Path, limit and flags. A path beside another one shows that each has its own limit.
ROUTES = {
    "small": ("/sizes/small", 16 * K, "BODY(16K)"),
    "usual": ("/sizes/usual", DEFAULT, "0"),
    "large": ("/sizes/large", M, "BODY(1M)"),
    "huge": ("/sizes/huge", 8 * M, "BODY(8M)"),
    "quick": ("/sizes/quick", M, "BODY(1M) | NONBLOCKING"),
    "named": ("/sizes/named/{name}", 128 * K, "NONBLOCKING | BODY(128K)"),
    "below": ("/sizes/named/{name}/below", 256 * K, "BODY(256K) | NONBLOCKING"),
    "longer": ("/sizes/name/{name}", DEFAULT, "0"),
}

# Lines that share a path.
OWN = 'ROUTE(own_put, "/sizes/own", PUT, BODY(16K))\nROUTE(own_post, "/sizes/own", POST, BODY(1M))\n'

# The sum shows that the bytes are those that were sent.
HANDLER = """
#include <string.h>
#include <json-c/json.h>
#include "http/request_json.h"
#include "http/router.h"
void
endpoint_{name}(const struct request *request, struct response *response)
{{
	struct json_object *body = json_object_new_object();
	unsigned sum = 0;

	for (size_t i = 0; i < request->body_length; i++)
		sum = sum * 31 + (unsigned char)request->body[i];
	json_object_object_add(body, "size", json_object_new_int64((int64_t)request->body_length));
	json_object_object_add(body, "sum", json_object_new_int64(sum));
	json_object_object_add(body, "cookie", json_object_new_int64((int64_t)strlen(request->cookie)));
	json_object_object_add(body, "authorization", json_object_new_int64(
	    (int64_t)strlen(request_header(request, HEADER_authorization))));
	response_json(response, 200, body);
}}
"""
JSON_HANDLER = """
#include <json-c/json.h>
#include "http/request_json.h"
#include "http/router.h"
void
endpoint_document(const struct request *request, struct response *response)
{
	struct json_object *body = request_json(request, response);

	if (!body)
		return;
	response_delay(response, 0);
	response_json(response, 200, body);
}
"""


def copy_tree(folder, routes):
    conftest.copy_of_the_tree(folder)
    with (folder / "fcgi/app/routes.def").open("a") as table:
        table.write(routes)
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    table = "".join(f'ROUTE({name}, "{path}", GET | POST, {flags})\n' for name, (path, _, flags) in ROUTES.items())
    folder = copy_tree(tmp_path_factory.mktemp("bodies") / "tree", table + OWN + 'ROUTE(document, "/document", POST, BODY(1M))\n')
    conftest.declare_headers(folder, "authorization")
    for name in (*ROUTES, "own_put", "own_post"):
        (folder / f"fcgi/app/endpoints/{name}.c").write_text(HANDLER.format(name=name))
    (folder / "fcgi/app/endpoints/document.c").write_text(JSON_HANDLER)
    run = conftest.make_in(folder, "build")
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.fixture(scope="module")
def program(tree):
    return tree / "build/fcgi-webapp"


@pytest.fixture(scope="module")
def app(program):
    with conftest.running(PROGRAM=program, WORKERS=2) as started:
        yield started


def body_of(size):
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def sum_of(body):
    total = 0
    for byte in body:
        total = (total * 31 + byte) & 0xffffffff
    return total


def path_of(name):
    return ROUTES[name][0].replace("{name}", "x")


def chunks(body, size=10000):
    """http.client sends an iterable without a Content-Length, in chunks."""
    return (body[at:at + size] for at in range(0, len(body), size))


def assert_too_large(answer, limit):
    assert answer.status == 413
    assert answer.headers["Content-Type"] == PROBLEM
    request_id = answer.headers["X-Request-ID"]  # of nginx only
    assert answer.json == {"type": "about:blank", "title": "Content Too Large", "status": 413,
                           "detail": f"The body has more than {limit} bytes.", **({"request_id": request_id} if request_id else {})}


@pytest.mark.parametrize("chunked", [False, True], ids=["Content-Length", "chunked"])
@pytest.mark.parametrize("name", ROUTES)
def test_each_route_takes_a_body_of_its_limit_and_refuses_a_byte_more(app, name, chunked):
    limit = ROUTES[name][1]
    for size in 1, limit:
        body = body_of(size)
        answer = app.request("POST", path_of(name), body=chunks(body) if chunked else body)
        assert answer.status == 200, answer.body
        assert (answer.json["size"], answer.json["sum"]) == (size, sum_of(body))
    body = body_of(limit + 1)
    assert_too_large(app.request("POST", path_of(name), body=chunks(body) if chunked else body), limit)
    assert app.get(path_of(name)).json["size"] == 0


def test_nginx_names_the_limit_of_the_location_and_counts_the_413(app):
    for path, limit in (("/sizes/large", M),
                        ("/sizes/named/x", 128 * K), ("/sizes/named/x/below", 256 * K), ("/sizes/own", M), ("/sizes/name/x", DEFAULT),
                        ("/sizes/none", DEFAULT), ("/bye", DEFAULT)):
        answer = app.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {20 * M}\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b" 413 " in head.splitlines()[0] and PROBLEM.encode() in head
        assert json.loads(body)["detail"] == f"The body has more than {limit} bytes."
    wait_for(lambda: app.requests().get(("large", "POST", "413"), 0) >= 1)


def test_a_method_without_a_body_of_its_own_has_the_usual_limit_in_the_engine(app):
    """nginx knows locations only. PUT /sizes/large is not served, so its limit is not that of POST."""
    answer = app.request("PUT", "/sizes/large", body=body_of(DEFAULT + 1))
    assert_too_large(answer, DEFAULT)
    assert app.request("PUT", "/sizes/large", body=body_of(DEFAULT)).status == 405


def test_lines_that_share_a_path_have_their_own_limits(app):
    """nginx takes the larger one, so the 413 of the smaller one is the worker's."""
    for method, name, limit in (("PUT", "own_put", 16 * K), ("POST", "own_post", M)):
        before = app.requests().get((name, method, "413"), 0)
        assert app.request(method, "/sizes/own", body=body_of(limit)).json["size"] == limit
        assert_too_large(app.request(method, "/sizes/own", body=body_of(limit + 1)), limit)
        wait_for(lambda: app.requests().get((name, method, "413")) == before + 1)  # noqa: B023
        assert app.requests()[name, method, "200"] == 1


def test_a_json_document_of_1_mib_is_read(app):
    document = {"notes": [{"id": number, "text": "x" * 90} for number in range(9000)]}
    text = json.dumps(document).encode()
    text += b" " * (M - len(text))
    answer = app.request("POST", "/document", body=text, headers={"Content-Type": "application/json"})
    assert answer.status == 200 and answer.json == document
    answer = app.request("POST", "/document", body=b'{"a": [' + b"{}," * 300000 + b"0]}", headers={"Content-Type": "application/json"})
    assert answer.status == 413 and "16 MiB" in answer.json["detail"]


def test_a_token_of_8_kib_and_cookies_of_16_kib_reach_the_handler(app):
    for authorization, cookie in ((4096, 100), (8192, 16000), (16000, 16000)):
        body = app.request("POST", "/sizes/large", body=body_of(M), headers={
            "Authorization": "a" * authorization, "Cookie": "c" * cookie}).json
        assert (body["authorization"], body["cookie"], body["size"]) == (authorization, cookie, M)


def cgi(program, tmp_path, path, body, length=None):
    run = subprocess.run([program], input=body, capture_output=True, timeout=60, env={
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "POST", "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body) if length is None else length), "FCGI_WEBAPP_METRICS_FILE": str(tmp_path / "counters")})
    head, _, answer = run.stdout.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head.startswith(b"Status:") else 200
    return status, json.loads(answer)


@pytest.mark.parametrize("name", ROUTES)
def test_plain_cgi_has_the_same_limits(program, tmp_path, name):
    limit = ROUTES[name][1]
    status, answer = cgi(program, tmp_path, path_of(name), body_of(limit))
    assert (status, answer["size"], answer["sum"]) == (200, limit, sum_of(body_of(limit)))
    status, answer = cgi(program, tmp_path, path_of(name), body_of(limit + 1))
    assert (status, answer["detail"]) == (413, f"The body has more than {limit} bytes.")


WEB_SERVERS = {name: test_web_servers.FASTCGI[name] for name in ("lighttpd", "Apache", "Caddy")}


@pytest.mark.parametrize("name", WEB_SERVERS)
def test_the_limits_of_the_pool_hold_behind_a_web_server_without_limits(program, name, monkeypatch):
    kind, template, values = WEB_SERVERS[name]
    monkeypatch.setattr(test_web_servers, "PROGRAM", program)
    with test_web_servers.pool() as server:
        server.start(kind, template, socket=server.socket, **values)
        for route in "small", "large", "quick":
            limit = ROUTES[route][1]
            assert server.request("POST", path_of(route), body=body_of(limit)).json["size"] == limit
            for size in limit + 1, 4 * limit:
                assert_too_large(server.request("POST", path_of(route), body=body_of(size)), limit)
        assert server.get("/bye").status == 200


def resident(pid):
    """Bytes of memory of a process that are no file's."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) << 10


def post_half(app, path, size):
    """Send half of a body to nginx and leave."""
    with socket.create_connection(("127.0.0.1", app.port), timeout=15) as client:
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode() + body_of(size // 2))


def test_clients_that_leave_in_the_middle_of_a_body_cost_nothing(app):
    for _ in range(40):
        post_half(app, "/sizes/huge", 8 * M)
    for path in "/sizes/huge", "/sizes/quick":
        assert app.request("POST", path, body=body_of(M)).status == 200
    files = app.run_dir / "client_body"
    wait_for(lambda: not list(files.rglob("0*")), what="nginx to remove its files")


def connect_and_send(socket_path, path, size, sent):
    """A web server that begins a request with a body, and sends only so much of it."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(socket_path))
    client.sendall(test_web_servers.begin()
                   + test_web_servers.record(4, test_web_servers.pairs(REQUEST_METHOD="POST", PATH_INFO=path, CONTENT_LENGTH=str(size)))
                   + test_web_servers.record(4))
    for at in range(0, sent, 32768):
        client.sendall(test_web_servers.record(5, body_of(min(32768, sent - at))))
    return client


def test_large_bodies_that_do_not_end_are_bounded_and_freed(app):
    """On a nonblocking worker each waits for its end beside the others."""
    workers = app.workers
    before = sum(resident(pid) for pid in workers)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(connect_and_send(app.run_dir / "app.sock", "/sizes/quick", M, M - 1))
        during = wait_for(lambda: (now := sum(resident(pid) for pid in workers)) > before + 8 * M and now)
        assert during < before + len(workers) * 25 * M
        assert app.get("/bye").status == 200
        assert app.request("POST", "/sizes/usual", body=body_of(DEFAULT)).status == 200
    wait_for(lambda: sum(resident(pid) for pid in workers) < before + 8 * M, what="the memory to be freed")
    assert app.workers == workers
    assert app.request("POST", "/sizes/quick", body=body_of(M)).status == 200


def test_many_large_bodies_at_once_are_answered_or_refused_with_a_503(app):
    pids = app.all_pids()
    statuses = []

    def post(path):
        for _ in range(4):
            try:
                statuses.append(app.request("POST", path, body=body_of(M)).status)
            except (http.client.HTTPException, OSError):
                statuses.append(0)

    threads = [threading.Thread(target=post, args=[path]) for path in ("/sizes/large", "/sizes/quick", "/sizes/huge") for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 503} and statuses.count(200) > len(statuses) / 4
    assert app.all_pids() == pids
    assert app.request("POST", "/sizes/large", body=body_of(M)).status == 200


def test_large_bodies_under_way_are_answered_while_workers_are_replaced(app):
    statuses = collections.Counter()
    is_over = threading.Event()

    def post(path):
        while not is_over.is_set():
            statuses[app.request("POST", path, body=body_of(M)).status] += 1

    threads = [threading.Thread(target=post, args=[path]) for path in ("/sizes/large", "/sizes/quick") for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        before = {*app.workers, *app.blocking_workers}
        os.kill(app.supervisor, signal.SIGHUP)
        wait_for(lambda: before.isdisjoint({*app.workers, *app.blocking_workers}), 30, what="new workers")  # noqa: B023
    is_over.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}, statuses


def test_a_body_of_which_half_has_come_is_read_whole_by_a_worker_that_leaves(app):
    before = set(app.workers)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect_and_send(app.run_dir / "app.sock", "/sizes/quick", M, M // 2)) for _ in range(8)]
        logged = app.log.read_text().count("replacing the workers")
        os.kill(app.supervisor, signal.SIGHUP)
        wait_for(lambda: app.log.read_text().count("replacing the workers") > logged)
        for at in range(M // 2, M, 32768):
            for client in clients:
                client.sendall(test_web_servers.record(5, body_of(32768)))
            time.sleep(0.03)  # as a slow client, and in all for less than the 5 s that a request may take
        for client in clients:
            client.sendall(test_web_servers.record(5))
            answer = b"".join(content for _, _, content in test_web_servers.answers(client, test_web_servers.END))
            assert b'"size":1048576' in answer, answer
    wait_for(lambda: before.isdisjoint(app.workers), 30)


def upload(app, head):
    """A connection on which nginx waits for a body, or None where it refuses one."""
    client = socket.create_connection(("127.0.0.1", app.port), timeout=15)
    client.sendall(head)
    if client.recv(4096).startswith(b"HTTP/1.1 100 "):
        client.sendall(b"x" * 100000)
        return client
    client.close()
    return None


def test_nginx_bounds_the_files_of_bodies(app):
    """nginx refuses the request beyond 32 MiB of files, before it reads the body. Small bodies and GETs are not refused."""
    head = (f"POST /sizes/huge HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
            f"Content-Length: {8 * M}\r\n\r\n").encode()
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(wait_for(lambda: upload(app, head)))
        assert b" 503 " in app.raw(head).splitlines()[0]
        assert app.get("/sizes/huge").status == 200
        assert app.request("POST", "/sizes/huge", body=b"x" * 100).status == 200
        assert app.request("POST", "/sizes/usual", body=body_of(DEFAULT)).status == 200
    wait_for(lambda: app.request("POST", "/sizes/huge", body=body_of(M)).status == 200)


def test_nginx_bounds_the_files_of_bodies_of_http_2_without_a_content_length(program, own_service, tmp_path):
    certificate, key = make_certificate(tmp_path, "one")
    (port,) = conftest.free_ports(1)
    own_service(PROGRAM=program, WORKERS=2, TLS_CERTIFICATE=certificate, TLS_KEY=key, HTTPS_PORT=port)
    curl = ["curl", "-sk", "--http2", "-o", "/dev/null", "-w", "%{http_code}", f"https://localhost:{port}/sizes/huge"]
    stream = ["-X", "POST", "-T", "-"]

    def status(*arguments):
        return subprocess.run(curl + list(arguments), input="x", capture_output=True, text=True, timeout=30).stdout

    with contextlib.ExitStack() as stack:
        uploads = [stack.enter_context(subprocess.Popen(curl + stream, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)) for _ in range(4)]
        for upload in uploads:
            upload.stdin.write(b"x" * 100000)
        wait_for(lambda: status(*stream) == "503", what="a refusal")
        assert all(upload.poll() is None for upload in uploads)
        assert (status(), status("-d", "small")) == ("200", "200")
    wait_for(lambda: status(*stream) == "200")


@pytest.mark.parametrize("flags, says", [
    ("BODY(3M)", "the size of BODY must be 16K or 32K"),
    ("BODY(128M)", "the size of BODY must be 16K or 32K"),
    ("NONBLOCKING | BODY(1)", "the size of BODY must be 16K or 32K"),
    ("BODY(1M) | BODY(2M)", "a route has one BODY(size)"),
])
def test_a_size_that_does_not_exist_fails_the_build_and_says_which_there_are(tmp_path, flags, says):
    tree = copy_tree(tmp_path / "tree", f'ROUTE(notes, "/notes", POST, {flags})\n')
    run = conftest.make_in(tree, "build/check-routes")
    assert run.returncode != 0
    assert f'route "notes", path "/notes": {says}' in run.stderr
