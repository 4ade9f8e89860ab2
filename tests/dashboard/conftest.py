"""A Prometheus that scrapes the real service, and samples of metrics that need a cluster."""

import http.server
import json
import math
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from modules import load_module  # noqa: E402

MONITORING = ROOT / "monitoring"
SAMPLES = pathlib.Path(__file__).parent / "samples"
SAMPLE_PAGES = [path.stem for path in SAMPLES.glob("*.txt")]
FILE = pathlib.Path("monitoring/grafana/dashboards/fcgi-webapp.json")
DASHBOARD = json.loads((ROOT / FILE).read_text())

harness = load_module("integration_harness", ROOT / "tests" / "integration" / "conftest.py")
stack = load_module("stack", ROOT / "scripts" / "stack")
tables = load_module("tables", MONITORING / "grafana" / "tables.py")
wait_for = harness.wait_for


def panels():
    """Every panel that asks something, in folded rows too."""
    for panel in DASHBOARD["panels"]:
        yield from panel.get("panels", [])
        if panel["type"] != "row":
            yield panel


def filled_in(expression):
    """The query as Grafana sends it, with everything chosen."""
    for name, value in (("$__rate_interval", "5s"), ("$namespace", ".*"), ("$pod", ".*")):
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def has_data(result):
    values = [value for series in result for value in ([series["value"]] if "value" in series else series["values"])]
    return any(not math.isnan(float(value)) for _, value in values)


class Recorded(http.server.BaseHTTPRequestHandler):
    """A file of samples; counters grow by a hundredth at each scrape, as if something went on."""

    scrapes = {}

    def do_GET(self):
        text = (SAMPLES / (self.path.strip("/") + ".txt")).read_text()
        self.scrapes[self.path] = self.scrapes.get(self.path, 0) + 1
        counters = set(re.findall(r"# TYPE (\S+) counter", text))
        for name in re.findall(r"# TYPE (\S+) histogram", text):
            counters |= {name + suffix for suffix in ("_bucket", "_count", "_sum")}

        def grow(line):
            name = re.match(r"\w+", line)
            if not name or name[0] not in counters:
                return line
            labels, _, value = line.rpartition(" ")
            return "%s %r" % (labels, float(value) * (1 + self.scrapes[self.path] / 100))

        body = "\n".join(map(grow, text.splitlines())).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Prometheus:
    def __init__(self, port):
        self.url = "http://127.0.0.1:%d" % port

    def ask(self, path, **parameters):
        try:
            with urllib.request.urlopen(self.url + path + "?" + urllib.parse.urlencode(parameters, doseq=True), timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError("%s: %s" % (parameters, error.read().decode())) from None

    def instant(self, query):
        return self.ask("/api/v1/query", query=query)["result"]

    def range(self, query, seconds=120):
        now = time.time()
        return self.ask("/api/v1/query_range", query=query, start=now - seconds, end=now, step=2)["result"]


def child(folder, name, *command):
    with (folder / (name + ".log")).open("wb") as log:
        return subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def configure(folder, addresses, samples):
    """local.yml as it is shipped, at twenty times its speed, and the samples beside it."""
    text = (MONITORING / "prometheus" / "local.yml").read_text()
    for target, address in addresses.items():
        text = text.replace('"%s"' % target, '"%s"' % address)
    text = re.sub(r"(scrape_interval|evaluation_interval): 10s", r"\1: 500ms", text).replace("scrape_timeout: 8s", "scrape_timeout: 500ms")
    for name in SAMPLE_PAGES:
        text += "\n  - job_name: %s\n    honor_labels: true\n    metrics_path: /%s\n    static_configs:\n      - targets: [%s]\n" % (name, name, samples)
    (folder / "prometheus.yml").write_text(text)
    (folder / "rules").mkdir()
    for path in (MONITORING / "prometheus" / "rules").glob("*.yml"):
        (folder / "rules" / path.name).write_text(path.read_text().replace("    interval: 1m\n", "    interval: 3s\n"))
    (folder / "webhook").write_text("http://127.0.0.1:1/nobody")
    (folder / "alertmanager.yml").write_text(
        "route: {receiver: slack, group_wait: 1s}\n"
        "receivers: [{name: slack, slack_configs: [{channel: '#none', api_url_file: %s}]}]\n" % (folder / "webhook"))


def exercise(service):
    """Something for every panel: each route, traffic, errors, crashes, load, a restart."""
    for route in tables.routes():
        if route.name != "hang":  # which never answers
            service.request(route.methods.split()[0], re.sub(r"{\w+}", "0", route.path))
    for path in ("/", "/bye", "/health", "/status/500", "/status/404", "/nowhere", "/delay/0.05"):
        for _ in range(5):
            service.get(path)
    service.stop(signal.SIGTERM)
    service.start()
    service.request("POST", "/riseload?seconds=300&load=1.5")
    for _ in range(4):
        service.request("POST", "/crash")


@pytest.fixture(scope="session")
def is_limited():
    """Whether the service could be given a CPU limit on this machine."""
    return stack.Limits("0.2", "268435456")


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory, is_limited):
    folder = tmp_path_factory.mktemp("prometheus")
    enter = is_limited.prepare()
    program = folder / "limited"
    program.write_text('#!/bin/sh\nset -eu\n%s "%s" "$@"\n' % (enter or "exec", harness.PROGRAM))
    program.chmod(0o755)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorded)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    children = []
    try:
        with harness.running(WORKERS=2, PROGRAM=program) as service:
            names = ("prometheus:9090", "alertmanager:9093", "nginx-exporter:9113")
            port = dict(zip(names, harness.free_ports(len(names))))
            addresses = {name: "127.0.0.1:%d" % number for name, number in port.items()}
            addresses["nginx:8000"] = "127.0.0.1:%d" % service.metrics_port
            configure(folder, addresses, "127.0.0.1:%d" % server.server_port)
            children += [
                child(folder, "exporter", "prometheus-nginx-exporter", "--nginx.scrape-uri=http://%s/nginx_status" % addresses["nginx:8000"],
                      "--web.listen-address=" + addresses["nginx-exporter:9113"]),
                child(folder, "alertmanager", "prometheus-alertmanager", "--config.file=%s" % (folder / "alertmanager.yml"),
                      "--storage.path=%s" % (folder / "alertmanager"), "--web.listen-address=" + addresses["alertmanager:9093"],
                      "--cluster.listen-address="),
                child(folder, "prometheus", "prometheus", "--enable-feature=exemplar-storage", "--config.file=%s" % (folder / "prometheus.yml"),
                      "--storage.tsdb.path=%s" % (folder / "data"), "--web.listen-address=" + addresses["prometheus:9090"])]
            started = Prometheus(port["prometheus:9090"])
            wait_for(lambda: answers(started), 30, (folder / "prometheus.log").read_text)
            exercise(service)
            yield Steady(started, service)
    finally:
        for process in children:
            process.terminate()
            process.wait(20)
        server.shutdown()
        is_limited.remove()


def answers(prometheus):
    try:
        return len(prometheus.instant("up == 1")) == 4 + len(SAMPLE_PAGES)
    except (OSError, AssertionError):  # not yet
        return False


class Steady:
    """Prometheus, and a little traffic until it is asked no more."""

    def __init__(self, prometheus, service):
        self.instant, self.range, self.ask = prometheus.instant, prometheus.range, prometheus.ask
        self.service = service

    def traffic(self):
        for path in ("/", "/bye", "/health", "/status/500", "/riseload?seconds=0"):
            self.service.get(path)
