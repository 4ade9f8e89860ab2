"""The rules are valid, each alert is tested silent, firing and recovered, and each has a runbook."""

import re
import subprocess

import pytest
import yaml

from conftest import MONITORING, ROOT, RULES, alerts, groups, rules, run, wait_for
from quantities import seconds

TESTS = sorted((MONITORING / "prometheus" / "tests").glob("*.yml"))
RUNBOOKS = MONITORING / "runbooks"
# Alerts that must fire without data.
FIRE_WITHOUT_DATA = {"MetricsMissing", "Watchdog"}
# Metrics of other programs that the rules use. The application's own metrics
# are read from its output.
OTHERS = {
    "up",
    "nginx_up",
    "alertmanager_config_last_reload_successful", "alertmanager_notifications_failed_total",
    "prometheus_config_last_reload_successful", "prometheus_notifications_alertmanagers_discovered",
    "container_cpu_cfs_periods_total", "container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_throttled_seconds_total", "container_cpu_usage_seconds_total", "container_memory_working_set_bytes",
    "container_pressure_cpu_stalled_seconds_total", "container_pressure_cpu_waiting_seconds_total", "container_pressure_memory_stalled_seconds_total",
    "container_spec_cpu_period", "container_spec_cpu_quota", "container_spec_memory_limit_bytes",
    "kube_deployment_spec_replicas", "kube_deployment_status_replicas_available",
    "kube_horizontalpodautoscaler_spec_max_replicas", "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_pod_container_status_last_terminated_reason", "kube_pod_container_status_restarts_total",
    # The application's own, which a machine without cgroup v2 or PSI does not have.
    "cgroup_pressure_stalled_seconds_total", "cgroup_pressure_waiting_seconds_total",
    "kube_pod_container_status_ready", "kube_pod_container_status_waiting_reason",
}
WORDS = {"and", "or", "unless", "by", "on", "offset", "without", "ignoring", "group_left", "group_right", "bool"}


def metrics_in(expression):
    """The names of the series that an expression reads."""
    expression = re.sub(r'"[^"]*"', "", expression)
    expression = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", expression)
    expression = re.sub(r"\b(by|on|without|ignoring)\s*\([^)]*\)", "", expression)
    return {name for name in re.findall(r"[A-Za-z_][\w:]*(?!\s*[\w:(])", expression) if name not in WORDS}


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_promtool_accepts(path):
    assert "SUCCESS" in run("promtool", "check", "rules", path)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_pass_their_promtool_tests_of(path):
    assert "SUCCESS" in run("promtool", "test", "rules", path)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_there_is_a_severity_a_summary_a_description_and_a_runbook_for(alert):
    assert alert["labels"]["severity"] in ("critical", "high", "none")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == (
        "https://github.com/fcgi-webapp/fcgi-webapp/blob/main/monitoring/runbooks/%s.md" % alert["alert"])
    page = (RUNBOOKS / (alert["alert"] + ".md")).read_text()
    assert page.startswith("# %s\n" % alert["alert"])
    for heading in ("## What it means", "## How to see it", "## What to do", "## How to trigger it"):
        assert heading in page, "the runbook lacks %s" % heading


def test_there_is_no_runbook_without_an_alert():
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize("name", [alert["alert"] for alert in alerts() if alert["alert"] != "Watchdog"])  # which always fires
def test_promtool_sees_it_silent_firing_recovered_and_silent_without_data(name):
    histories, without_data = [], None
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            asked = [case for case in test.get("alert_rule_test", []) if case["alertname"] == name]
            history = "".join("f" if case["exp_alerts"] else "s" for case in asked)
            if path.stem == "no-data":
                without_data = history
            else:
                histories.append(history)
    assert any(re.search("sf+s", history) for history in histories), "no test sees it silent, firing, then silent again"
    assert without_data == ("f" if name in FIRE_WITHOUT_DATA else "s")


