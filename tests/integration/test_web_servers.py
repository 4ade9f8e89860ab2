"""Other web servers than nginx, each the real one: as plain CGI, and in front of the pool over FastCGI."""

import collections
import contextlib
import os
import shutil
import socket
import subprocess
import threading

import pytest

import conftest
from conftest import PROGRAM, free_ports, parse, requests_of, run_program, stat_of, wait_for

BODY_MAX = 64 << 10
IS_ROOT = os.geteuid() == 0

# --- plain CGI -----------------------------------------------------------------

LIGHTTPD_CGI = """
server.document-root = "{folder}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_alias", "mod_setenv", "mod_cgi")
alias.url = ("/" => "{program}/")
cgi.assign = ("fcgi-webapp" => "")
setenv.add-environment = ("FCGI_WEBAPP_METRICS_FILE" => "{counters}")
"""

# Apache refuses to serve as root: as nobody, in the group that the pool lets in.
APACHE = """
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
Mutex file:{folder}
ErrorLog {folder}/apache.log
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
{user}
"""

APACHE_CGI = APACHE + """
LoadModule mpm_{mpm}_module /usr/lib/apache2/modules/mod_mpm_{mpm}.so
LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule env_module /usr/lib/apache2/modules/mod_env.so
ScriptAlias / {program}/
SetEnv FCGI_WEBAPP_METRICS_FILE {counters}
"""

FCGIWRAP_NGINX = """
daemon off;
pid {folder}/n.pid;
error_log stderr warn;
{nginx_user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/b; fastcgi_temp_path {folder}/f; proxy_temp_path {folder}/p;
    scgi_temp_path {folder}/s; uwsgi_temp_path {folder}/u;
    client_max_body_size 10m;
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

COMMANDS = {
    "lighttpd": ["/usr/sbin/lighttpd", "-D", "-f"],
    "apache": ["/usr/sbin/apache2", "-DFOREGROUND", "-f"],
    "nginx": ["/usr/sbin/nginx", "-q", "-e", "stderr", "-c"],
    "haproxy": ["/usr/sbin/haproxy", "-db", "-f"],
    "caddy": ["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config"],
}

CGI = {
    "lighttpd mod_cgi": ("lighttpd", LIGHTTPD_CGI, {}),
    "Apache mod_cgid": ("apache", APACHE_CGI, {"mpm": "event", "module": "cgid"}),
    "Apache mod_cgi": ("apache", APACHE_CGI, {"mpm": "prefork", "module": "cgi"}),
    "fcgiwrap": ("nginx", FCGIWRAP_NGINX, {}),
}


class WebServer:
    """One web server in a folder of its own, in front of the program."""

    def __init__(self, folder):
        self.folder = folder
        (self.port,) = free_ports(1)
        self.log = folder / "server.log"
        self.processes = []

    def run(self, command):
        with self.log.open("ab") as log:
            self.processes.append(subprocess.Popen(
                [str(word) for word in command], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.environ["PATH"] + ":/usr/sbin", "HOME": str(self.folder)}, start_new_session=True))
        return self.processes[-1]

    def start(self, kind, template, **values):
        conf = self.folder / f"{kind}.conf"
        conf.write_text(template.format(
            folder=self.folder, port=self.port, nginx_user="user root;" if IS_ROOT else "",
            user="User nobody\nGroup #0" if IS_ROOT else "", **values))
        process = self.run([*COMMANDS[kind], conf])

        def is_up():
            assert process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError):
                return self.get("/bye").status == 200

        wait_for(is_up, what=lambda: self.log.read_text())
        return self

    def request(self, method, path, headers=None, body=None):
        return conftest.Service.request(self, method, path, headers, body, timeout=20)

    def get(self, path, **arguments):
        return self.request("GET", path, **arguments)

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(20)
        groups = {str(process.pid) for process in self.processes}
        wait_for(lambda: not any(groups.intersection(stat_of(pid)[2:3]) for pid in os.listdir("/proc") if pid.isdigit()),
                 what="the end of all processes")


@contextlib.contextmanager
def web_server():
    folder = conftest.short_folder()
    folder.chmod(0o770)
    server = WebServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=CGI)
def cgi(request):
    """The program as plain CGI under a web server, without a pool."""
    kind, template, values = CGI[request.param]
    with web_server() as server:
        server.counters = server.folder / "counters"
        program = shutil.copy(PROGRAM, server.folder)
        if request.param == "fcgiwrap":
            server.run(["/usr/sbin/fcgiwrap", "-s", f"unix:{server.folder}/w.sock"])
            wait_for((server.folder / "w.sock").exists)
        server.start(kind, template, program=program, counters=server.counters, **values)
        server.requests = lambda: requests_of(parse(run_program("metrics", "--metrics-file", str(server.counters)).stdout))
        yield server


def ask(server, count, request, threads=8):
    """Send so many requests from several threads; the answers' statuses, counted."""
    numbers, statuses = iter(range(count)), collections.Counter()
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                if next(numbers, None) is None:
                    return
            status = request(server).status
            with lock:
                statuses[status] += 1

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return statuses


