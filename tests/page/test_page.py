"""The status page: what the service sends, and what a person sees of it."""

import base64
import functools
import hashlib
import http.server
import json
import re
import threading
import time

import pytest
import yaml
from selenium.webdriver.common.keys import Keys

from conftest import ROOT, harness, made_up_live, wait_for

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


# --- what is sent ---------------------------------------------------------------


def html(service):
    return service.get("/", headers={"Accept": BROWSER}).body.decode()


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/plain", "text/html;q=0"])
def test_whoever_does_not_ask_for_html_gets_the_greeting(service, accept):
    answer = service.get("/", headers={"Accept": accept} if accept else {})
    assert (answer.status, answer.json) == (200, {"msg": "Hello World"})
    assert answer.headers["Content-Type"] == "application/json"


def test_a_browser_gets_the_page_and_caches_keep_the_two_apart(service):
    answer = service.get("/", headers={"Accept": BROWSER})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Vary"] == "Accept"
    assert answer.body.startswith(b"<!doctype html>") and answer.body.endswith(b"</html>\n")
    assert service.get("/").headers["Vary"] == "Accept"


def test_head_of_the_page_has_its_length_and_no_body(service):
    answer = service.request("HEAD", "/", headers={"Accept": BROWSER})
    assert answer.body == b"" and int(answer.headers["Content-Length"]) == len(html(service).encode())


def test_plain_cgi_sends_the_same_page(service, tmp_path):
    done = harness.run_program(environment={
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_ACCEPT": BROWSER,
        "FCGI_WEBAPP_METRICS_FILE": str(tmp_path / "counters")})
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    assert "Content-Security-Policy: " in head and body == html(service)


def test_the_policy_is_there_once_and_names_the_style_and_the_script_of_the_page(service):
    answer = service.get("/", headers={"Accept": BROWSER})
    assert len(answer.headers.get_all("Content-Security-Policy")) == 1
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))

    def hashes(tag):
        return ["'sha256-%s'" % base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
                for block in re.findall("<%s>(.*?)</%s>" % (tag, tag), answer.body.decode(), re.S)]

    assert policy["default-src"] == "'none'"
    assert policy["script-src"].split() == hashes("script")
    assert policy["style-src"].split() == hashes("style")
    assert policy["connect-src"] == "'self'" and policy["frame-ancestors"] == "'none'"


def test_every_other_answer_forbids_a_browser_everything(service):
    for path in ("/", "/live", "/nowhere", "/status/500"):
        policies = service.get(path).headers.get_all("Content-Security-Policy")
        assert len(policies) == 1 and policies[0].startswith("default-src 'none'; base-uri 'none'"), path


def test_the_alarms_of_the_page_are_those_of_prometheus(service):
    rules = yaml.safe_load((ROOT / "monitoring/prometheus/rules/container.yml").read_text())["groups"][0]["rules"]
    alerts = {rule["alert"]: rule for rule in rules if "alert" in rule}
    windows = {match for rule in rules for match in re.findall(r"rate\(cgroup_cpu\w+{[^}]*}\[(\d+)s\]", str(rule.get("expr")))}
    script = (ROOT / "fcgi/app/endpoints/page/page.js").read_text()
    assert windows == {re.search(r"RULE_SECONDS = (\d+)", script)[1]}

    shown = json.loads(re.search(r'id="rules">(.*?)</script>', html(service), re.S)[1])
    assert len(shown) == 4
    for rule in shown:
        alert = alerts[rule["alert"]]
        needs = re.findall(r"container:(\w+):ratio > ([\d.]+)", alert["expr"])
        assert rule["needs"] == [[name, float(value)] for name, value in needs], rule["alert"]
        assert rule.get("throttled", False) == ("container:cpu_throttled_cores" in alert["expr"]), rule["alert"]
        assert "%ds" % rule["for"] == alert["for"]
        assert "%ds" % rule["keep"] == alert.get("keep_firing_for", "0s")
        assert rule["severity"] == alert["labels"]["severity"]
        assert (ROOT / "monitoring/runbooks" / (rule["alert"] + ".md")).exists()


