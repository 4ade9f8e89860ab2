"""The real nginx in front of the real binary, on free loopback ports."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / os.environ.get("BUILD", "build") / "fcgi-webapp"

# Of every service here that is not told otherwise.
BLOCKING_WORKERS = 4


def pytest_configure(config):
    config.addinivalue_line("markers", "own_build: builds a program of its own, so an instrumented build would learn nothing")


def pytest_collection_modifyitems(config, items):
    if PROGRAM.parent == ROOT / "build":
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("own_build")])
    items[:] = [item for item in items if not item.get_closest_marker("own_build")]


def copy_of_the_tree(folder):
    """A copy of the tree, to change and to build. It has the objects of this build: make compiles what is changed."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"), symlinks=True)
    built = ROOT / "build"
    shutil.copytree(built / "fcgi", folder / "build/fcgi")
    for path in built.iterdir():
        if path.is_file():
            shutil.copy2(path, folder / "build")
    return folder


def make_in(tree, *arguments):
    """make in a copy of the tree, with nothing of the make that runs the tests."""
    return subprocess.run(["make", *arguments], cwd=tree, capture_output=True, text=True, timeout=600,
                          env={**os.environ, "BUILD": "build", "MAKEFLAGS": "-j2", "MAKELEVEL": ""})


def build(tree):
    """The program of a copy of the tree."""
    run = make_in(tree, "build")
    assert run.returncode == 0, run.stdout + run.stderr
    return tree / "build/fcgi-webapp"


def declare_headers(tree, *names):
    """Lines in a copy's table of headers, but for those that the application has."""
    table = tree / "fcgi/app/headers.def"
    for name in names:
        if f"\nHEADER({name})\n" not in table.read_text():
            table.write_text(f"{table.read_text()}HEADER({name})\n")


def free_ports(count):
    """Ports that nobody listens on, no two alike: each is held until the last is found."""
    with contextlib.ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def wait_for(condition, seconds=10, what="the condition"):
    """Wait until condition() is true and return what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"waited {seconds} s for {what() if callable(what) else what}"
        time.sleep(0.01)


def stat_of(pid):
    """The fields of /proc/PID/stat behind the name: state, parent, ...; none for no such process."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def children(pid):
    """The pids of a process's children. (The kernel's own list of them skips some while others end.)"""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and stat_of(entry)[1:2] == [str(pid)]]


