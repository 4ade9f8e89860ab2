"""Chromium in front of the real service, or of one whose /live a test makes up."""

import base64
import contextlib
import http.server
import json
import pathlib
import sys
import threading
import time

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service as Driver

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from modules import load_module  # noqa: E402

SCREENSHOTS = ROOT / "build" / "screenshots"
CPU_LIMIT, MEMORY_LIMIT = "0.2", str(256 << 20)
# Without these Chromium calls home, which a test has no business to do.
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"]

harness = load_module("integration_harness", ROOT / "tests" / "integration" / "conftest.py")
stack = load_module("stack", ROOT / "scripts" / "stack")


def wait_for(condition, seconds=20, what="the condition"):
    """As in tests/integration, but a question to a browser costs more."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)


@contextlib.contextmanager
def limited_program(folder):
    """A command that runs the program under the pod's limits, where this machine lets us; and whether it does."""
    limits = stack.Limits(CPU_LIMIT, MEMORY_LIMIT)
    enter = limits.prepare()
    program = folder / "limited"
    program.write_text('#!/bin/sh\nset -eu\n%s "%s" "$@"\n' % (enter or "exec", harness.PROGRAM))
    program.chmod(0o755)
    try:
        yield program, enter is not None
    finally:
        limits.remove()


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    with limited_program(tmp_path_factory.mktemp("limits")) as (program, is_limited):
        with harness.running(WORKERS=2, PROGRAM=program) as started:
            started.url = "http://127.0.0.1:%d/" % started.port
            started.is_limited = is_limited
            yield started


class Page:
    """The page in a window of its own."""

    def __init__(self, driver, url, width=1280, height=900, scheme="light"):
        self.driver = driver
        self.resize(width, height)
        self.scheme(scheme)
        driver.get_log("browser")  # what another test left
        driver.get(url)

    def resize(self, width, height=900):
        self.width = width
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def click(self, selector):
        self.driver.find_element("css selector", selector).click()

    def count(self, route):
        return int(self.text("[data-count=%s]" % route).replace(",", "").replace("–", "-1"))

    def button(self, route):
        return "[data-route=%s]" % route

    def is_live(self):
        return self.text("#connection") == "live"

    def errors(self):
        """What the console says that is not a mere note."""
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]

    def screenshot(self, name):
        height = self.run("return document.documentElement.scrollHeight")
        data = self.driver.execute_cdp_cmd("Page.captureScreenshot", {
            "format": "png", "captureBeyondViewport": True,
            "clip": {"x": 0, "y": 0, "width": self.width, "height": height, "scale": 1}})["data"]
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        (SCREENSHOTS / (name + ".png")).write_bytes(base64.b64decode(data))


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in [*OPTIONS, "--user-data-dir=%s" % tmp_path_factory.mktemp("chromium")]:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(service=Driver("/usr/bin/chromedriver"), options=options)
    yield started
    started.quit()


@pytest.fixture
def open_page(driver):
    yield lambda url, **arguments: Page(driver, url, **arguments)
    driver.get("about:blank")  # stop asking


@pytest.fixture
def page(open_page, service):
    opened = open_page(service.url)
    wait_for(opened.is_live, what="the first figures")
    return opened


def made_up_live():
    return {
        "time": 1000.0, "uptime_seconds": 60.0, "starts": 3,
        "workers": {"count": 10, "busy": 1, "idle": 9, "stopped": 0, "connections": 4,
                    "nonblocking": {"count": 2, "busy": 1, "idle": 1, "stopped": 0, "connections": 4},
                    "blocking": {"count": 8, "busy": 0, "idle": 8, "stopped": 0, "connections": 0}},
        "requests": {name: 0 for name in "root health ready bye version live riseload status delay block crash hang other".split()},
        "requests_total": 0, "errors_total": 0, "requests_per_second": 0.0,
        "durations": [[0.001, 0], [0.01, 0], [0.1, 0], [None, 0]],
        "cpu": {"limit_cores": 0.2, "limited": True, "usage_cores": 0.01, "demand_cores": 0.01, "throttled_cores": 0.0, "throttled_share": 0.0},
        "memory": {"limit_bytes": 256 << 20, "limited": True, "usage_bytes": 9 << 20, "working_set_bytes": 8 << 20},
        "exercise": True, "load_active": False,
    }


class Stand:
    """The real page in front of figures that a test makes up; each answer of /live is a step later than the last."""

    def __init__(self, html, policy):
        self.live, self.step, self.answers = made_up_live(), 5.0, 0
        stand = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == "/live":
                    stand.live["time"] += stand.step
                    stand.answers += 1
                    self.answer("application/json", json.dumps(stand.live).encode())
                elif self.path == "/version":
                    self.answer("application/json", b'{"version": "0.0.0", "revision": "none"}')
                else:
                    self.answer("text/html; charset=utf-8", html)

            def answer(self, content_type, body):
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Security-Policy", policy)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def set(self, part, **values):
        self.live[part] = {**self.live[part], **values}


@pytest.fixture
def stand(service):
    answer = service.get("/", headers={"Accept": "text/html"})
    made = Stand(answer.body, answer.headers["Content-Security-Policy"])
    yield made
    made.server.shutdown()
    made.server.server_close()