def test_the_alerts_that_the_page_names_exist():
    script = (ROOT / "fcgi/app/endpoints/page/page.js").read_text()
    rules = "".join(path.read_text() for path in (ROOT / "monitoring/prometheus/rules").glob("*.yml"))
    named = re.findall(r"(?:: |')((?:[A-Z][a-z]+){2,})'", script)
    assert "WorkersCrashing" in named
    for name in named:
        assert "alert: %s\n" % name in rules, name


# --- what is seen -----------------------------------------------------------------


def test_it_loads_without_a_word_on_the_console_and_asks_nobody_but_the_service(page, service):
    asked = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert asked and all(url.startswith((service.url, "data:")) for url in asked), asked
    assert page.errors() == []


def test_a_script_that_is_not_the_page_s_own_does_not_run(page):
    page.run("const script = document.createElement('script'); script.textContent = 'window.injected = 1'; document.body.append(script)")
    assert page.run("return window.injected") is None


# Static files and routes of one's own have none.
def test_every_row_is_that_of_a_route(page, service):
    rows = page.run("return [...document.querySelectorAll('[data-count]')].map((cell) => cell.dataset.count)")
    assert {"root", "bye", "block", "crash", "other"} <= set(rows) <= set(service.get("/live").json["requests"])


def test_a_press_sends_a_request_shows_its_answer_and_moves_the_count(page):
    before = page.count("bye")
    page.click(page.button("bye"))
    wait_for(lambda: page.count("bye") == before + 1, what="the count to move")
    assert "Bye Bye" in page.text("#answers li")
    page.run("document.getElementById('many').value = '20'")
    page.click(page.button("bye"))
    wait_for(lambda: page.count("bye") == before + 21, what="twenty more")
    assert "20 × 200" in page.text("#answers li")
    wait_for(lambda: float(page.text("#rate")) > 0, what="the rate to move")
    assert page.text("#p95") != "–"
    assert page.errors() == []


def test_an_error_is_shown_as_one(page):
    page.click(page.button("status"))
    wait_for(lambda: page.run("return document.querySelector('#answers b.bad')?.textContent") == "500", what="the error")


def test_load_raises_the_curve_and_ending_it_lets_it_fall(page, service):
    def usage():
        return float(page.text("#usage-value").split()[0]) / float(page.text("#limit-value").split()[0])

    idle = page.run("return document.getElementById('usage-line').getBBox().height")
    page.click("#raise")
    try:
        # A machine that has other things to do gives less than the limit.
        wait_for(lambda: usage() > 0.5, 60, "the load to be seen")
        wait_for(lambda: page.run("return document.getElementById('usage-line').getBBox().height") > idle + 20, what="the curve to rise")
        if service.is_limited:
            wait_for(lambda: "is throttled" in page.text("#cpu-headline"), 60, "the headline to say so")
            wait_for(lambda: page.text("#throttled") != "0\u00a0%", 60, "the throttling")
        wait_for(lambda: page.run("return !document.getElementById('end').disabled"), what="the way to end it")
        page.click("#end")
        wait_for(lambda: usage() < 0.4, 60, "the load to end")
    finally:
        service.request("DELETE", "/riseload")
    assert "Load ended" in page.text("#answers")
    wait_for(lambda: page.run("return !document.getElementById('raise').disabled"), what="the way to raise it again")
    assert page.errors() == []


