"""Starts `scripts/stack` on free ports and in a folder of its own."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
REPORT = []


def wait_for(condition, seconds, what):
    """The condition's first true value; what went wrong when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.25)
    raise AssertionError("%s: not within %d s" % (what, seconds))


def get(url, method="GET", timeout=20):
    """Status and body; status 0 where nothing answered."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, ValueError) as error:
        return 0, str(error)


def free_ports(count):
    """Ports that nobody listens on, no two alike: each is held until the last is found."""
    with contextlib.ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


class Stack:
    """One whole chain: service, exporter, Prometheus, Alertmanager, Slack stand-in."""

    lock = threading.Lock()

    def __init__(self, name, **environment):
        names = ["HTTP_PORT", "METRICS_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "EXPORTER_PORT", "SLACK_PORT"]
        self.name = name
        self.folder = ROOT / "build" / "e2e" / name
        # The counter file of another run would count too.
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        # One at a time, so that no two pick the same free port.
        with Stack.lock:
            ports = dict(zip(names, map(str, free_ports(len(names)))))
            self.url = {key[:-5].lower(): "http://127.0.0.1:" + port for key, port in ports.items()}
            with open(self.folder / "output", "w") as output:
                self.process = subprocess.Popen([ROOT / "scripts" / "stack"], stdout=output, stderr=output, start_new_session=True,
                                                env={**os.environ, **ports, **environment, "STACK_DIR": str(self.folder)})
            try:
                wait_for(lambda: "Ctrl-C stops everything" in self.output() or self.process.poll() is not None, 60, "the stack's start")
                assert self.process.poll() is None, self.output()
            except AssertionError:
                self.stop()
                raise
        self.limited = " bytes of memory (cgroup" in self.output()

    def output(self):
        return (self.folder / "output").read_text()

    def request(self, path, method="GET", timeout=20):
        return get(self.url["http"] + path, method, timeout)

    def query(self, expression):
        """What Prometheus says: a list of (labels, value)."""
        status, body = get(self.url["prometheus"] + "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert status == 200, body
        return [(item["metric"], float(item["value"][1])) for item in json.loads(body)["data"]["result"]]

    def slack(self):
        """What Slack was told: messages taken and refused."""
        return json.loads(get(self.url["slack"] + "/messages")[1])

    def heartbeats(self):
        return int(get(self.url["slack"] + "/heartbeats")[1])

    def told(self, status, alert):
        """The first message that says so: (when, its attachment)."""
        for entry in self.slack()["taken"]:
            attachment = entry["message"]["attachments"][0]
            if "[%s " % status in attachment["title"] and " %s (" % alert in attachment["title"]:
                return entry["received"], attachment
        return None

    def told_of(self):
        """The names of all alerts that any message is about."""
        return {entry["message"]["attachments"][0]["title"].split("] ")[1].split(" ")[0] for entry in self.slack()["taken"]}

    def in_alertmanager(self):
        """Alert name -> active or suppressed."""
        return {alert["labels"]["alertname"]: alert["status"]["state"] for alert in json.loads(get(self.url["alertmanager"] + "/api/v2/alerts")[1])}

    def processes(self, *words, pattern=""):
        """The pids below this stack whose command line has all the words: parents first, then by age (pids wrap around)."""
        parents, started, commands = {}, {}, {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rsplit(") ", 1)[1].split()
                commands[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                parents[int(folder.name)], started[int(folder.name)] = int(fields[1]), int(fields[19])
            except (OSError, ValueError):
                continue

        def depth(pid):
            """How far below the stack; 0 where it is not below it."""
            steps = 0
            while pid > 1 and pid != self.process.pid:
                pid, steps = parents.get(pid, 0), steps + 1
            return steps if pid == self.process.pid else 0
        return sorted((pid for pid in parents if all(word in commands[pid] for word in words) and re.search(pattern, commands[pid]) and depth(pid)),
                      key=lambda pid: (depth(pid), started[pid], pid))

    def service(self):
        """The pids of the running service, the supervisor's first; [] while there is none."""
        return self.processes(pattern=r"^(\S*/)?fcgi-webapp(:| serve)")

    def signal_service(self, number):
        """To every process of the service."""
        return self._signal(number, self.service())

    def signal(self, number, *words):
        """To every process whose command line has all the words."""
        return self._signal(number, self.processes(*words))

    @staticmethod
    def _signal(number, pids):
        assert pids, "no such process below the stack"
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        return pids

    def reconfigure(self, pattern, value):
        """Prometheus with another configuration; what undoes it."""
        path = self.folder / "prometheus.yml"
        before = path.read_text()
        after, count = re.subn(pattern, value, before)
        assert count == 1, pattern
        path.write_text(after)
        self.signal(signal.SIGHUP, "prometheus --config.file")

        def undo():
            path.write_text(before)
            self.signal(signal.SIGHUP, "prometheus --config.file")
        return undo

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(90)


class Traffic:
    """Requests at a steady rate from a few threads, for as long as it is entered."""

    def __init__(self, stack, paths, rate, threads=2, method="GET"):
        self.stack, self.paths, self.pause, self.method = stack, paths, threads / rate, method
        self.ending = threading.Event()
        self.statuses = {}
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(threads)]

    def run(self, number):
        turn = number
        while not self.ending.wait(self.pause):
            status, _ = self.stack.request(self.paths[turn % len(self.paths)], self.method)
            self.statuses[status] = self.statuses.get(status, 0) + 1
            turn += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(30)


def pytest_terminal_summary(terminalreporter):
    """A line per alert, on the screen and in build/e2e/report."""
    if not REPORT:
        return
    terminalreporter.section("from cause to Slack")
    for line in sorted(REPORT):
        terminalreporter.write_line(line)
    (ROOT / "build" / "e2e" / "report").write_text("\n".join(sorted(REPORT)) + "\n")


@pytest.fixture(scope="session")
def report():
    return REPORT.append
