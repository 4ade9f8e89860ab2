"""Runs the commands of the pages unchanged, in a copy of the tree.

A block that cannot run here says why in a comment above it, <!-- not run: why -->, or for all of its page under the title,
<!-- no block of this page is run: why -->. Of make, `build` and `run` are run; the other targets have tests of their own, so here
make only works out what it would do. Ports are exchanged for free ones.
"""

import contextlib
import os
import re
import shutil
import signal
import urllib.error
import urllib.request

import pytest

from conftest import GENERATED, PAGES, harness, name

BLOCK = re.compile(r"(?:<!-- not run: (?P<why>[^>]+) -->\n)?^```sh\n(?P<text>.*?)^```$", re.M | re.S)
WHOLE_PAGE = re.compile(r"\A# .*\n\n<!-- no block of this page is run: ([^>]+) -->$", re.M)

# Prints the status of each answer, which curl does not.
CURL = """curl() { command curl -sS -w '%{stderr}status %{http_code}\\n' "$@"; }\n"""


def blocks():
    for path in PAGES:
        if path.name in GENERATED:
            continue
        text = path.read_text()
        page = WHOLE_PAGE.search(text)
        for number, block in enumerate(BLOCK.finditer(text), 1):
            yield pytest.param(block["text"], page[1] if page else block["why"], id="%s-%d" % (name(path), number))


def commands(text):
    """The lines of a block, continued ones joined, each with its comment."""
    for line in text.replace("\\\n", "").splitlines():
        command, _, comment = line.partition(" #")
        if command.strip() and not command.startswith("#"):
            yield command.strip(), comment.strip()


@pytest.fixture(scope="module")
def service(clone):
    """What `make run` starts, for the commands that talk to it."""
    process = clone.start(clone.own_ports("make run HTTP_PORT=8081 METRICS_PORT=8000"))
    try:
        harness.wait_for(lambda: answers(clone.ports["8081"], process, clone), 60, "make run")
        yield clone
    finally:
        end(process)


def answers(port, process, clone):
    assert process.poll() is None, (clone.folder / "log").read_text()
    with contextlib.suppress(urllib.error.URLError, OSError):
        with urllib.request.urlopen("http://127.0.0.1:%s/health" % port, timeout=2) as answer:
            return answer.status == 200
    return False


def end(process):
    """Like Ctrl-C: to all processes of the terminal."""
    os.killpg(process.pid, signal.SIGINT)
    return process.wait(60)


@pytest.mark.parametrize("text, why", blocks())
def test_every_command_does_what_the_page_says(service, text, why):
    if why:
        assert len(why) > 20, "a reason, please"
        return
    for command, comment in commands(text):
        target = re.match(r"make ([\w-]+)(.*)", command)
        if target and target[1] == "run":
            run_for_real(service, command + ("" if target[2] else " HTTP_PORT=9081 METRICS_PORT=9000 RUN_DIR=build/other"))
        elif target and target[1] != "build":
            done = service.run("make --dry-run " + target[1] + target[2])
            assert done.returncode == 0, (command, done.stderr)
        else:
            check(command, comment, service.run(CURL + service.own_ports(command)))


def check(command, comment, done):
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    statuses = re.findall(r"^status (\d+)$", done.stderr, re.M)
    said = re.search(r"\b[45]\d\d\b", comment)
    for status in statuses:
        assert status == said[0] if said else status.startswith("2"), (command, status, done.stdout)
    promised = re.match(r"{[^}]*}", comment)
    if promised:
        assert promised[0] in done.stdout, (command, done.stdout)


def run_for_real(clone, command):
    """make run until it answers, beside the service that runs already, and its end by Ctrl-C."""
    environment = "FCGI_WEBAPP_METRICS_FILE=build/other/counters RUN_DIR=build/other "
    process = clone.start("env " + environment + clone.own_ports(command))
    try:
        harness.wait_for(lambda: answers(clone.ports["9081"], process, clone), 60, command)
    finally:
        end(process)


def test_install_puts_a_service_into_a_folder_that_runs_from_there(clone, tmp_path):
    done = clone.run("make install PREFIX=/usr DESTDIR=%s" % tmp_path)
    assert done.returncode == 0, done.stderr
    for file in done.stdout.split():
        assert os.path.exists(file), file
    unit = (tmp_path / "usr/lib/systemd/system/fcgi-webapp.service").read_text()
    assert "ExecStart=/usr/lib/fcgi-webapp/scripts/run\n" in unit and "/usr/local" not in unit
    # The unit's own environment, in a folder of the test's.
    folder = harness.short_folder()
    settings = dict(re.findall(r"^Environment=(\w+)=(.*)$", unit, re.M))
    settings["PROGRAM"] = "%s%s" % (tmp_path, settings["PROGRAM"])
    for variable in ("RUN_DIR", "FCGI_WEBAPP_METRICS_FILE", "ACCESS_LOG"):
        settings[variable] = str(folder / settings[variable].strip("/").replace("/", "-"))
    assignments = " ".join("%s=%s" % item for item in settings.items())
    process = clone.start(clone.own_ports("env %s HTTP_PORT=9081 METRICS_PORT=9000 %s/usr/lib/fcgi-webapp/scripts/run" % (assignments, tmp_path)))
    try:
        harness.wait_for(lambda: answers(clone.ports["9081"], process, clone), 30, "the installed service")
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_systemd_accepts_the_unit(clone, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    assert clone.run("make install PREFIX=%s" % tmp_path).returncode == 0
    done = clone.run("systemd-analyze verify %s/lib/systemd/system/fcgi-webapp.service" % tmp_path)
    complaints = [line for line in done.stderr.splitlines() if "man fcgi-webapp" not in line and "fcgi-webapp.service" in line]
    assert not complaints, done.stderr