def test_it_says_that_the_service_is_gone_and_goes_on_when_it_is_back(open_page, own_service):
    service = own_service
    page = open_page("http://127.0.0.1:%d/" % service.port)
    wait_for(page.is_live, what="the first figures")
    assert service.stop() == 0
    wait_for(lambda: page.text("#connection").startswith("no answer for"), 15, "the page to notice")
    service.start()
    wait_for(page.is_live, 15, "the page to go on")
    wait_for(lambda: page.text("#starts") == "2", what="the second start")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_another_website_can_neither_raise_load_nor_kill_a_worker(driver, service, tmp_path, host):
    """localhost is another site than 127.0.0.1; another port of 127.0.0.1 is the same site and another origin."""
    (tmp_path / "index.html").write_text("""<img src="%(url)sriseload?seconds=30&load=0.01"><script>
        fetch("%(url)scrash", {method: "POST", mode: "no-cors"}).finally(() => { document.title = "asked"; });
        </script>""" % {"url": service.url})
    workers = service.workers
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)) as site:
        threading.Thread(target=site.serve_forever).start()
        try:
            driver.get("http://%s:%d/" % (host, site.server_port))
            wait_for(lambda: driver.title == "asked")
        finally:
            driver.get("about:blank")
            site.shutdown()
    refused = {("riseload", "GET", "403"), ("crash", "POST", "403")}
    wait_for(lambda: refused <= set(service.requests()))
    assert service.workers == workers
    assert service.scrape()[("fcgi_load_active",)] == 0


@pytest.fixture
def own_service():
    with harness.running(WORKERS=2) as started:
        yield started


def test_without_exercise_its_buttons_are_off_and_say_why(open_page):
    with harness.running(WORKERS=2, FCGI_WEBAPP_EXERCISE="false") as service:
        page = open_page("http://127.0.0.1:%d/" % service.port)
        wait_for(page.is_live, what="the first figures")
        assert "--no-exercise" in page.text("#load-state")
        off = page.run("return [...document.querySelectorAll('button:disabled')].map((button) => button.dataset.route || button.id)")
        assert set(off) == {"raise", "end", "riseload", "status", "delay", "block", "crash", "hang"}
        assert page.errors() == []


# --- when an alarm would fire -------------------------------------------------------


def state(page, alert):
    return page.run("""return [...document.querySelectorAll('#alarms > li')]
        .find((item) => item.querySelector('a').textContent === arguments[0]).querySelector('.state').textContent""", alert)


def test_load_over_the_limit_would_fire_after_its_time_and_hold_the_lesser_alarm_back(open_page, stand):
    page = open_page(stand.url)
    wait_for(page.is_live, what="the first figures")
    assert state(page, "ContainerCPUOverLimit") == "quiet"
    stand.set("cpu", usage_cores=0.2, demand_cores=None, throttled_cores=0.3, throttled_share=0.97)
    begun = stand.live["time"]
    wait_for(lambda: state(page, "ContainerCPUOverLimit").startswith("true, fires in"), 30, "the rule to be true")
    # The average over 45 s passes 0.95 of the limit after 40 of them.
    assert stand.live["time"] - begun >= 40
    wait_for(lambda: state(page, "ContainerCPUOverLimit") == "would fire: critical", 30, "the alarm")
    assert stand.live["time"] - begun >= 60
    assert "ContainerCPUOverLimit: would fire: critical" in page.text("#alarm-news")
    wait_for(lambda: state(page, "ContainerCPUNearLimit") == "fires, said by the one above", 30, "the lesser alarm")
    stand.set("cpu", usage_cores=0.01, demand_cores=0.01, throttled_cores=0.0, throttled_share=0.0)
    wait_for(lambda: state(page, "ContainerCPUOverLimit") == "quiet", 30, "the end of the alarm")


def test_a_throttled_container_is_said_to_want_more_and_no_number_is_made_up(open_page, stand):
    """Four threads are throttled for more time than passes: added to the usage it is no demand."""
    stand.set("cpu", usage_cores=0.2, demand_cores=None, throttled_cores=1.76, throttled_share=0.97)
    page = open_page(stand.url)
    wait_for(lambda: page.text("#cpu-headline") == "Uses 100\u00a0% of its limit, wants more, and is throttled in 97\u00a0% of the periods.",
             what="the headline")
    wait_for(lambda: state(page, "ContainerCPUOverLimit") == "would fire: critical", 30, "the alarm")
    shown = [int(number) for number in re.findall(r"(\d+)\u00a0%", page.text("main"))]
    assert max(shown) == 100, shown
    assert page.errors() == []


