"""The same binary as plain CGI, under a real CGI server, counting in the same file."""

import contextlib
import http.client
import json
import os
import pathlib
import platform
import signal
import subprocess
import threading

import pytest

from conftest import PROGRAM, exists, free_ports, parse, requests_of, run_program, wait_for

FCGIWRAP_CONF = """
daemon off;
pid {folder}/n.pid;
error_log stderr warn;
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/b; fastcgi_temp_path {folder}/f; proxy_temp_path {folder}/p;
    scgi_temp_path {folder}/s; uwsgi_temp_path {folder}/u;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME {program};
            fastcgi_param PATH_INFO $uri;
            fastcgi_param FCGI_WEBAPP_METRICS_FILE {counters};
            fastcgi_pass unix:{folder}/w.sock;
        }}
    }}
}}
"""


@pytest.fixture
def cgi(own_service):
    """fcgiwrap behind an nginx of its own, beside a running pool."""
    service = own_service(WORKERS=2)
    folder, (port,) = service.folder, free_ports(1)
    wrap = subprocess.Popen(["/usr/sbin/fcgiwrap", "-s", f"unix:{folder}/w.sock"], stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})
    wait_for((folder / "w.sock").exists)
    conf = folder / "cgi.conf"
    conf.write_text(FCGIWRAP_CONF.format(folder=folder, port=port, program=PROGRAM, counters=service.counters,
                                         user="user root;" if os.geteuid() == 0 else ""))
    nginx = subprocess.Popen(["nginx", "-q", "-p", folder, "-e", "stderr", "-c", conf],
                             env={"PATH": os.environ["PATH"] + ":/usr/sbin"}, stdin=subprocess.DEVNULL)
    service.cgi_port = port

    def up():
        try:
            return service.get("/health", port=port).status == 200
        except OSError:
            return False

    try:
        wait_for(up)
        yield service
    finally:
        nginx.terminate()
        nginx.wait(10)
        wrap.terminate()
        wrap.wait(10)


def test_cgi_injects_no_fault_for_another_website(cgi):
    own = {"Sec-Fetch-Site": "same-origin"}
    assert cgi.get("/status/418", port=cgi.cgi_port, headers=own).status == 418
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
        assert cgi.get("/status/418", port=cgi.cgi_port, headers=headers).status == 403


def test_cgi_answers_the_same_routes_and_counts_beside_the_pool(cgi):
    before = cgi.requests()
    for method, path, status in (("GET", "/bye", 200), ("GET", "/nope//", 404), ("POST", "/bye", 405), ("HEAD", "/bye", 200),
                                 ("GET", "/status/418", 418), ("GET", "/delay/0.1", 200)):
        assert cgi.request(method, path, port=cgi.cgi_port).status == status
    assert cgi.get("/bye", port=cgi.cgi_port).body == b'{"msg": "Bye Bye"}'
    cgi.get("/bye")
    wait_for(lambda: cgi.requests().get(("bye", "GET", "200"), 0) == before.get(("bye", "GET", "200"), 0) + 3)
    counts = cgi.requests()
    assert counts[("other", "GET", "404")] == 1 and counts[("bye", "POST", "405")] == 1
    assert counts[("status", "GET", "418")] == 1 and counts[("delay", "GET", "200")] == 1


def run_cgi(counters, path, method="GET", **more):
    return run_program(environment={"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": method, "PATH_INFO": path,
                                    "FCGI_WEBAPP_METRICS_FILE": str(counters), **more})


