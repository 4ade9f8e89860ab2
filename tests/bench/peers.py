"""The peers: how each is started, and where it says how much it counted."""

import glob
import os
import pathlib
import re
import shutil
import subprocess
import time

from processes import Processes, SanityError, fetch, free_ports

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "bench" / "peers"
BUILD = ROOT / "build" / "bench"
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def build(program, *command, **environment):
    """Run a compiler; the program's path."""
    program.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"bench: cannot build {program}:\n{done.stdout}{done.stderr}")
    return program


def sum_of(metrics, family, label):
    """The sum of a family's samples with this label."""
    lines = re.findall(rf"^{family}{{([^}}]*)}} (\S+)$", metrics, re.MULTILINE)
    return sum(int(float(value)) for labels, value in lines if label in labels)


class Peer:
    name = ""
    path = "/"
    counts = True
    behind_nginx = False  # two containers in a pod: nginx and the server

    @classmethod
    def unavailable(cls):
        """Build it; why it cannot take part, or None."""

    def __init__(self):
        self.directory = BUILD / "run" / re.sub(r"\W+", "-", self.name)
        self.processes = Processes(self.directory / "log")

    def set_up(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.port, self.private_port, self.inner_port = free_ports(3)
        self.prepare()

    def start(self):
        self.set_up()
        self.started = time.monotonic()
        self.launch()

    def age(self):
        return time.monotonic() - self.started

    def prepare(self):
        """What is there before the first process starts."""

    def launch(self):
        raise NotImplementedError

    def counted(self):
        """The requests that the peer says it has answered."""
        status, _, body = fetch(self.private_port, "/metrics")
        if status != 200:
            raise SanityError(f"its metrics answer {status}")
        return sum_of(body.decode(), "http_requests_total", self.counted_label())

    def counted_label(self):
        return 'endpoint="root"'

    def forget_log(self):
        """The access log is written as it would be, but not kept."""
        for log in self.directory.glob("access.log"):
            os.truncate(log, 0)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.processes.stop()


class NginxPeer(Peer):
    """A server behind the nginx of fcgi-webapp: its configuration, but for the
    locations that are measured."""

    behind_nginx = True
    location = None  # what these do, instead of passing to the pool
    nginx_workers = "auto"
    nginx_cgroup = None  # that of the other processes
    root = ROOT  # of the tree with the configuration

    def prepare(self):
        done = subprocess.run(
            [str(self.root / "scripts" / "nginx-conf")],
            cwd=self.root,
            env={
                **os.environ,
                "RUN_DIR": str(self.directory),
                "LISTEN": "127.0.0.1",
                "HTTP_PORT": str(self.port),
                "METRICS_PORT": str(self.private_port),
                "NGINX_WORKERS": str(self.nginx_workers),
                "ACCESS_LOG": str(self.directory / "access.log"),
                "FCGI_WEBAPP_SOCKET": str(self.directory / "app.sock"),
                "FCGI_WEBAPP_METRICS_SOCKET": str(self.directory / "metrics.sock"),
                **self.environment(),
            },
            check=True,
            capture_output=True,
            text=True,
        )
        (self.directory / "nginx.conf").write_text(self.configure(done.stdout))

    def environment(self):
        """What this peer wants of the configuration."""
        return {}

    def configure(self, text):
        if self.location is None:
            return text
        edited, count = re.subn(r"fastcgi_pass (kept|\$pool);", lambda _: self.location, text)
        if count == 0:
            raise SystemExit("bench: nginx.conf.template has no location that passes to the pool")
        return edited

    def launch(self):
        command = ["nginx", "-e", "stderr", "-p", self.directory, "-c", self.directory / "nginx.conf"]
        self.processes.start("chrt", "--batch", "0", *command, cgroup=self.nginx_cgroup, PATH=PATH)

    def counted(self):
        """For those that count nothing."""
        return self.answered()

    def answered(self):
        """What nginx has answered."""
        status, _, body = fetch(self.private_port, "/nginx_status")
        if status != 200:
            raise SanityError(f"nginx's status answers {status}")
        return int(body.split(b"\n")[2].split()[2])


class FcgiWebapp(NginxPeer):
    name = "fcgi-webapp"

    def __init__(
        self, name="fcgi-webapp", program=ROOT / "build" / "fcgi-webapp", workers=0, blocking_workers=0, path="/", endpoint="root"
    ):
        self.name = name
        super().__init__()
        self.program, self.workers, self.blocking_workers = program, workers, blocking_workers
        self.path, self.endpoint = path, endpoint

    def environment(self):
        return {"PROGRAM": str(self.program), "FCGI_WEBAPP_BLOCKING_WORKERS": str(self.blocking_workers)}

    def launch(self):
        self.pool = self.processes.start(
            self.program,
            "serve",
            FCGI_WEBAPP_SOCKET=str(self.directory / "app.sock"),
            FCGI_WEBAPP_METRICS_SOCKET=str(self.directory / "metrics.sock"),
            FCGI_WEBAPP_METRICS_FILE=str(self.directory / "counters"),
            FCGI_WEBAPP_WORKERS=str(self.workers),
            **self.environment(),
        )
        super().launch()

    counted = Peer.counted

    def counted_label(self):
        return f'endpoint="{self.endpoint}"'


class Uncounted(FcgiWebapp):
    """The same build with counting taken out: request_metrics_add() does nothing,
    and nginx does not say when a request came, so that its clock is not read."""

    counts = False

    def configure(self, text):
        edited, count = re.subn(r"\n *fastcgi_param REQUEST_TIME [^\n]*", "", text)
        if count != 1:
            raise SystemExit("bench: nginx.conf.template has not one REQUEST_TIME")
        return edited


class NginxReturn(NginxPeer):
    """The limit: nginx with all that it does for fcgi-webapp, and no pool."""

    name = "nginx return 200"
    behind_nginx = False
    location = "default_type application/json; return 200 '{\"msg\": \"Hello World\"}';"

    def configure(self, text):
        """Without the line for an answer that no worker has counted: answers of the pool have none."""
        edited, count = re.subn(r"\n *access_log [^;]* gateway [^;]*;", "", super().configure(text))
        if count == 0:
            raise SystemExit("bench: nginx.conf.template has no log of format gateway")
        return edited


class NginxBare(NginxReturn):
    """The same without log, headers and request ids, to show what those cost."""

    name = "nginx return 200, bare"

    def configure(self, text):
        text = re.sub(r"\n *add_header [^\n]*", "", super().configure(text))
        return re.sub(r"access_log [^;]*;", "access_log off;", text)


class UsualPool(NginxPeer):
    name = "usual libfcgi pool"
    workers = 4

    def configure(self, text):
        """All requests go to it, also those that fcgi-webapp gives to its blocking workers."""
        return super().configure(text).replace("fastcgi_pass blocking;", f"fastcgi_pass unix:{self.directory / 'app.sock'};")

    def environment(self):
        return {"FCGI_WEBAPP_BLOCKING_WORKERS": str(self.workers)}

    def prepare(self):
        # On, off: nothing else of the configuration differs.
        self.location = f"fastcgi_keep_conn off; fastcgi_pass unix:{self.directory / 'app.sock'};"
        super().prepare()

    def launch(self):
        self.processes.start(BUILD / "usual-pool", self.directory / "app.sock", self.workers)
        super().launch()

    @classmethod
    def unavailable(cls):
        build(BUILD / "usual-pool", "cc", "-O2", "-o", BUILD / "usual-pool", HERE / "usual-pool.c", "-lfcgi")


class FixedAnswer(NginxPeer):
    """The floor behind nginx: as many processes as the pool has, which parse nothing and always write the same bytes."""

    name = "fixed answer behind nginx"

    def launch(self):
        self.processes.start("chrt", "--batch", "0", BUILD / "fixed-answer", self.directory / "app.sock", max(2, os.cpu_count()))
        super().launch()

    @classmethod
    def unavailable(cls):
        build(BUILD / "fixed-answer", "cc", "-O2", "-o", BUILD / "fixed-answer", HERE / "fixed-answer.c")


class Program(Peer):
    """An HTTP server that is one program, which is given its address."""

    def launch(self):
        self.private_port = self.port
        self.processes.start(BUILD / self.program, f"127.0.0.1:{self.port}")


class ProgramBehindNginx(NginxPeer):
    """The same behind the nginx of fcgi-webapp, on kept connections."""

    def prepare(self):
        self.location = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://program;'
        super().prepare()

    def configure(self, text):
        upstream = f"upstream program {{ server 127.0.0.1:{self.inner_port}; keepalive 256; keepalive_requests 1000000; }}\n"
        return super().configure(text).replace("    upstream kept {", f"    {upstream}    upstream kept {{", 1)

    def launch(self):
        self.processes.start(BUILD / self.program, f"127.0.0.1:{self.inner_port}")
        super().launch()

    def counted(self):
        self.private_port, private_port = self.inner_port, self.private_port
        try:
            return Peer.counted(self)
        finally:
            self.private_port = private_port


class Go(Program):
    name = "Go net/http"
    program = "go-peer"

    @classmethod
    def unavailable(cls):
        """By Debian's Go, of Debian's packages alone."""
        compilers = sorted(glob.glob("/usr/lib/go*/bin/go"))
        if not compilers:
            raise SystemExit("bench: Debian's Go is not here: run 'make deps-bench'")
        build(
            BUILD / "go-peer",
            *(compilers[0], "build", "-o", BUILD / "go-peer", "./tests/bench/peers/go"),
            GOROOT=str(pathlib.Path(compilers[0]).parents[1]),
            GOPATH="/usr/share/gocode",
            GOCACHE=str(BUILD / "go-cache"),
            GO111MODULE="off",
            GOFLAGS="",
            GOTOOLCHAIN="local",
        )


class GoBehindNginx(ProgramBehindNginx):
    name = "Go behind nginx"
    program, unavailable = Go.program, Go.unavailable


class FastAPI(Peer):
    """As many processes as CPUs, which share their counts the way that
    prometheus_client documents."""

    def prepare(self):
        self.private_port = self.port
        (self.directory / "counts").mkdir()

    def launch(self):
        self.processes.start(
            *("/usr/bin/python3", *self.command()),
            PYTHONPATH=str(HERE),
            PYTHONDONTWRITEBYTECODE="1",
            PROMETHEUS_MULTIPROC_DIR=str(self.directory / "counts"),
        )


class Uvicorn(FastAPI):
    name = "FastAPI on uvicorn"

    def command(self):
        options = ["--workers", os.cpu_count(), "--no-access-log", "--log-level", "warning"]
        return ["-m", "uvicorn", *options, "--host", "127.0.0.1", "--port", self.port, "fastapi_app:app"]


class Hypercorn(FastAPI):
    name = "FastAPI on hypercorn"

    def command(self):
        # Its own loop waits 40 ms for each answer on a kept connection: Nagle.
        options = ["--workers", os.cpu_count(), "--worker-class", "uvloop"]
        return ["-m", "hypercorn", *options, "--bind", f"127.0.0.1:{self.port}", "fastapi_app:app"]
