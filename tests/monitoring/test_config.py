"""The configurations are valid, route by severity, and have no secret."""

import re
import subprocess

import pytest
import yaml

from conftest import MONITORING, ROOT, RULES, run

ALERTMANAGER = MONITORING / "alertmanager" / "alertmanager.yml"
PROMETHEUS = MONITORING / "prometheus" / "prometheus.yml"
LOCAL = MONITORING / "prometheus" / "local.yml"
OF_PROMETHEUS_3 = ("scrape_native_histograms", "always_scrape_classic_histograms")


def checked(tmp_path, text):
    """What promtool says of a configuration that stands beside the shipped rules."""
    (tmp_path / "rules").symlink_to(MONITORING / "prometheus" / "rules")
    (tmp_path / "prometheus.yml").write_text(text)
    said = run("promtool", "check", "config", tmp_path / "prometheus.yml")
    assert "%d rule files found" % len(RULES) in said
    return said


def test_promtool_accepts_the_local_configuration(tmp_path):
    assert "SUCCESS" in checked(tmp_path, LOCAL.read_text())


def test_promtool_accepts_the_kubernetes_configuration(tmp_path):
    """Debian builds Prometheus without Kubernetes' discovery, it is too old for some settings, and the token lies only in a pod: these
    are exchanged and all the rest is checked. `make lint` has the image's own version check the file as it is."""
    document = yaml.safe_load(PROMETHEUS.read_text())
    for part in document["scrape_configs"] + document["alerting"]["alertmanagers"]:
        for key in OF_PROMETHEUS_3:
            part.pop(key, None)
        if part.pop("kubernetes_sd_configs", None):
            part["static_configs"] = [{"targets": ["localhost:1"]}]
        for section, key in (("authorization", "credentials_file"), ("tls_config", "ca_file")):
            if part.get(section, {}).get(key):
                part[section][key] = "token"
    (tmp_path / "token").write_text("")
    assert "SUCCESS" in checked(tmp_path, yaml.safe_dump(document))


def test_a_broken_configuration_would_be_noticed(tmp_path):
    with pytest.raises(AssertionError, match="not_a_key"):
        checked(tmp_path, LOCAL.read_text() + "\nnot_a_key: 1\n")


def test_both_configurations_have_the_same_intervals_and_storage():
    here, there = (yaml.safe_load(path.read_text()) for path in (LOCAL, PROMETHEUS))
    assert here["global"] == there["global"]
    assert here["rule_files"] == there["rule_files"]
    assert here["storage"] == there["storage"]
    names = {job["job_name"] for job in here["scrape_configs"]}
    assert names == {"fcgi-webapp", "nginx", "prometheus", "alertmanager"}
    assert {job["job_name"] for job in there["scrape_configs"]} == names | {"kube-state-metrics", "cadvisor"}


def test_kubernetes_jobs_keep_and_name_what_the_rules_need():
    jobs = {job["job_name"]: job for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]}
    assert jobs["kube-state-metrics"]["honor_labels"] is True
    kept = " ".join(rule["regex"] for rule in jobs["cadvisor"]["metric_relabel_configs"])
    for rule in re.findall(r"\bcontainer_[a-z_]+", "".join(path.read_text() for path in RULES)):
        assert re.fullmatch(jobs["cadvisor"]["metric_relabel_configs"][1]["regex"], rule), "%s is dropped by %s" % (rule, kept)
    for name in ("fcgi-webapp", "nginx"):
        assert {"namespace", "pod"} <= {rule.get("target_label") for rule in jobs[name]["relabel_configs"]}
    assert {"target_label": "container", "replacement": "app"} in jobs["fcgi-webapp"]["relabel_configs"]


def test_the_service_is_scraped_with_both_kinds_of_histograms():
    """Rules and dashboard read the classic ones."""
    jobs = {job["job_name"]: job for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]}
    assert all(jobs["fcgi-webapp"][key] is True for key in OF_PROMETHEUS_3)


def test_amtool_accepts_the_alertmanager_configuration():
    assert "SUCCESS" in run("amtool", "check-config", ALERTMANAGER)


@pytest.mark.parametrize("labels, receiver", [
    ("severity=critical alertname=AppDown", "slack-critical"),
    ("severity=high alertname=WorkersCrashing", "slack-high"),
    ("severity=none alertname=Watchdog", "heartbeat"),
    ("severity=none alertname=Other", "nobody"),
    ("severity=info alertname=Other", "nobody"),
    ("alertname=Other", "nobody"),
])
def test_the_severity_of_an_alert_selects_its_receiver(labels, receiver):
    assert run("amtool", "config", "routes", "test", "--config.file=%s" % ALERTMANAGER, *labels.split()).strip().splitlines()[-1] == receiver


def test_resolved_messages_are_sent_soon():
    document = yaml.safe_load(ALERTMANAGER.read_text())
    for receiver in document["receivers"]:
        for slack in receiver.get("slack_configs", []):
            assert slack["send_resolved"] is True
            assert "api_url" not in slack
    assert document["route"]["group_wait"] == "10s" and document["route"]["group_interval"] == "30s"


def test_the_webhook_comes_from_a_file():
    assert yaml.safe_load(ALERTMANAGER.read_text())["global"] == {"slack_api_url_file": "/etc/alertmanager/secrets/slack/webhook-url"}


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name] or [path for path in ROOT.rglob("*") if "build" not in path.parts]
    return [path for path in paths if path.is_file()]


# Put together here, so that this file is not what it looks for.
WEBHOOK = re.compile(r"hooks\.sl" + r"ack\.com/(services|workflows|triggers)/\w|hc-" + r"ping\.com/[0-9a-f-]{8}|discord(app)?\.com/api/web" + r"hooks/\d|xox[abp]-\d")


def test_no_file_of_the_repository_holds_a_webhook():
    files = tracked()
    assert len(files) > 20
    found = [str(path.relative_to(ROOT)) for path in files if WEBHOOK.search(path.read_text(errors="replace"))]
    assert found == []


def test_the_search_for_webhooks_finds_one():
    assert WEBHOOK.search("url: https://hooks.sl" + "ack.com/services/T000/B000/XXXX")
