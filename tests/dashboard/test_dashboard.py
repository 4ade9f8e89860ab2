"""The dashboard: every query has data, no query is tied to a place, every threshold is an alarm's."""

import json
import math
import re

import pytest
import yaml

from conftest import DASHBOARD, MONITORING, panels, wait_for

TEXT = json.dumps(DASHBOARD)
RULES = [rule for path in sorted((MONITORING / "prometheus/rules").glob("*.yml"))
         for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
QUERIES = [(panel["title"], target) for panel in panels() for target in panel["targets"]]
NEEDS_A_LIMIT = "cgroup_cpu_periods_total"  # without a quota there are no periods


def filled_in(expression):
    """The query as Grafana sends it, with everything chosen."""
    for name, value in (("$__rate_interval", "5s"), ("$namespace", ".*"), ("$pod", ".*")):
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def has_data(result):
    values = [value for series in result for value in ([series["value"]] if "value" in series else series["values"])]
    return any(not math.isnan(float(value)) for _, value in values)


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
    eventually(prometheus, lambda: ask(query), title)


@pytest.mark.parametrize("note", DASHBOARD["annotations"]["list"], ids=lambda note: note["name"])
def test_every_annotation_has_something_to_mark(prometheus, note):
    eventually(prometheus, lambda: prometheus.range(filled_in(note["expr"])), note["name"])


@pytest.mark.parametrize("variable", [v for v in DASHBOARD["templating"]["list"] if v["type"] == "query"], ids=lambda v: v["name"])
def test_every_variable_has_choices(prometheus, variable):
    match, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
    assert prometheus.ask("/api/v1/label/%s/values" % label, **{"match[]": filled_in(match)})


def test_a_query_without_data_is_noticed(prometheus):
    assert not has_data(prometheus.range("no_such_metric"))
    assert not has_data(prometheus.range("0 * vector(NaN)"))
    with pytest.raises(AssertionError, match="parse error"):
        prometheus.range("rate(")


# --- what can be read in the file -----------------------------------------------------


def test_no_datasource_namespace_or_pod_is_written_down():
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


def test_every_alert_is_linked_from_a_panel_to_a_runbook_that_exists():
    linked = set(re.findall(r"/monitoring/runbooks/(\w+)\.md", TEXT))
    assert linked == set(ALERTS)
    for name in linked:
        assert (MONITORING / "runbooks" / (name + ".md")).exists(), name


@pytest.mark.parametrize("title, steps", [
    ("CPU, share of the limit", {0.8: "ContainerCPUNearLimit", 0.95: "ContainerCPUOverLimit"}),
    ("CPU usage, highest", {0.8: "ContainerCPUNearLimit", 0.95: "ContainerCPUOverLimit"}),
    ("Memory, share of the limit", {0.85: "ContainerMemoryNearLimit", 0.95: "ContainerMemoryOverLimit"}),
    ("Memory, highest", {0.85: "ContainerMemoryNearLimit", 0.95: "ContainerMemoryOverLimit"}),
    ("Errors", {0.0144: "ErrorBudgetBurnFast"}),
    ("Error budget burnt, times too fast", {6: "ErrorBudgetBurnSlow", 14.4: "ErrorBudgetBurnFast"}),
    ("Latency budget burnt, times too fast", {6: "LatencyBurnSlow", 14.4: "LatencyBurnFast"}),
    ("Time in the queue", {0.5: "RequestsQueueing"}),
    ("Listen queue", {0.5: "RequestsQueueing"}),
    ("Restarts of containers", {2.5: "ContainerRestarting"}),
])
def test_a_threshold_is_the_alarm_s(title, steps):
    shown = [panel for panel in panels() if panel["title"] == title]
    assert shown
    for panel in shown:
        values = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        for value, alert in steps.items():
            assert value in values, title
            said = {round(math.prod(map(float, product.split("*"))), 4)
                    for product in re.findall(r"> ([\d.]+(?: \* [\d.]+)?)", ALERTS[alert]["expr"])}
            said |= {float(number) for number in re.findall(r"> ([\d.]+)", ALERTS[alert]["expr"])}
            assert value in said, (title, value, said)


def test_the_provisioning_names_the_datasource_that_a_fresh_grafana_takes():
    datasource = yaml.safe_load((MONITORING / "grafana/datasource.yml").read_text())["datasources"][0]
    assert datasource["type"] == "prometheus" and datasource["isDefault"]
    scrape = yaml.safe_load((MONITORING / "prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
    assert datasource["jsonData"]["timeInterval"] == scrape
    provider = yaml.safe_load((MONITORING / "grafana/provider.yml").read_text())["providers"][0]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
