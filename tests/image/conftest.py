"""The image that `make image` builds, and containers of it that go when the test ends."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from waiting import wait_for  # noqa: E402, F401

VERSION = re.search(r"^VERSION\s*:?=\s*(\S+)$", (ROOT / "Makefile").read_text(), re.M)[1]
IMAGE = f"ghcr.io/fcgi-webapp/fcgi-webapp:{VERSION}"
BASE = os.environ.get("BASE_IMAGE", "debian:13-slim")
PROGRAMS = "localhost/fcgi-webapp-test-programs"
# As the issue and the pod have it: whatever a container can be denied.
HARDENED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=10001"]

PROGRAMS_FILE = f"""FROM {BASE}
RUN --mount=type=secret,id=apt-sources,target=/etc/apt/sources.list.d/machine.list \\
    --mount=type=secret,id=apt-conf,target=/etc/apt/apt.conf.d/99machine \\
    apt-get update -q && apt-get install -qy --no-install-recommends \\
    prometheus prometheus-alertmanager prometheus-nginx-exporter python3
RUN install -d -o nobody -g nogroup /prometheus /alertmanager
"""


def engine(*arguments, check=True, **options):
    """Runs docker or podman; whichever scripts/engine finds."""
    command = [ROOT / "scripts/engine", *map(str, arguments)]
    options = {"capture_output": True, "text": True, "timeout": 120, **options}
    result = subprocess.run(command, check=False, **options)
    assert not check or result.returncode == 0, f"{' '.join(map(str, arguments))}: {result.stderr}"
    return result


def free_ports(count):
    """Ports that nobody listens on, no two alike: each is held until the last is found."""
    with contextlib.ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def get(port, path, timeout=10):
    """Status and body, whatever the status."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


def samples(text):
    """The series of a /metrics page, as name{labels} -> value."""
    return {k: float(v) for k, v in (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")}


@pytest.fixture(scope="session")
def image():
    """Builds the image; where no engine works, or nothing runs, the tests that need it are skipped and say so."""
    name = engine(check=False)
    if name.returncode != 0:
        pytest.skip(name.stderr.strip())
    if name.stdout.strip() == "buildah":
        pytest.skip("buildah builds images; running one takes docker or podman")
    made = subprocess.run(["make", "image"], cwd=ROOT, capture_output=True, text=True, timeout=1500, check=False)
    assert made.returncode == 0, made.stdout[-1500:] + made.stderr[-1500:]
    probe = engine("run", "--rm", "--network=host", "--entrypoint=true", IMAGE, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no container starts on this machine: {probe.stderr.strip()}")
    return IMAGE


def build(tag, dockerfile, folder):
    folder.mkdir()
    (folder / "Dockerfile").write_text(dockerfile)
    secrets = [f"--secret=id=apt-{name},src={ROOT}/build/apt.{file}" for name, file in (("sources", "list"), ("conf", "conf"))]
    form = ["--format=docker"] if engine().stdout.strip() == "podman" else []
    engine("build", *form, "--network=host", *secrets, "--tag", tag, folder, timeout=600)


@pytest.fixture(scope="session")
def programs(image, tmp_path_factory):
    """An image with the programs of Debian that k8s/ takes from registries, and with the folders of their images."""
    build(PROGRAMS, PROGRAMS_FILE, tmp_path_factory.mktemp("images") / "programs")


class Container:
    """One container on the loopback of this machine."""

    def __init__(self, *options, command=()):
        self.http, self.metrics = free_ports(2)
        self.name = f"fcgi-webapp-test-{self.http}"
        ports = [f"--env=HTTP_PORT={self.http}", f"--env=METRICS_PORT={self.metrics}", "--env=LISTEN=127.0.0.1"]
        engine("run", "--detach", f"--name={self.name}", "--network=host", *ports, *options, IMAGE, *command)

    def ready(self):
        def answers():
            try:
                return get(self.http, "/ready")[0] == 200
            except OSError:
                assert self.running(), self.log()
                return False

        wait_for(answers, "ready")
        return self

    def get(self, path, timeout=10):
        return get(self.http, path, timeout)

    def samples(self):
        return samples(get(self.metrics, "/metrics")[1])

    def exec(self, *command, **options):
        return engine("exec", self.name, *command, **options)

    def state(self):
        return json.loads(engine("inspect", self.name).stdout)[0]["State"]

    def running(self):
        return self.state()["Running"]

    def signal(self, name):
        engine("kill", f"--signal={name}", self.name)

    def exit_code(self):
        """Waits until it has ended."""
        return int(engine("wait", self.name).stdout)

    def log(self):
        result = engine("logs", self.name)
        return result.stdout + result.stderr

    def remove(self):
        engine("rm", "--force", "--volumes", self.name)


@pytest.fixture
def start(image):
    """Starts containers: start(*options, command=[...])."""
    containers = []

    def start_one(*options, **keywords):
        containers.append(Container(*options, **keywords))
        return containers[-1]

    yield start_one
    for container in containers:
        container.remove()


@pytest.fixture
def limited(start):
    """The service as the issue runs it: hardened, a fifth of a CPU, 128 MiB."""
    return start(*HARDENED, "--cpus=0.2", "--memory=128m").ready()
