"""Paths, and a real Alertmanager that sends to the Slack stand-in."""

import functools
import json
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from modules import load_module  # noqa: E402

MONITORING = ROOT / "monitoring"
RULES = sorted((MONITORING / "prometheus" / "rules").glob("*.yml"))

slack = load_module("slack_stand_in", ROOT / "tests" / "e2e" / "slack.py")


@functools.lru_cache
def groups():
    """Every group of every file."""
    return [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]


def rules():
    """Every rule of every file."""
    return [rule for group in groups() for rule in group["rules"]]


def alerts():
    return [rule for rule in rules() if "alert" in rule]


def inhibit_rules():
    return yaml.safe_load((MONITORING / "alertmanager" / "alertmanager.yml").read_text())["inhibit_rules"]


def run(*command, **options):
    """What a command printed; its failure is the test's."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, **options)
    assert done.returncode == 0, "%s\n%s" % (" ".join(map(str, command)), done.stdout)
    return done.stdout


def wait_for(condition, seconds=30, what="the condition"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("%s did not come true within %d s" % (what, seconds))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Alertmanager:
    """The shipped configuration; only where the messages go and the pauses are changed."""

    def __init__(self, folder, slack_url, heartbeat_url):
        self.url = "http://127.0.0.1:%d" % free_port()
        (folder / "webhook-url").write_text(slack_url)
        text = (MONITORING / "alertmanager" / "alertmanager.yml").read_text()
        for pattern, value in [(r"(?<=slack_api_url_file: ).*", str(folder / "webhook-url")),
                               (r"(?<=- url: ).*", heartbeat_url),
                               (r"(?<=- templates/)\*", "*"),
                               (r"(?<=group_wait: )10s", "1s"),
                               (r"(?<=group_interval: )30s", "2s")]:
            text, count = re.subn(pattern, value, text)
            assert count == 1, pattern
        (folder / "alertmanager.yml").write_text(text)
        (folder / "templates").symlink_to(MONITORING / "alertmanager" / "templates")
        self.log = open(folder / "log", "w")
        self.process = subprocess.Popen(
            ["prometheus-alertmanager", "--config.file=%s" % (folder / "alertmanager.yml"),
             "--storage.path=%s" % (folder / "data"), "--web.listen-address=" + self.url[7:],
             "--web.external-url=" + self.url, "--cluster.listen-address="],
            stdout=self.log, stderr=self.log)
        wait_for(self.ready, what="Alertmanager's readiness")

    def ready(self):
        assert self.process.poll() is None, "Alertmanager ended; see %s" % self.log.name
        try:
            return urllib.request.urlopen(self.url + "/-/ready", timeout=1).status == 200
        except OSError:
            return False

    def send(self, *posted):
        request = urllib.request.Request(self.url + "/api/v2/alerts", json.dumps(posted).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=5)

    def alerts(self, **parameters):
        with urllib.request.urlopen(self.url + "/api/v2/alerts?" + urllib.parse.urlencode(parameters), timeout=5) as answer:
            return json.load(answer)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


@pytest.fixture
def stand_in():
    server = slack.Slack(("127.0.0.1", 0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = "http://127.0.0.1:%d" % server.server_port
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def alertmanager(tmp_path, stand_in):
    process = Alertmanager(tmp_path, stand_in.url + "/services/test", stand_in.url + "/heartbeat")
    yield process
    process.stop()
