"""Everything that a manifest refers to exists and agrees with the configuration."""

import re

import pytest
import yaml
from cluster import PODS, ROOT, get, name, of_kind, pod, selects

containers = pytest.mark.parametrize(
    ("one", "container"), [(p, c) for p in PODS for c in p.containers], ids=lambda v: str(v) if not isinstance(v, dict) else v["name"]
)


def monitoring(path):
    return yaml.safe_load((ROOT / "monitoring" / path).read_text())


def test_every_workload_selects_its_own_pods_and_no_others():
    for one in PODS:
        selected = [p for p in PODS if p.namespace == one.namespace and selects(one.workload["spec"]["selector"], p.labels)]
        assert selected == [one]


@pytest.mark.parametrize("service", of_kind("Service"), ids=name)
def test_every_service_selects_one_workload_and_names_ports_that_it_has(service):
    selector = {"matchLabels": service["spec"]["selector"]}
    selected = [p for p in PODS if p.namespace == service["metadata"]["namespace"] and selects(selector, p.labels)]
    assert len(selected) == 1
    for port in service["spec"]["ports"]:
        assert selected[0].ports()[port["targetPort"]] == port["port"]


@pytest.mark.parametrize("policy", of_kind("NetworkPolicy", "PodDisruptionBudget"), ids=name)
def test_every_policy_and_budget_selects_a_pod(policy):
    selector = policy["spec"].get("podSelector", policy["spec"].get("selector"))
    assert any(p.namespace == policy["metadata"]["namespace"] and selects(selector, p.labels) for p in PODS)


def test_the_autoscaler_names_a_deployment_and_a_container_that_exist():
    for hpa in of_kind("HorizontalPodAutoscaler"):
        target = hpa["spec"]["scaleTargetRef"]
        deployment = get(target["kind"], hpa["metadata"]["namespace"], target["name"])
        names = [c["name"] for c in deployment["spec"]["template"]["spec"]["containers"]]
        for metric in hpa["spec"]["metrics"]:
            assert metric["containerResource"]["container"] in names


def test_every_pod_runs_as_a_service_account_of_its_own():
    accounts = [(p.namespace, p.spec["serviceAccountName"]) for p in PODS]
    assert len(set(accounts)) == len(accounts)
    for namespace, account in accounts:
        assert get("ServiceAccount", namespace, account), account
    assert len(of_kind("ServiceAccount")) == len(accounts), "an account that nobody uses"


@pytest.mark.parametrize("binding", of_kind("RoleBinding", "ClusterRoleBinding"), ids=name)
def test_every_binding_names_a_role_and_an_account_that_exist(binding):
    role = binding["roleRef"]
    namespace = binding["metadata"].get("namespace") if role["kind"] == "Role" else None
    assert get(role["kind"], namespace, role["name"])
    for subject in binding["subjects"]:
        assert get(subject["kind"], subject["namespace"], subject["name"])


def test_every_role_is_bound():
    bound = {(b["metadata"].get("namespace"), b["roleRef"]["name"]) for b in of_kind("RoleBinding", "ClusterRoleBinding")}
    assert {(r["metadata"].get("namespace"), r["metadata"]["name"]) for r in of_kind("Role", "ClusterRole")} == bound


@pytest.mark.parametrize("one", PODS, ids=str)
def test_every_volume_is_mounted_and_every_mount_has_a_volume(one):
    volumes = [v["name"] for v in one.spec.get("volumes", [])]
    mounted = {m["name"] for c in one.containers for m in c.get("volumeMounts", [])}
    assert sorted(volumes) == sorted(mounted)


@pytest.mark.parametrize("one", PODS, ids=str)
def test_every_claim_exists_and_is_used_by_one_pod_at_a_time(one):
    for volume in one.spec.get("volumes", []):
        if "persistentVolumeClaim" in volume:
            assert get("PersistentVolumeClaim", one.namespace, volume["persistentVolumeClaim"]["claimName"])
            assert one.workload["spec"]["strategy"]["type"] == "Recreate"
            assert one.workload["spec"].get("replicas") == 1
            scaled = [hpa["spec"]["scaleTargetRef"]["name"] for hpa in of_kind("HorizontalPodAutoscaler")]
            assert one.workload["metadata"]["name"] not in scaled


@containers
def test_every_mounted_file_exists_or_may_be_missing(one, container):
    for path, (kind, wanted, key) in one.mounted_files(container).items():
        if kind == "configMap":
            assert key in get("ConfigMap", one.namespace, wanted)["data"], path


@containers
def test_no_mount_lies_inside_another_and_none_is_a_sub_path(one, container):
    # A sub-path never updates; a mount inside a read-only one cannot be made.
    paths = [m["mountPath"] for m in container.get("volumeMounts", [])]
    assert not any(a != b and a.startswith(b + "/") for a in paths for b in paths)
    assert not any("subPath" in m for m in container.get("volumeMounts", []))


