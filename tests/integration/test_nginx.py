"""What the configuration of nginx does, and what scripts/nginx-conf fills in."""

import contextlib
import gzip
import http.client
import json
import os
import re
import shutil
import subprocess
import threading

import pytest

from conftest import PROGRAM, ROOT, free_ports, short_folder, wait_for


@pytest.fixture
def folder():
    path = short_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def configure(folder, script="nginx-conf", **variables):
    port, metrics_port = free_ports(2)
    return subprocess.run([ROOT / "scripts" / script], capture_output=True, text=True, timeout=20, env={
        "PATH": os.environ["PATH"], "RUN_DIR": str(folder), "HTTP_PORT": str(port), "METRICS_PORT": str(metrics_port),
        "ACCESS_LOG": str(folder / "access.log"), "PROGRAM": str(PROGRAM), **variables})


def dump(folder, **variables):
    """What nginx -T says of the configuration."""
    (folder / "nginx.conf").write_text(configure(folder, **variables).stdout)
    run = subprocess.run(["nginx", "-T", "-q", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"], capture_output=True, text=True,
                         timeout=20, env={"PATH": os.environ["PATH"] + ":/usr/sbin"})
    assert run.returncode == 0, run.stderr
    return run.stdout


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


@pytest.mark.parametrize("timeout, least", [(None, 75), ("0.5", 75), ("70", 75), ("70.5", 75.5), ("120", 125), ("3600", 3605)])
def test_nginx_waits_longer_than_the_request_timeout_and_than_a_delay(folder, timeout, least):
    text = dump(folder, **({"FCGI_WEBAPP_REQUEST_TIMEOUT": timeout} if timeout else {}))
    assert seconds(re.search(r"fastcgi_read_timeout (\S+);", text)[1]) == least


@pytest.mark.parametrize("kind, processes, buffer", [
    ("new file", "auto", "32k"), ("file", "auto", "32k"), ("pipe", "auto", "4k"), ("pipe", "4", "4k"), ("pipe", "1", "32k"),
    ("link", "auto", "4k"), ("link", "1", "32k")])
def test_a_log_that_can_be_a_pipe_of_several_processes_has_a_small_buffer(folder, kind, processes, buffer):
    log = folder / "log"
    {"new file": lambda: None, "file": log.touch, "pipe": lambda: os.mkfifo(log), "link": lambda: log.symlink_to("/dev/stdout")}[kind]()
    text = configure(folder, ACCESS_LOG=str(log), NGINX_WORKERS=processes).stdout
    assert set(re.findall(r'log" (?:json|redirected) buffer=(\w+)', text)) == {buffer}


def test_nginx_accepts_a_program_without_a_route_that_has_a_rate_limit(folder):
    program = folder / "program"
    program.write_text(f'#!/bin/sh\n"{PROGRAM}" "$@" | sed "/limited_route\\|zone=harmful/d"\n')
    program.chmod(0o755)
    text = dump(folder, PROGRAM=str(program))
    assert "location = /bye {" in text and "zone=harmful burst" not in text


def test_nginx_accepts_more_locations_than_a_variable_of_the_environment_can_hold(folder):
    """The kernel's limit for one is 128 KiB, which is about 500 routes of blocking workers."""
    program = folder / "program"
    location = "location = /route/%d { fastcgi_pass blocking; fastcgi_read_timeout 10s; }\n"
    (folder / "more").write_text("".join(location % number for number in range(2000)))
    program.write_text(f'#!/bin/sh\n"{PROGRAM}" "$@" && [ "$1" != nginx-locations ] || cat "{folder}/more"\n')
    program.chmod(0o755)
    assert (folder / "more").stat().st_size > 128 << 10
    text = dump(folder, PROGRAM=str(program))
    assert "location = /bye {" in text and location % 0 in text and location % 1999 in text


# --- what the log says --------------------------------------------------------


def logged(service, end):
    """The lines of the access log up to one with this URI, each strictly UTF-8 and JSON. (One process of nginx keeps their order.)"""
    def lines():
        with contextlib.suppress(FileNotFoundError):
            found = (service.folder / "access.log").read_bytes().splitlines()
            return found if any(end.encode() in line for line in found) else None
    found = wait_for(lines)
    assert max(map(len, found)) < 4096
    return [json.loads(line.decode("utf-8", errors="strict")) for line in found if b"/health" not in line]


def test_every_line_of_the_access_log_is_json_in_utf_8_and_names_its_route(own_service):
    service = own_service(WORKERS=2, NGINX_WORKERS=1)
    targets = [b"/\xff\xfe", b"/crash\xff", b"/bye?\xc3\x28", b"/bye?" + b"\xe2\x82\xac" * 900, b"/bye?" + b'"' * 3000, b"/bye?\x7f", b"/bye?end"]
    for target in targets:
        service.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    uris = [line["uri"] for line in logged(service, "/bye?end")]
    assert uris[:4] == ["/...", "/crash...", "/bye?...", "/bye?..."]
    assert uris[4] == "/bye?" + '"' * 1019 + "..."
    assert uris[5:] == ["", "/bye?end"]  # nginx refuses that byte before it has a URI


def test_the_access_log_says_which_method_was_asked_for(own_service):
    service = own_service(WORKERS=2, NGINX_WORKERS=1)
    assert service.request("POST", "/bye", body=b"x" * 70000).status == 413
    assert service.request("POST", "/crash").status == 502
    assert service.request("DELETE", "/bye?end").status == 405
    assert [line["method"] for line in logged(service, "/bye?end")] == ["POST", "POST", "DELETE"]


# --- limits -------------------------------------------------------------------


def test_a_flood_of_one_route_refuses_no_delete_and_fills_no_log(own_service):
    service = own_service(WORKERS=2, NGINX_WORKERS=1)
    assert service.get("/riseload?seconds=60&load=0.01").status == 202
    stop, refused = threading.Event(), [0]

    def flood():
        while not stop.is_set():
            for path in ("/crash", "/riseload?seconds=60&load=0.01"):
                refused[0] += service.get(path).status == 429

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: refused[0] > 500, 60)
    ended = [service.request("DELETE", "/riseload").status for _ in range(10)]
    stop.set()
    for thread in threads:
        thread.join()
    assert set(ended) <= {200, 404} and 200 in ended
    assert "limiting requests" not in service.log.read_text()
    service.get("/bye?end")
    refusals = [line for line in logged(service, "/bye?end") if line["status"] == 429]
    assert len(refusals) < refused[0] / 10