def test_cgi_counts_exactly_from_many_processes_without_a_pool(tmp_path):
    counters = tmp_path / "counters"
    environment = {"PATH": os.environ["PATH"], "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET",
                   "PATH_INFO": "/bye", "FCGI_WEBAPP_METRICS_FILE": str(counters)}
    for _ in range(10):
        batch = [subprocess.Popen([PROGRAM], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(8)]
        assert [process.wait(20) for process in batch] == [0] * 8
    shown = run_program("metrics", "--metrics-file", str(counters))
    assert requests_of(parse(shown.stdout)) == {("bye", "GET", "200"): 80}


def test_cgi_prints_a_cgi_response(tmp_path):
    run = run_cgi(tmp_path / "counters", "/bye")
    assert run.returncode == 0
    head, _, body = run.stdout.partition("\n\n")
    assert head.splitlines() == ["Content-Type: application/json", "Content-Length: 18"]
    assert body == '{"msg": "Bye Bye"}'


def test_cgi_answers_503_where_it_cannot_count(tmp_path):
    run = run_cgi(pathlib.Path("/nonexistent/counters"), "/bye")
    assert run.stdout.startswith("Status: 503")
    assert "cannot open the counter file /nonexistent/counters" in run.stderr


def test_cgi_refuses_a_content_length_that_is_none_and_a_body_that_ends_early(tmp_path):
    counters = tmp_path / "counters"
    for length in "x", "-1", "+5", " 5", "5x", "1e3", "0x10", "99999999999999999999999x":
        run = run_cgi(counters, "/riseload", "POST", CONTENT_LENGTH=length)
        assert run.stdout.startswith("Status: 400") and "Content-Length" in run.stdout, (length, run.stdout)
    for length in "65537", "99999999999999999999999":
        assert run_cgi(counters, "/riseload", "POST", CONTENT_LENGTH=length).stdout.startswith("Status: 413"), length
    run = run_cgi(counters, "/riseload", "POST", CONTENT_LENGTH="5")  # and none comes
    assert run.stdout.startswith("Status: 400")
    assert requests_of(parse(run_program("metrics", "--metrics-file", str(counters)).stdout)) == {
        ("riseload", "POST", "400"): 9, ("riseload", "POST", "413"): 2}
    assert run_cgi(counters, "/bye", CONTENT_LENGTH="").stdout.startswith("Content-Type")


def test_cgi_does_not_count_an_answer_that_nobody_took(tmp_path):
    counters = tmp_path / "counters"
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb", closefd=True) as nobody:
        run = subprocess.run([PROGRAM], stdin=subprocess.DEVNULL, stdout=nobody, stderr=subprocess.PIPE, timeout=20, env={
            "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "PATH_INFO": "/bye", "FCGI_WEBAPP_METRICS_FILE": str(counters)})
    assert run.returncode == 1
    assert requests_of(parse(run_program("metrics", "--metrics-file", str(counters)).stdout)) == {}


def test_cgi_tells_nothing_of_a_pool_that_was_killed_during_its_drain(own_service):
    service = own_service(WORKERS=2)
    pool = [service.supervisor, service.master, service.metrics_process, *service.workers, *service.blocking_workers]

    def cut_off():
        with contextlib.suppress(OSError, http.client.HTTPException):
            service.get("/block/10")

    def live():
        return json.loads(run_cgi(service.counters, "/live").stdout.partition("\n\n")[2])

    thread = threading.Thread(target=cut_off)
    thread.start()
    wait_for(lambda: live()["workers"]["blocking"]["busy"] == 1)
    os.kill(service.master, signal.SIGTERM)
    wait_for(lambda: run_cgi(service.counters, "/ready").stdout.startswith("Status: 503"))
    assert live()["workers"]["count"] >= 1
    os.kill(service.supervisor, signal.SIGKILL)
    wait_for(lambda: not any(exists(pid) for pid in pool))
    thread.join()
    assert '{"ready": true}' in run_cgi(service.counters, "/ready").stdout
    after = live()
    assert (after["workers"]["count"], after["requests_per_second"], after["cpu"]["usage_cores"]) == (0, 0, None)
    assert after["uptime_seconds"] < 30  # not the machine's
    assert after["starts"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_cgi_counts_an_answer_that_is_taken_though_a_signal_came_meanwhile(tmp_path, number):
    counters = tmp_path / "counters"
    read, write = os.pipe()
    os.set_blocking(write, False)
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    process = subprocess.Popen([PROGRAM], stdin=subprocess.DEVNULL, stdout=write, env={
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "PATH_INFO": "/bye", "FCGI_WEBAPP_METRICS_FILE": str(counters)})
    os.close(write)
    try:
        write_to_stdout = f"{64 if platform.machine() == 'aarch64' else 1} 0x1 "  # write(1, ...)
        wait_for(lambda: pathlib.Path(f"/proc/{process.pid}/syscall").read_text().startswith(write_to_stdout))
        process.send_signal(number)
        with open(read, "rb") as out:
            answer = out.read()[filled:]
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert answer.endswith(b'{"msg": "Bye Bye"}')
    assert requests_of(parse(run_program("metrics", "--metrics-file", str(counters)).stdout)) == {("bye", "GET", "200"): 1}
