"""Other web servers than nginx, each the real one: as plain CGI, and in front of the pool over FastCGI."""

import collections
import contextlib
import os
import shutil
import subprocess
import threading

import pytest

import conftest
from conftest import PROGRAM, free_ports, parse, requests_of, run_program, wait_for

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
            server.run(["/usr/sbin/fcgiwrap", "-c", 4, "-s", f"unix:{server.folder}/w.sock"])
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
