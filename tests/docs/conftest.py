"""The documents, the facts to compare them with, and a copy of the tree with a running service."""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from modules import load_module  # noqa: E402

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / ".github").glob("*.md"))]
RUNBOOKS = sorted((ROOT / "monitoring/runbooks").glob("*.md"))
GENERATED = {"CHANGELOG.md", "slack-messages.md"}  # the history of releases; a page that a test writes

harness = load_module("integration_harness", ROOT / "tests" / "integration" / "conftest.py")


def name(path):
    return str(path.relative_to(ROOT))


def written():
    """Path -> text of every page that a person writes."""
    return {path: path.read_text() for path in [*PAGES, *RUNBOOKS] if path.name not in GENERATED}


# It makes files, routes and options of its own. tests/integration/test_your_own_service.py follows it.
TUTORIAL = "docs/your-own-service.md"


def find(pattern, but=None):
    """(page, match) for every match in the pages but one."""
    return [(name(path), match) for path, text in written().items() if name(path) != but for match in re.finditer(pattern, text, re.M)]


def ask(*arguments):
    done = subprocess.run([harness.PROGRAM, *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.lru_cache
def help_of(command=None):
    return ask(*([command] if command else []), "--help")


@functools.lru_cache
def commands():
    return tuple(re.findall(r"^  (\w+) {2,}", help_of(), re.M))


@functools.lru_cache
def options(command):
    """Option -> (no-, argument, default), each "" if it has none, as the help of a command prints the options of the engine."""
    engine = help_of(command).partition("\nApplication:\n")[0]
    rows = re.findall(r"^  --(\[no-\])?([a-z-]+)(?: ([A-Z]+))? +.*?(?:\[([^\]]*)\])?$", engine, re.M)
    return {option: (no, argument, default) for no, option, argument, default in rows if option != "help"}


@functools.lru_cache
def app_options():
    """The application's own options, which the reference does not list, and the examples in their table."""
    table = (ROOT / "fcgi/app/options.def").read_text()
    return {name.replace("_", "-") for name in re.findall(r"OPTION_[A-Z]+\((\w+),", table)}


@functools.lru_cache
def routes():
    """Path -> the methods of all its lines, out of the route table."""
    table = (ROOT / "fcgi/app/routes.def").read_text()
    found = {}
    for path, methods in re.findall(r'^ROUTE\(\w+, "([^"]+)", ([A-Z |]+),', table, re.M):
        found.setdefault(path, set()).update(methods.split(" | "))
    return found


@functools.lru_cache
def app_metrics():
    """The names of the application's own metrics, which the reference does not list."""
    table = (ROOT / "fcgi/app/metrics.def").read_text()
    return set(re.findall(r"^(?:COUNTER|GAUGE|GAUGE_LAST|HISTOGRAM)(?:_BY)?\(\s*(\w+)", table, re.M))


@functools.lru_cache
def make_targets():
    text = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z][a-z0-9-]*(?: [a-z][a-z0-9-]*)*):(?!=)", text, re.M)) | {
        target for line in re.findall(r"^([a-z][a-z0-9 -]*):(?!=)", text, re.M) for target in line.split()}


class Clone:
    """The tree in a folder of its own, built, with a service on ports of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = dict(zip(("8081", "8000", "9081", "9000"), map(str, harness.free_ports(4))))
        files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
        for file in files.stdout.split("\n"):
            if file and (ROOT / file).is_file():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, folder / file)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("FCGI_WEBAPP", "BUILD", "MAKE"))}

    def own_ports(self, command):
        return re.sub(r"\b(8081|8000|9081|9000)\b", lambda match: self.ports[match[0]], command)

    def run(self, command, seconds=300):
        return subprocess.run(["sh", "-euc", command], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=seconds)

    def start(self, command):
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(["sh", "-euc", "exec " + command], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=log, start_new_session=True)


@pytest.fixture(scope="session")
def clone():
    folder = harness.short_folder()  # sockets have short names
    try:
        made = Clone(folder)
        built = made.run("make build")
        assert built.returncode == 0, built.stderr
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