def name_of(pid):
    """What ps shows, of which the kernel keeps 15 characters."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def exists(pid):
    """Whether the process lives; one that is dead but not reaped does not."""
    return stat_of(pid)[:1] not in ([], ["Z"])


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Service:
    """scripts/run in a folder of its own."""

    def __init__(self, folder, **environment):
        self.folder = pathlib.Path(folder)
        self.run_dir = self.folder / "run"
        self.counters = self.folder / "state" / "counters"
        self.port, self.metrics_port = free_ports(2)
        self.log = self.folder / "log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PROGRAM": str(PROGRAM),
            "RUN_DIR": str(self.run_dir),
            "HTTP_PORT": str(self.port),
            "METRICS_PORT": str(self.metrics_port),
            "FCGI_WEBAPP_METRICS_FILE": str(self.counters),
            "ACCESS_LOG": str(self.folder / "access.log"),
            "FCGI_WEBAPP_BLOCKING_WORKERS": str(BLOCKING_WORKERS),
            **{name: os.environ[name] for name in os.environ if name.endswith("SAN_OPTIONS")},
            **{name: str(value) for name, value in environment.items()},
        }
        self.process = None

    def start(self, script=ROOT / "scripts" / "run"):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [script], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        wait_for(self.is_up, what=lambda: self.log.read_text())
        return self

    def is_up(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/health").status == 200
        return False

    def stop(self, number=signal.SIGTERM, seconds=40):
        """End it and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def kill(self):
        """What no test should leave behind: end all that is left, by pid."""
        if not self.process:
            return
        left = self.all_pids()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop(signal.SIGINT, 5)
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: not any(exists(pid) for pid in left), what="the end of all")

    def request(self, method, path, headers=None, body=None, port=None, timeout=90):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **arguments):
        return self.request("GET", path, **arguments)

    def raw(self, data, seconds=15):
        """Send bytes, return all that comes back until the end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as client:
            client.sendall(data)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while chunk := client.recv(65536):
                    answer += chunk
            return answer

    def scrape(self):
        """All samples as {(name, labels...): value}."""
        answer = self.get("/metrics", port=self.metrics_port)
        assert answer.status == 200
        return parse(answer.body.decode())

    def requests(self):
        """http_requests_total as {(endpoint, method, code): count}, without zeros."""
        return requests_of(self.scrape())

    def all_pids(self):
        pids, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            pids.append(pid)
            todo += children(pid)
        return pids

    @property
    def supervisor(self):
        return self._child(self.process.pid, "fcgi-webapp")

    @property
    def master(self):
        return self._child(self.supervisor, "master")

    @staticmethod
    def _child(parent, name):
        """The youngest child of that name: one that was killed may not be reaped yet."""
        return wait_for(lambda: [pid for pid in children(parent) if name_of(pid) == name[:15] and exists(pid)], what=f"the {name}")[-1]

    @property
    def workers(self):
        return [pid for pid in children(self.master) if name_of(pid) == "worker"]

    @property
    def blocking_workers(self):
        return [pid for pid in children(self.master) if name_of(pid) == "blocking worker"]

    @property
    def metrics_process(self):
        return self._child(self.supervisor, "metrics process")

    def log_lines(self):
        """The JSON lines of the pool's log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"time"') and '"pid"' in line]

    def access_log(self):
        return [json.loads(line) for line in (self.folder / "access.log").read_text().splitlines()]


def parse(text):
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[(sample.name, *sorted(sample.labels.items()))] = sample.value
    return samples


def requests_of(samples):
    return {(dict(key[1:])["endpoint"], dict(key[1:])["method"], dict(key[1:])["code"]): int(value)
            for key, value in samples.items() if key[0] == "http_requests_total" and value}


def total(samples, name):
    return sum(value for key, value in samples.items() if key[0] == name)


def short_folder():
    """A temporary folder with a path short enough for a unix socket."""
    return pathlib.Path(tempfile.mkdtemp(prefix="fw"))


@contextlib.contextmanager
def running(start=True, **environment):
    folder = short_folder()
    service = Service(folder, **environment)
    try:
        yield service.start() if start else service
    finally:
        service.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def service():
    """One service for the tests of a module that do no harm to it."""
    with running(WORKERS=2) as started:
        yield started


@pytest.fixture
def own_service():
    """A service for one test, which may break it: own_service(WORKERS=4)."""
    with contextlib.ExitStack() as stack:
        yield lambda **arguments: stack.enter_context(running(**arguments))


@contextlib.contextmanager
def running_prometheus(service, folder, *features, program="prometheus", **settings):
    """Prometheus with these features and settings of the scrape; ask(path) returns its data, ask(query=...) the samples of a query."""
    (port,) = free_ports(1)
    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "fcgi-webapp", **settings,
                            "static_configs": [{"targets": [f"127.0.0.1:{service.metrics_port}"]}]}]}))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--enable-feature={','.join(features)}", f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)

    def ask(path="/api/v1/query", query=None):
        if query:
            path += "?" + urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                data = json.load(answer)["data"]
        except OSError:
            data = {"result": []} if query else None
        return data["result"] if query else data

    try:
        yield ask
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def prometheus(service, tmp_path):
    """Prometheus with storage for exemplars, as `make stack` and k8s/ start it."""
    with running_prometheus(service, tmp_path, "exemplar-storage") as ask:
        yield ask


def run_program(*arguments, environment=None, **options):
    return subprocess.run([PROGRAM, *arguments], env={"PATH": os.environ["PATH"], **(environment or {})},
                          capture_output=True, timeout=60, **{"text": True, **options})


def strip_ansi(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