def test_figures_that_cannot_be_read_are_shown_as_none(open_page, stand):
    stand.set("cpu", **dict.fromkeys(stand.live["cpu"]))
    stand.set("memory", **dict.fromkeys(stand.live["memory"]))
    page = open_page(stand.url)
    wait_for(lambda: page.text("#cpu-headline") == "The usage is not known.", what="the headline")
    assert {page.text(selector) for selector in ("#usage-value", "#limit-value", "#throttled", "#memory")} == {"–"}
    assert not page.run("return document.getElementById('usage-line').getAttribute('d')")
    assert all(state(page, alert) == "quiet" for alert in ("ContainerCPUOverLimit", "ContainerMemoryOverLimit"))
    stand.live.update(made_up_live(), time=stand.live["time"])
    wait_for(lambda: page.text("#usage-value") == "0.01 cores", what="the figures to come back")
    assert page.errors() == []


def test_a_wall_clock_that_is_set_back_does_not_stop_the_page(open_page, stand):
    page = open_page(stand.url)
    wait_for(page.is_live, what="the first figures")
    stand.live["time"] -= 3600
    stand.live["requests"]["root"] = 7
    wait_for(lambda: page.count("root") == 7, what="the new count")
    assert page.errors() == []


def test_throttling_below_the_limit_fires_nothing_but_near(open_page, stand):
    stand.set("cpu", usage_cores=0.17, demand_cores=None, throttled_cores=0.13, throttled_share=0.4)
    page = open_page(stand.url)
    wait_for(lambda: page.text("#cpu-headline") == "Uses 85\u00a0% of its limit and is throttled in 40\u00a0% of the periods.",
             what="the headline")
    wait_for(lambda: state(page, "ContainerCPUNearLimit") == "would fire: high", 30, "the lesser alarm")
    assert state(page, "ContainerCPUOverLimit") == "quiet"