def count_exactly(server, expected, before=collections.Counter()):
    """Wait until the counters are what is expected; else say what they are."""
    counts = {}

    def is_exact():
        counts.update({key: value - before.get(key, 0) for key, value in server.requests().items()})
        return all(counts.get(key) == value for key, value in expected.items())

    with contextlib.suppress(AssertionError):
        wait_for(is_exact, 5)
    assert {key: counts.get(key) for key in expected} == expected


def test_cgi_counts_every_answer_that_the_web_server_passed_on(cgi):
    before = cgi.requests()
    assert ask(cgi, 300, lambda server: server.get("/health")) == {200: 300}
    count_exactly(cgi, {("health", "GET", "200"): 300}, before)


def test_cgi_answers_head_without_a_body_and_delay_when_it_is_due(cgi):
    answer = cgi.request("HEAD", "/health")
    assert answer.status == 200 and answer.body == b""
    assert cgi.get("/delay/0.2").status == 200
    count_exactly(cgi, {("health", "HEAD", "200"): 1, ("delay", "GET", "200"): 1})


def test_cgi_refuses_a_body_over_the_limit_and_takes_one_of_just_the_limit(cgi):
    assert cgi.request("POST", "/riseload?seconds=0", body=b"x" * BODY_MAX).status == 400
    for size in BODY_MAX + 1, 1 << 20:
        answer = cgi.request("POST", "/riseload?seconds=1", body=b"x" * size)
        assert answer.status == 413
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["detail"] == "The body has more than 65536 bytes."
    count_exactly(cgi, {("riseload", "POST", "400"): 1, ("riseload", "POST", "413"): 2})
    assert cgi.get("/health").status == 200


# --- FastCGI ---------------------------------------------------------------------

LIGHTTPD_FASTCGI = """
server.document-root = "{folder}"
server.bind = "127.0.0.1"
server.port = {port}
server.max-request-field-size = 32768
server.modules = ("mod_fastcgi")
fastcgi.server = ("/" => ((
    "socket" => "{socket}", "check-local" => "disable",
    "fix-root-scriptname" => "enable" # the whole path becomes PATH_INFO
)))
"""

APACHE_FASTCGI = APACHE + """
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_fcgi_module /usr/lib/apache2/modules/mod_proxy_fcgi.so
ProxyPass / unix:{socket}|fcgi://localhost/ {reuse}
ProxyFCGISetEnvIf true PATH_INFO "%{{REQUEST_URI}}"
"""

HAPROXY = """
global
    tune.bufsize 32768
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 75s
fcgi-app fcgi-webapp
    docroot /
    {get_values}
    set-param PATH_INFO %[path,url_dec]
frontend public
    bind 127.0.0.1:{port}
    default_backend pool
backend pool
    use-fcgi-app fcgi-webapp
    server pool unix@{socket} proto fcgi
"""

