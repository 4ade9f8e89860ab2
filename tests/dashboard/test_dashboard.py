"""The dashboard: every query has data, no query is tied to a place, every threshold is an alert's."""

import json
import math
import re
import time

import pytest
import yaml

from conftest import DASHBOARD, MONITORING, filled_in, has_data, panels, tables, wait_for

TEXT = json.dumps(DASHBOARD)
RULES = [rule for path in sorted((MONITORING / "prometheus/rules").glob("*.yml"))
         for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
INHIBIT_RULES = yaml.safe_load((MONITORING / "alertmanager/alertmanager.yml").read_text())["inhibit_rules"]
QUERIES = [(panel["title"], target) for panel in panels() for target in panel["targets"]]
NEEDS_A_LIMIT = "cgroup_cpu_periods_total"  # without a quota there are no periods
NEEDS_AN_ERROR = 'code=~"5..'  # which only /status/500 is sure to cause
APPLICATION = re.compile("|".join([r"\b%s(_bucket)?\b" % metric.name for metric in tables.metrics()]) or "$^")


def thresholds(panel):
    """The values at which a panel changes its colour."""
    return [step["value"] for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", []) if step["value"] is not None]


def eventually(prometheus, ask, what):
    def condition():
        prometheus.traffic()
        return has_data(ask())

    wait_for(condition, 90, "data in " + what)


@pytest.mark.parametrize("title, target", QUERIES, ids=["%s-%s" % (title, target["refId"]) for title, target in QUERIES])
def test_every_query_of_every_panel_has_data(prometheus, is_limited, title, target):
    query = filled_in(target["expr"])
    if NEEDS_A_LIMIT in query and is_limited.words.startswith("none"):
        assert prometheus.range("cgroup_cpu_periods_total"), "the family is there all the same"
        return
    ask = prometheus.instant if target["instant"] else prometheus.range
    if APPLICATION.search(query) or NEEDS_AN_ERROR in query and "/status/{code}" not in [route.path for route in tables.routes()]:
        ask(query)  # Prometheus accepts it
        return
    eventually(prometheus, lambda: ask(query), title)


@pytest.mark.parametrize("note", DASHBOARD["annotations"]["list"], ids=lambda note: note["name"])
def test_every_annotation_has_something_to_mark(prometheus, note):
    eventually(prometheus, lambda: prometheus.range(filled_in(note["expr"])), note["name"])


@pytest.mark.parametrize("variable", [v for v in DASHBOARD["templating"]["list"] if v["type"] == "query"], ids=lambda v: v["name"])
def test_every_variable_has_choices(prometheus, variable):
    match, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
    assert prometheus.ask("/api/v1/label/%s/values" % label, **{"match[]": filled_in(match)})


WITH_EXEMPLARS = [(title, target) for title, target in QUERIES if target.get("exemplar")]


@pytest.mark.parametrize("title, target", WITH_EXEMPLARS, ids=[title for title, _ in WITH_EXEMPLARS])
def test_a_panel_of_times_has_exemplars(prometheus, title, target):
    def condition():
        prometheus.traffic()
        return prometheus.ask("/api/v1/query_exemplars", query=filled_in(target["expr"]), start=0, end=time.time())

    wait_for(condition, 90, "exemplars in " + title)


def test_a_query_without_data_is_noticed(prometheus):
    assert not has_data(prometheus.range("no_such_metric"))
    assert not has_data(prometheus.range("0 * vector(NaN)"))
    with pytest.raises(AssertionError, match="parse error"):
        prometheus.range("rate(")


# --- what can be read in the file -----------------------------------------------------


def test_no_datasource_namespace_or_pod_is_hard_coded():
    def references(node):
        if isinstance(node, dict):
            if "datasource" in node:
                yield node["datasource"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    assert all(reference == {"type": "prometheus", "uid": "${datasource}"} for reference in references(DASHBOARD))
    for _, target in QUERIES:
        assert not re.search(r'\b(namespace|pod)\s*=~?\s*"(?!\$(namespace|pod)")', target["expr"]), target["expr"]
    assert "${DS_" not in TEXT and '"fcgi-webapp-monitoring' not in TEXT


def test_rates_follow_the_interval_of_the_window():
    for title, target in QUERIES:
        assert not re.search(r"rate\([^)]*\[\d", target["expr"]), title


def test_every_panel_has_a_unit_an_own_title_and_an_own_number():
    everything = list(panels())
    for panel in everything:
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"], panel["title"]
    for key in ("id", "title"):
        values = [panel[key] for panel in everything]
        assert len(values) == len(set(values)), key


def test_every_alert_has_a_panel_that_links_to_its_runbook():
    linked = set(re.findall(r"/monitoring/runbooks/(\w+)\.md", TEXT))
    assert linked == set(ALERTS)
    for name in linked:
        assert (MONITORING / "runbooks" / (name + ".md")).exists(), name


def figures(expression):
    """The numbers that an expression compares or multiplies with, those of the recorded rules that it reads, and products."""
    plain = re.sub(r"\[[^\]]*\]", "", expression)  # no windows
    found = {float(number) for number in re.findall(r"(?<![\w.:])\d+(?:\.\d+)?(?![\w.])", plain)}
    found |= {round(math.prod(map(float, product)), 6) for product in re.findall(r"([\d.]+) \* ([\d.]+)", plain)}
    for name in re.findall(r"\w+(?::\w+)+", plain):
        found |= figures(RECORDED[name])
    return found


def figures_of(alert):
    """Of an alert, and of those that it inhibits: a panel may link to the graver one alone."""
    inhibited = [rule["target_matchers"][0].removeprefix("alertname = ") for rule in INHIBIT_RULES
                 if "alertname = " + alert in rule["source_matchers"]]
    return set().union(*(figures(ALERTS[name]["expr"]) for name in (alert, *inhibited)))


WITH_THRESHOLDS = [panel for panel in panels() if thresholds(panel)]


@pytest.mark.parametrize("panel", WITH_THRESHOLDS, ids=[panel["title"] for panel in WITH_THRESHOLDS])
def test_a_threshold_is_a_figure_of_an_alert_that_the_panel_links_to(panel):
    linked = re.findall(r"/monitoring/runbooks/(\w+)\.md", json.dumps(panel))
    assert linked
    known = set().union(*(figures_of(alert) for alert in linked))
    assert set(thresholds(panel)) <= known, (panel["title"], linked)


def test_a_threshold_that_is_no_alert_s_is_noticed():
    assert 0.8 in figures_of("ContainerCPUOverLimit") and 0.81 not in figures_of("ContainerCPUOverLimit")
    assert figures('a{le="0.25"} > 14.4 * 0.001 and rate(x1[7m]) < 3') == {0.25, 14.4, 0.001, 0.0144, 3}


def test_the_provisioning_names_the_datasource_that_a_fresh_grafana_takes():
    datasource = yaml.safe_load((MONITORING / "grafana/datasource.yml").read_text())["datasources"][0]
    assert datasource["type"] == "prometheus" and datasource["isDefault"]
    scrape = yaml.safe_load((MONITORING / "prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
    assert datasource["jsonData"]["timeInterval"] == scrape
    provider = yaml.safe_load((MONITORING / "grafana/provider.yml").read_text())["providers"][0]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