def test_memory_close_to_the_limit_would_fire(open_page, stand):
    stand.set("memory", working_set_bytes=(256 << 20) * 96 // 100)
    page = open_page(stand.url)
    wait_for(lambda: state(page, "ContainerMemoryOverLimit") == "would fire: critical", 30, "the alarm")


def test_without_a_limit_it_says_why_the_alarm_is_silent(open_page, stand):
    stand.set("cpu", limited=False, limit_cores=2.0, usage_cores=2.0, demand_cores=2.0, throttled_cores=0.0)
    page = open_page(stand.url)
    wait_for(lambda: "No limit is set here" in page.text("#cpu-note"), what="the note")
    wait_for(lambda: state(page, "ContainerCPUNearLimit").startswith("would fire"), 30, "the lesser alarm")
    assert state(page, "ContainerCPUOverLimit") == "quiet"


def test_a_counter_file_begun_afresh_shows_no_negative_rates(open_page, stand):
    stand.live.update(requests={**stand.live["requests"], "root": 1000}, requests_total=1000)
    page = open_page(stand.url)
    wait_for(lambda: page.count("root") == 1000, what="the first figures")
    stand.live.update(requests={**made_up_live()["requests"], "root": 3}, requests_total=3)
    wait_for(lambda: page.count("root") == 3, what="the new counts")
    assert float(page.text("#rate")) >= 0
    assert page.errors() == []


# --- for everyone -------------------------------------------------------------------


CONTRAST = """
const channel = (value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
const parse = (color) => color.match(/[\\d.]+/g).map(Number);
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const color = parse(getComputedStyle(element).backgroundColor);
    if (color.length === 3 || color[3] === 1) return color;
  }
  return [255, 255, 255];
};
const poor = [];
for (const element of document.body.querySelectorAll('*')) {
  const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!hasText || element.closest('script, style, noscript, svg, :disabled') || !element.getClientRects().length) continue;
  const [text, back] = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))];
  const ratio = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
  if (ratio < 4.5) poor.push(`${element.tagName} "${element.textContent.trim().slice(0, 30)}" ${ratio.toFixed(2)}`);
}
return poor;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page, stand, scheme):
    stand.set("cpu", usage_cores=0.2, demand_cores=None, throttled_cores=0.3, throttled_share=0.97)
    page = open_page(stand.url, scheme=scheme)
    wait_for(lambda: state(page, "ContainerCPUOverLimit").startswith("would fire"), 30, "the alarm, which has a colour")
    assert page.run(CONTRAST) == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_nothing_is_wider_than_the_window(open_page, stand, width):
    stand.live["requests"] = {name: 123456789 for name in stand.live["requests"]}
    page = open_page(stand.url, width=width)
    wait_for(page.is_live, what="the first figures")
    assert page.run("return document.documentElement.scrollWidth") <= width


def test_the_keyboard_reaches_every_control_in_the_order_of_the_page_and_presses_it(page):
    reached = []
    for _ in range(60):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        at = page.run("const e = document.activeElement; return e === document.body ? null : [...document.querySelectorAll('a, button, input, select')].indexOf(e)")
        if at is None or at in reached:
            break
        assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid", "where the keyboard is can be seen"
        reached.append(at)
    enabled = page.run("return [...document.querySelectorAll('a, button, input, select')].map((e, i) => e.disabled ? null : i).filter((i) => i !== null)")
    assert sorted(reached) == enabled, (reached, enabled)
    assert reached == sorted(reached)

    before = page.count("health")
    page.run("document.querySelector(arguments[0]).focus()", page.button("health"))
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    wait_for(lambda: page.count("health") > before, what="the count to move")


def test_a_screen_reader_finds_a_name_on_every_control_and_a_heading_on_every_part(page):
    page.driver.execute_cdp_cmd("Accessibility.enable", {})
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {}
    for node in nodes:
        if not node.get("ignored"):
            roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    assert len(roles["button"]) == 15 and len(roles["combobox"]) == 3
    for role in ("button", "combobox", "spinbutton", "link", "table", "region", "image", "img"):
        if role != "table":
            assert all(roles.get(role, ["-"])), (role, roles.get(role))
    assert len(roles["button"]) == len(set(roles["button"]))
    assert {"CPU", "Alarms", "Load", "Requests by route", "Answers"} <= set(roles["heading"])
    assert any("of its limit" in name for name in roles.get("image", []) + roles.get("img", [])), "the curve says in words what it shows"
    assert {"banner", "main", "contentinfo"} <= set(roles)


# --- pictures -------------------------------------------------------------------------


def test_screenshots_idle_and_under_load(open_page, service):
    page = open_page(service.url)
    wait_for(page.is_live, what="the first figures")
    wait_for(lambda: page.text("#throttled") == "0\u00a0%", 30, "rest")
    shots(page, "idle")
    for path in ("/", "/bye", "/health", "/version"):
        for _ in range(50):
            service.get(path)
    assert service.request("POST", "/riseload?seconds=150&load=3&memory=90%25").status == 202
    try:
        alarm = "ContainerCPUOverLimit" if service.is_limited else "ContainerCPUNearLimit"
        for route in ("bye", "status"):
            page.click(page.button(route))
        page.run("document.getElementById('many').value = '20'")
        page.click(page.button("root"))

        def traffic():
            for path in ("/", "/", "/bye", "/health", "/version"):
                service.get(path)
            return True

        # The pictures want the alarm; on a busy machine it may stay away, and other tests hold it.
        ready = time.monotonic() + 100
        wait_for(lambda: traffic() and (state(page, alarm).startswith("would fire") or time.monotonic() > ready), 110, "the alarm")
        assert page.text("#memory") != "0 B" and "fire" in page.text("#alarms"), "no alarm at all"
        shots(page, "load")
    finally:
        service.request("DELETE", "/riseload")


def shots(page, name):
    for width in (1280, 390):
        for scheme in ("light", "dark"):
            page.resize(width)
            page.scheme(scheme)
            page.screenshot("%s-%d-%s" % (name, width, scheme))
    page.resize(1280)
    page.scheme("light")