# --- connections --------------------------------------------------------------


def closes(service, method, path):
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["Connection"] == "close"


def test_a_kept_connection_ends_where_the_pool_did_not_answer_and_nowhere_else(own_service):
    service = own_service(WORKERS=2)
    assert closes(service, "POST", "/crash") == (502, True)
    for path, status in (("/bye", 200), ("/nope//", 404), ("/status/502", 502), ("/status/503", 503)):
        assert closes(service, "GET", path) == (status, False)


def test_nginx_and_the_program_give_an_error_the_same_title(folder, service):
    block = re.search(r"map \$status \$reason \{(.*?)\}", configure(folder).stdout, re.S)[1]
    titles = {int(code): title for code, title in re.findall(r'(\d+) "(.*)";', block)}
    assert titles.pop(494) == titles[431]  # nginx's own code for a header that is too large
    assert {code: service.get(f"/status/{code}").json["title"] for code in titles} == titles


# --- kept connections -----------------------------------------------------------


def test_a_connection_of_the_age_that_is_set_ends_with_a_response(own_service):
    service = own_service(WORKERS=2, KEEPALIVE_TIME="100ms")
    client = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)

    def ended():
        client.request("GET", "/bye")
        answer = client.getresponse()
        return answer.read() and answer.headers["Connection"] == "close"

    wait_for(ended)


# --- compression ----------------------------------------------------------------


# Each has more than 1 KiB: a page, and a problem with quotes, which JSON escapes.
# The problem names the id of its request, which is the trace id.
LARGE = [("/", {"Accept": "text/html"}), ("/" + "%22" * 600, {"traceparent": f"00-{1:032x}-{1:016x}-00"})]


def encoding(service, path, headers):
    answer = service.get(path, headers={"Accept-Encoding": "gzip", **headers})
    return answer.headers["Content-Encoding"], "Accept-Encoding" in answer.headers.get_all("Vary", []), answer.body


def test_responses_of_more_than_1_kib_are_compressed_where_it_is_on(own_service):
    service = own_service(WORKERS=2, NGINX_GZIP="on")
    for path, accept in LARGE:
        for headers in (accept, {**accept, "Via": "1.1 proxy"}):
            kind, vary, body = encoding(service, path, headers)
            assert (kind, vary) == ("gzip", True)
            assert gzip.decompress(body) == service.get(path, headers=accept).body
        assert "Content-Encoding" not in service.get(path, headers=accept).headers
    assert encoding(service, "/bye", {}) == (None, False, b'{"msg": "Bye Bye"}')


def test_nothing_is_compressed_by_default(service):
    for path, headers in LARGE:
        kind, vary, body = encoding(service, path, headers)
        assert (kind, vary) == (None, False) and len(body) > 1024


def test_a_wrong_switch_is_refused_in_one_line(folder):
    run = configure(folder, NGINX_GZIP="yes")
    assert (run.returncode, run.stdout, run.stderr) == (1, "", "nginx-conf: NGINX_GZIP=yes: it must be on or off\n")


# --- ports ------------------------------------------------------------------------


@pytest.mark.parametrize("ports, says", [
    *(({"HTTP_PORT": port}, f"HTTP_PORT={port}: it must be a port, from 1 to 65535") for port in ("abc", "0", "65536", "8o81", "-1", "080")),
    ({"METRICS_PORT": "8000;"}, "METRICS_PORT=8000;: it must be a port, from 1 to 65535"),
    ({"HTTPS_PORT": "https", "TLS_CERTIFICATE": "cert.pem"}, "HTTPS_PORT=https: it must be a port, from 1 to 65535"),
    ({"HTTP_PORT": "8081", "METRICS_PORT": "8081"}, "HTTP_PORT and METRICS_PORT are both 8081: they must be different"),
    ({"HTTP_PORT": "8443", "TLS_CERTIFICATE": "cert.pem"}, "HTTP_PORT and HTTPS_PORT are both 8443: they must be different"),
    ({"METRICS_PORT": "8443", "TLS_KEY": "key.pem"}, "METRICS_PORT and HTTPS_PORT are both 8443: they must be different"),
])
def test_ports_that_cannot_work_are_refused_in_one_line_before_anything_starts(folder, ports, says):
    run = configure(folder, **ports)
    assert (run.returncode, run.stdout, run.stderr) == (1, "", f"nginx-conf: {says}\n")
    run = configure(folder, "run", FCGI_WEBAPP_METRICS_FILE=str(folder / "counters"), **ports)
    assert (run.returncode, run.stdout, run.stderr) == (1, "", f"nginx-conf: {says}\n")
    assert not list(folder.iterdir())


def test_the_port_of_tls_matters_only_with_tls(folder):
    assert configure(folder, HTTP_PORT="8443", HTTPS_PORT="none").returncode == 0