@containers
def test_every_probe_asks_a_port_that_the_pod_has(one, container):
    own = {p["name"] for p in container.get("ports", [])}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        action = container.get(probe, {})
        asked = action.get("httpGet", action.get("tcpSocket", {})).get("port")
        if isinstance(asked, str):
            assert asked in own, "a name is looked up in the container's own ports"
        elif asked is not None:
            assert asked in one.ports().values()


def test_monitoring_starts_without_any_secret():
    """Alerts fire before anybody has a Slack address. A service of your own may need its Secrets."""
    for one in [p for p in PODS if p.namespace == "fcgi-webapp-monitoring"]:
        for container in one.containers:
            assert not any("secretRef" in e for e in container.get("envFrom", []))
            assert not any("secretKeyRef" in e.get("valueFrom", {}) for e in container.get("env", []))
        for volume in one.spec.get("volumes", []):
            for source in [volume] + volume.get("projected", {}).get("sources", []):
                assert source.get("secret", {"optional": True}).get("optional") is True


def test_prometheus_finds_its_configuration_and_every_rule_file():
    files = pod("prometheus").mounted_files(pod("prometheus").containers[0])
    assert "--config.file=/etc/prometheus/prometheus.yml" in pod("prometheus").containers[0]["args"]
    assert monitoring("prometheus/prometheus.yml")["rule_files"] == ["rules/*.yml"]
    wanted = {f"/etc/prometheus/rules/{p.name}" for p in (ROOT / "monitoring/prometheus/rules").iterdir()}
    assert wanted | {"/etc/prometheus/prometheus.yml"} == files.keys()


def test_alertmanager_finds_its_configuration_its_templates_and_the_slack_address():
    alertmanager = pod("alertmanager")
    files = alertmanager.mounted_files(alertmanager.containers[0])
    config = monitoring("alertmanager/alertmanager.yml")
    assert "--config.file=/etc/alertmanager/alertmanager.yml" in alertmanager.containers[0]["args"]
    assert "/etc/alertmanager/alertmanager.yml" in files
    for pattern in config["templates"]:
        assert any(path.startswith(f"/etc/alertmanager/{pattern.rpartition('/')[0]}/") for path in files)
    assert files[config["global"]["slack_api_url_file"]] == ("secret", "alertmanager-slack", "webhook-url")


def test_the_slack_helper_makes_the_secret_that_alertmanager_mounts():
    script = (ROOT / "scripts/slack-secret").read_text()
    assert "secret generic alertmanager-slack" in script and "--from-file=webhook-url=" in script


def test_grafana_finds_its_datasource_and_its_dashboards():
    grafana = pod("grafana")
    files = grafana.mounted_files(grafana.containers[0])
    assert "/etc/grafana/provisioning/datasources/datasource.yml" in files
    assert "/etc/grafana/provisioning/dashboards/provider.yml" in files
    for provider in monitoring("grafana/provider.yml")["providers"]:
        folder = provider["options"]["path"].rstrip("/")
        for path in (ROOT / "monitoring/grafana/dashboards").glob("*.json"):
            assert f"{folder}/{path.name}" in files
    environment = {e["name"]: e["value"] for e in grafana.containers[0]["env"]}
    assert environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in files
    for datasource in monitoring("grafana/datasource.yml")["datasources"]:
        host, port = re.fullmatch(r"http://([\w.-]+):(\d+)/?", datasource["url"]).groups()
        assert host.split(".")[0] == "prometheus"
        assert int(port) == get("Service", "fcgi-webapp-monitoring", "prometheus")["spec"]["ports"][0]["port"]


def test_every_target_that_prometheus_looks_for_is_a_port_of_a_pod():
    """Its relabelling keeps `NAME;PORT`, where the name is a pod's namespace or its app.kubernetes.io/name."""
    have = {(n, port) for p in PODS for port in p.ports().values() for n in (p.namespace, p.labels["app.kubernetes.io/name"])}
    config = monitoring("prometheus/prometheus.yml")
    jobs = config["scrape_configs"] + config["alerting"]["alertmanagers"]
    kept = [r["regex"] for job in jobs for r in job.get("relabel_configs", []) if r.get("action") == "keep"]
    assert len(kept) >= 4
    for wanted in kept:
        label, port = wanted.split(";")
        assert (label, int(port)) in have


def test_the_exporter_reads_the_page_that_nginx_serves():
    one = pod("fcgi-webapp")
    exporter = next(c for c in one.containers if c["name"] == "nginx-exporter")
    assert f"--nginx.scrape-uri=http://127.0.0.1:{one.ports()['metrics']}/nginx_status" in exporter["args"]
    assert one.ports() == {"http": 8081, "metrics": 8000, "nginx-metrics": 9113}