CADDY = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    reverse_proxy unix/{socket} {{
        transport fastcgi {{
            env PATH_INFO {{http.request.uri.path}}
        }}
    }}
}}
"""

FASTCGI = {
    "lighttpd": ("lighttpd", LIGHTTPD_FASTCGI, {}),
    "Apache": ("apache", APACHE_FASTCGI, {"reuse": ""}),
    "Apache that keeps connections": ("apache", APACHE_FASTCGI, {"reuse": "enablereuse=on"}),
    "HAProxy": ("haproxy", HAPROXY, {"get_values": ""}),
    "HAProxy that asks for values": ("haproxy", HAPROXY, {"get_values": "option get-values"}),
    "Caddy": ("caddy", CADDY, {}),
}


@contextlib.contextmanager
def pool():
    """The pool alone; a web server may be started in front of it."""
    with web_server() as server:
        server.socket = server.folder / "app.sock"
        counters = server.folder / "counters"
        master = server.run([PROGRAM, "serve", "--socket", server.socket, "--metrics-socket", server.folder / "metrics.sock",
                             "--metrics-file", counters, "--workers", 2])
        server.requests = lambda: requests_of(parse(run_program("metrics", "--metrics-file", str(counters)).stdout))
        wait_for(lambda: master.poll() is not None or server.socket.exists())
        yield server
        assert "connection closed" not in server.log.read_text()


@pytest.fixture(params=FASTCGI)
def fastcgi(request):
    """The pool behind a web server."""
    kind, template, values = FASTCGI[request.param]
    with pool() as server:
        yield server.start(kind, template, socket=server.socket, **values)


def test_fastcgi_answers_and_counts_every_request(fastcgi):
    before = fastcgi.requests()
    assert ask(fastcgi, 200, lambda server: server.get("/health")) == {200: 200}
    count_exactly(fastcgi, {("health", "GET", "200"): 200}, before)


def test_fastcgi_routes_by_the_decoded_path_whatever_the_method(fastcgi):
    answer = fastcgi.request("HEAD", "/health")
    assert answer.status == 200 and answer.body == b""
    assert fastcgi.get("/").json == {"msg": "Hello World"}
    assert fastcgi.get("/status/%34%318?x=/bye").status == 418
    assert fastcgi.get("/nothing/here").status == 404
    assert fastcgi.get("/delay/0.2").status == 200
    assert fastcgi.request("POST", "/riseload?seconds=0", body=b"x" * 30000).status == 400
    count_exactly(fastcgi, {("health", "HEAD", "200"): 1, ("root", "GET", "200"): 1, ("status", "GET", "418"): 1,
                            ("other", "GET", "404"): 1, ("delay", "GET", "200"): 1, ("riseload", "POST", "400"): 1})


def test_fastcgi_takes_an_environment_of_more_than_8_kib(fastcgi):
    headers = {"Cookie": "c" * 4000, "X-First": "f" * 4000, "X-Second": "s" * 4000}
    assert ask(fastcgi, 20, lambda server: server.request("GET", "/version", headers)) == {200: 20}
    count_exactly(fastcgi, {("version", "GET", "200"): 20})


def record(kind, content=b"", request_id=1):
    return bytes([1, kind]) + request_id.to_bytes(2, "big") + len(content).to_bytes(2, "big") + b"\0\0" + content


def pairs(**values):
    """Name-value pairs, each length in four bytes."""
    return b"".join((len(name) | 1 << 31).to_bytes(4, "big") + (len(value) | 1 << 31).to_bytes(4, "big") + name.encode() + value.encode()
                    for name, value in values.items())


def begin(role=1, keep=1, request_id=1):
    return record(1, bytes([0, role, keep, 0, 0, 0, 0, 0]), request_id)


def answers(client, last):
    """The records that come, as (type, id, content), up to one of the last type."""
    found = []
    while not found or found[-1][0] != last:
        header = client.recv(8, socket.MSG_WAITALL)
        assert len(header) == 8, f"the connection ended after {found}"
        size = int.from_bytes(header[4:6], "big") + header[6]
        content = client.recv(size, socket.MSG_WAITALL) if size else b""
        found.append((header[1], int.from_bytes(header[2:4], "big"), content[:int.from_bytes(header[4:6], "big")]))
    return found


def connect(server):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(server.socket))
    return client


def request_records(path, request_id=1, **more):
    return (begin(request_id=request_id) + record(4, pairs(REQUEST_METHOD="GET", PATH_INFO=path, **more), request_id)
            + record(4, request_id=request_id) + record(5, request_id=request_id))


END, GET_VALUES, VALUES, UNKNOWN_TYPE = 3, 9, 10, 11


def test_a_client_may_ask_for_values_first_as_fastcgi_client_of_npm_does():
    with pool() as server, connect(server) as client:
        client.sendall(record(GET_VALUES, pairs(FCGI_MAX_CONNS="", FCGI_MAX_REQS="", FCGI_MPXS_CONNS=""), 0))
        (answer,) = answers(client, VALUES)
        assert answer[:2] == (VALUES, 0)
        assert b"FCGI_MPXS_CONNS0" in answer[2] and b"FCGI_MAX_CONNS" in answer[2] and b"FCGI_MAX_REQS" in answer[2]
        client.sendall(request_records("/bye"))
        *out, end = answers(client, END)
        assert b'{"msg": "Bye Bye"}' in b"".join(content for _, _, content in out)
        assert end == (END, 1, bytes(8))


def test_what_is_no_request_is_answered_as_fastcgi_1_says():
    with pool() as server, connect(server) as client:
        client.sendall(record(200, b"?", 0))
        assert answers(client, UNKNOWN_TYPE) == [(UNKNOWN_TYPE, 0, bytes([200]) + bytes(7))]
        client.sendall(begin(role=3) + record(4))
        assert answers(client, END) == [(END, 1, bytes([0, 0, 0, 0, 3, 0, 0, 0]))]  # FCGI_UNKNOWN_ROLE
        client.sendall(request_records("/bye", 1) + begin(request_id=2))
        found = answers(client, END)
        assert found == [(END, 2, bytes([0, 0, 0, 0, 1, 0, 0, 0]))]  # FCGI_CANT_MPX_CONN
        assert answers(client, END)[-1] == (END, 1, bytes(8))
        client.sendall(begin() + record(2))
        assert answers(client, END) == [(END, 1, bytes(8))]
        client.sendall(request_records("/bye"))
        assert answers(client, END)[-1] == (END, 1, bytes(8))
        count_exactly(server, {("bye", "GET", "200"): 2})


def test_a_client_of_libfcgi_may_have_an_environment_of_more_than_8_kib():
    with pool() as server:
        environment = {"PATH": os.environ["PATH"], "REQUEST_METHOD": "GET", "PATH_INFO": "/bye",
                       **{f"HTTP_X_{number}": "x" * 1000 for number in range(20)}}
        run = subprocess.run(["cgi-fcgi", "-bind", "-connect", str(server.socket)], env=environment, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=20)
        assert run.returncode == 0, run
        assert run.stdout.endswith('{"msg": "Bye Bye"}')
        count_exactly(server, {("bye", "GET", "200"): 1})
