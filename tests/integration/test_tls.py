"""nginx with a certificate: TLS, HTTP/2, errors at the start, and a new certificate without a lost request."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from conftest import PROGRAM, ROOT, Answer, free_ports, running, short_folder, wait_for


def make_certificate(folder, name, days=2):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days),
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / f"{name}.key",
                    "-out", folder / f"{name}.pem"], check=True, capture_output=True)
    return folder / f"{name}.pem", folder / f"{name}.key"


@pytest.fixture(scope="module")
def certificates():
    """A folder with two certificates, one.pem and two.pem, and their keys."""
    folder = short_folder()
    for name in ("one", "two"):
        make_certificate(folder, name)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def variables(folder, **more):
    return {"WORKERS": 2, "TLS_CERTIFICATE": folder / "one.pem", "TLS_KEY": folder / "one.key", "HTTPS_PORT": free_ports(1)[0], **more}


@pytest.fixture(scope="module")
def service(certificates):
    with running(**variables(certificates)) as started:
        yield started


def https_port(service):
    return int(service.environment["HTTPS_PORT"])


def https(service, method, path, headers=None, body=None):
    context = ssl.create_default_context(cafile=service.environment["TLS_CERTIFICATE"])
    with contextlib.closing(http.client.HTTPSConnection("localhost", https_port(service), context=context, timeout=30)) as connection:
        connection.request(method, path, body=body, headers=headers or {})
        return Answer(connection.getresponse())


def s_client(service, *arguments):
    run = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{https_port(service)}", *arguments], input="", capture_output=True,
                         text=True, timeout=20)
    return run.returncode, run.stdout + run.stderr


def curl(service, *arguments):
    return subprocess.run(["curl", "-sS", "--cacert", service.environment["TLS_CERTIFICATE"], *arguments], check=True, capture_output=True,
                          text=True, timeout=30).stdout


# --- protocols ------------------------------------------------------------------


@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_old_versions_are_refused_by_the_server(service, version):
    status, said = s_client(service, "-" + version, "-cipher", "ALL:@SECLEVEL=0")
    assert status != 0 and "alert protocol version" in said


@pytest.mark.parametrize("version, name", [("tls1_2", "TLSv1.2"), ("tls1_3", "TLSv1.3")])
def test_new_versions_are_accepted(service, version, name):
    status, said = s_client(service, "-" + version)
    assert status == 0 and re.search(rf"New, {re.escape(name)}, Cipher is \S*(GCM|CHACHA20)", said), said


@pytest.mark.parametrize("cipher", ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA"])
def test_ciphers_without_forward_secrecy_or_authentication_are_refused(service, cipher):
    status, said = s_client(service, "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0")
    assert status != 0 and "alert handshake failure" in said


def test_sessions_are_resumed_without_tickets(service, tmp_path):
    session = tmp_path / "session"
    first = s_client(service, "-tls1_2", "-sess_out", session)
    assert first[0] == 0 and "TLS session ticket:" not in first[1]
    assert "Reused, TLSv1.2" in s_client(service, "-tls1_2", "-sess_in", session)[1]


def test_http_2_and_1_1_are_offered(service):
    for option, version in (("--http2", "2"), ("--http1.1", "1.1")):
        url = f"https://localhost:{https_port(service)}/bye"
        assert curl(service, option, "-w", " %{http_version}", url) == '{"msg": "Bye Bye"} ' + version


def test_requests_by_https_are_like_others_and_counted_once(certificates, own_service):
    service = own_service(**variables(certificates))
    assert https(service, "GET", "/status/404").json["title"] == "Not Found"
    assert https(service, "POST", "/bye", body=b"x" * 70000).status == 413
    assert curl(service, "--http2", f"https://localhost:{https_port(service)}/health") == '{"health": "ok"}'
    expected = {("status", "GET", "404"): 1, ("bye", "POST", "413"): 1}
    wait_for(lambda: {key: count for key, count in service.requests().items() if key[0] != "health"} == expected)
    own = {"Origin": f"https://localhost:{https_port(service)}"}
    assert https(service, "GET", "/status/200", headers=own).status == 200
    assert https(service, "GET", "/status/200", headers={"Origin": "https://evil.example"}).status == 403


def test_http_stays_and_a_request_without_tls_on_the_port_of_tls_is_a_400(service):
    assert service.get("/bye").status == 200
    answer = service.get("/bye", port=https_port(service))
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")


def test_other_names_are_refused_by_https_too(certificates, own_service):
    service = own_service(**variables(certificates, ALLOWED_HOSTS="localhost 127.0.0.1", HSTS=60))
    other = {"Host": "evil.example"}
    assert https(service, "GET", "/bye").status == 200
    answer = https(service, "GET", "/bye", headers=other)
    assert (answer.status, answer.headers["Strict-Transport-Security"]) == (421, "max-age=60")
    answer = service.get("/bye", port=https_port(service), headers=other)
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")


def test_hsts_is_sent_by_https_only_and_only_where_it_is_set(certificates, own_service, service):
    name = "Strict-Transport-Security"
    assert https(service, "GET", "/bye").headers[name] is None
    strict = own_service(**variables(certificates, HSTS=63072000))
    for path in ("/bye", "/nope//"):
        assert https(strict, "GET", path).headers[name] == "max-age=63072000"
        assert strict.get(path).headers[name] is None


def test_without_a_certificate_there_is_no_port(own_service):
    port = free_ports(1)[0]
    service = own_service(WORKERS=2, HTTPS_PORT=port)
    assert "ssl" not in (service.run_dir / "nginx.conf").read_text()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_request_of_http_2_with_too_large_headers_is_a_400_in_the_access_log_and_counted(certificates, own_service):
    """nginx closes the connection without an answer, and has no status for it."""
    service = own_service(**variables(certificates))
    url = f"https://localhost:{https_port(service)}/bye"
    run = subprocess.run(["curl", "-sS", "--http2", "--cacert", certificates / "one.pem", "-H", "X-Large: " + "x" * 40000, url],
                         capture_output=True, timeout=30)
    assert run.returncode != 0 and run.stdout == b""
    wait_for(lambda: service.requests().get(("other", "other", "400")) == 1, what=lambda: f"a 400 in {service.requests()}")
    assert curl(service, "--http2", url) == '{"msg": "Bye Bye"}'
    statuses = wait_for(lambda: (found := [line["status"] for line in service.access_log() if line["uri"] == "/bye"])[1:] and found)
    assert statuses == [400, 200]


# --- errors at the start --------------------------------------------------------


def start_and_fail(service):
    with service.log.open("ab") as log:
        service.process = subprocess.Popen([ROOT / "scripts/run"], cwd=service.folder, env=service.environment, stdout=log, stderr=log)
    assert service.process.wait(30) == 1
    assert not list(service.run_dir.glob("*.sock"))
    said = [line for line in service.log.read_text().splitlines() if line.startswith("nginx-conf: ") or "[emerg]" in line]
    assert len(said) == 1, service.log.read_text()
    return said[0]


@pytest.mark.parametrize("change, said", [
    ({"TLS_KEY": "/nope/key"}, "nginx-conf: TLS_KEY=/nope/key is not a file that this user can read"),
    ({"TLS_CERTIFICATE": "/nope/pem"}, "nginx-conf: TLS_CERTIFICATE=/nope/pem is not a file that this user can read"),
    ({"TLS_KEY": ""}, "nginx-conf: TLS_KEY= is not a file that this user can read"),
    ({"TLS_CERTIFICATE": ""}, "nginx-conf: TLS_CERTIFICATE= is not a file that this user can read"),
    ({"HSTS": "soon"}, "nginx-conf: HSTS=soon: it must be a number of seconds, and needs TLS_CERTIFICATE"),
])
def test_what_cannot_be_served_ends_the_start_with_one_line(certificates, own_service, change, said):
    assert start_and_fail(own_service(start=False, **variables(certificates, **change))) == said


def test_a_key_of_another_certificate_ends_the_start(certificates, own_service):
    service = own_service(start=False, **variables(certificates, TLS_KEY=certificates / "two.key"))
    assert re.search(r"two\.key.*key values mismatch", start_and_fail(service))


def test_a_key_that_is_none_ends_the_start(certificates, own_service):
    (certificates / "none.key").write_text("none\n")
    assert "none.key" in start_and_fail(own_service(start=False, **variables(certificates, TLS_KEY=certificates / "none.key")))


# --- a new certificate ------------------------------------------------------------


def subject(service):
    return re.search(r"subject=CN ?= ?(\w+)", s_client(service)[1])[1]


def reload(service):
    os.kill(int((service.run_dir / "nginx.pid").read_text()), signal.SIGHUP)


def install(source, target):
    """As certbot does: the key, then the certificate, each replaced at once."""
    for ending in (".key", ".pem"):
        shutil.copy2(source.with_suffix(ending), target.with_suffix(".new"))
        target.with_suffix(".new").rename(target.with_suffix(ending))


def test_hup_of_nginx_takes_a_new_certificate_and_loses_no_request(certificates, own_service, tmp_path):
    install(certificates / "one.x", tmp_path / "current.x")
    both = tmp_path / "both.pem"
    both.write_text((certificates / "one.pem").read_text() + (certificates / "two.pem").read_text())
    service = own_service(**variables(tmp_path, TLS_CERTIFICATE=tmp_path / "current.pem", TLS_KEY=tmp_path / "current.key"))
    context = ssl.create_default_context(cafile=both)
    stop, answered, lost = threading.Event(), [], []

    def ask():
        while not stop.is_set():
            try:
                with contextlib.closing(http.client.HTTPSConnection("localhost", https_port(service), context=context, timeout=30)) as connection:
                    connection.request("GET", "/delay/0.01")
                    answered.append(connection.getresponse().status)
            except OSError as error:
                lost.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for name in ("two", "one", "two"):
            install(certificates / f"{name}.x", tmp_path / "current.x")
            reload(service)
            wait_for(lambda: subject(service) == name, 30)  # noqa: B023
            enough = len(answered) + 50
            wait_for(lambda: len(answered) > enough or lost, 60)  # noqa: B023
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not lost and set(answered) == {200}


def test_usr1_of_the_service_takes_a_new_certificate_too(certificates, own_service, tmp_path):
    install(certificates / "one.x", tmp_path / "current.x")
    service = own_service(**variables(tmp_path, TLS_CERTIFICATE=tmp_path / "current.pem", TLS_KEY=tmp_path / "current.key"))
    install(certificates / "two.x", tmp_path / "current.x")
    os.kill(service.process.pid, signal.SIGUSR1)
    wait_for(lambda: subject(service) == "two", 30)


def test_after_a_bad_certificate_the_old_one_stays(certificates, own_service, tmp_path):
    install(certificates / "one.x", tmp_path / "current.x")
    service = own_service(**variables(tmp_path, TLS_CERTIFICATE=tmp_path / "current.pem", TLS_KEY=tmp_path / "current.key"))
    shutil.copy2(certificates / "two.pem", tmp_path / "current.pem")  # and not its key
    reload(service)
    wait_for(lambda: "key values mismatch" in service.log.read_text())
    assert subject(service) == "one"


# --- load ---------------------------------------------------------------------------


def test_http_2_under_load_loses_nothing(service):
    run = subprocess.run(["h2load", "-n", "20000", "-c", "20", "-m", "10", f"https://127.0.0.1:{https_port(service)}/bye"], capture_output=True,
                         text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "requests: 20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout" in run.stdout, run.stdout
    assert "Application protocol: h2" in run.stdout


@pytest.mark.parametrize("version, listen", [
    ("nginx/1.22.1", "ssl http2 backlog=4096;"), ("nginx/1.25.0", "ssl http2 backlog=4096;"), ("nginx/1.25.1", "ssl backlog=4096; http2 on;"),
    ("nginx/1.26.3 (Debian)", "ssl backlog=4096; http2 on;"), ("nginx/1.100.0", "ssl backlog=4096; http2 on;"),
    ("openresty/1.25.3.1", "ssl backlog=4096; http2 on;")])
def test_http_2_is_turned_on_as_this_version_of_nginx_has_it(certificates, tmp_path, version, listen):
    """A stand-in says the version: this machine has one nginx only."""
    (tmp_path / "nginx").write_text(f"#!/bin/sh\necho 'nginx version: {version}' >&2\n")
    (tmp_path / "nginx").chmod(0o755)
    run = subprocess.run([ROOT / "scripts/nginx-conf"], capture_output=True, text=True, check=True, env={
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "PROGRAM": str(PROGRAM), "RUN_DIR": str(tmp_path),
        **{name: str(value) for name, value in variables(certificates).items()}})
    assert listen in " ".join(run.stdout.split())