def printed_metrics(folder):
    """The metrics of a new pool."""
    program, counters = ROOT / "build" / "fcgi-webapp", folder / "counters"
    pool = subprocess.Popen([program, "serve", "--socket", folder / "app.sock", "--metrics-socket", folder / "metrics.sock", "--metrics-file", counters],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def printed():
            text = run(program, "metrics", "--metrics-file", counters) if (folder / "metrics.sock").exists() else ""
            # These are there as soon as the pool has its processes and listens.
            return text if "process_start_time_seconds" in text and "fcgi_listen_queue_length" in text else ""
        return wait_for(printed, what="the metrics of a running pool")
    finally:
        pool.terminate()
        pool.wait(30)


def test_every_metric_that_a_rule_uses_exists(tmp_path):
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    printed = printed_metrics(tmp_path)
    assert 'le="0.25"' in printed, "the latency objective needs that bucket"
    own = set(re.findall(r"(?m)^([a-z]\w*)(?=[ {])", printed))
    unknown = {name for rule in rules() for name in metrics_in(rule["expr"])} - recorded - OTHERS - own
    assert unknown == set()


def test_metrics_in_finds_the_metrics_of_an_expression():
    assert metrics_in('sum by (a, b) (rate(x_total{c=~"d_e", f="g"}[5m])) / on (h) job:y:rate5m > 2.5 and up == 1') == {"x_total", "job:y:rate5m", "up"}


def test_rules_that_read_more_than_an_hour_are_evaluated_once_a_minute_at_most():
    """Their work grows with the number of pods: at 10 s they took most of the CPU time of Prometheus."""
    usual = yaml.safe_load((MONITORING / "prometheus" / "prometheus.yml").read_text())["global"]["evaluation_interval"]
    long = {rule.get("record", rule.get("alert")): group.get("interval", usual) for group in groups() for rule in group["rules"]
            if any(seconds(window) > 3600 for window in re.findall(r"\[(\w+)", rule["expr"]))}
    assert "job:http_requests:error_ratio_rate6h" in long
    assert {name: interval for name, interval in long.items() if seconds(interval) < 60} == {}


def test_every_recorded_series_is_used_by_an_alert_or_another_rule():
    text = "".join(rule["expr"] + "".join(rule.get("annotations", {}).values()) for rule in rules())
    assert [rule["record"] for rule in rules() if "record" in rule and rule["record"] not in text] == []


def operator_groups():
    return yaml.safe_load((ROOT / "k8s/optional/prometheus-operator-rules.yaml").read_text())["spec"]["groups"]


def test_the_operator_gets_the_same_rules_with_longer_windows_for_cadvisor():
    texts = [re.sub(r"(rate\(container_[^\[]*)\[45s\]", r"\1[2m]", path.read_text()) for path in RULES if path.name != "alarm-chain.yml"]
    assert operator_groups() == [group for text in texts for group in yaml.safe_load(text)["groups"]]


def test_an_alert_of_the_operator_fires_where_cadvisor_is_scraped_every_30_seconds(tmp_path):
    """As in kube-prometheus. The rules are evaluated at any time between two scrapes."""
    labels = '{namespace="fcgi-webapp", pod="a", container="nginx"}'
    series = {"container_cpu_usage_seconds_total": "0+6x40", "container_spec_cpu_quota": "20000x40", "container_spec_cpu_period": "100000x40"}
    firing = 'count(ALERTS{alertname="ContainerCPUNearLimit", alertstate="firing", container="nginx"})'
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": operator_groups()}))
    (tmp_path / "test.yml").write_text(yaml.safe_dump({
        "rule_files": ["rules.yml"],
        "evaluation_interval": "10s",
        "tests": [{
            "interval": "30s",
            "input_series": [{"series": name + labels, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": firing, "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": 1}]}],
        }],
    }))
    assert "SUCCESS" in run("promtool", "test", "rules", tmp_path / "test.yml")
