"""monitoring/compose.yaml gives each container what its pod of k8s/ gives it."""

import re

import pytest
import yaml
from cluster import PODS, ROOT, get, quantity

FILE = ROOT / "monitoring/compose.yaml"
# A variable stands for its default.
COMPOSE = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", FILE.read_text()))
SERVICES = COMPOSE["services"]
LOCAL = yaml.safe_load((ROOT / "monitoring/prometheus/local.yml").read_text())
UNITS = {"m": 1024**2, "g": 1024**3}

CONTAINERS = {c["name"]: (p, c) for p in PODS for c in p.containers if c["name"] in SERVICES}
each = pytest.mark.parametrize("name", CONTAINERS)


def size(text):
    """Bytes of a size in Compose's notation."""
    digits, unit = re.fullmatch(r"(\d+)([A-Za-z]+)", text).groups()
    return int(digits) * UNITS[unit]


def mounts(service):
    """Path in the container -> file of this repository."""
    split = [volume.split(":") for volume in service.get("volumes", []) if volume.startswith(".")]
    return {path: (FILE.parent / source).resolve() for source, path, _ in split}


def files(service):
    """Path in the container -> text, for every file that is mounted, alone or in its folder."""
    found = {}
    for path, source in mounts(service).items():
        inside = [p for p in source.rglob("*") if p.is_file()] if source.is_dir() else [source]
        for file in inside:
            found[path + str(file)[len(str(source)):]] = file.read_text()
    return found


def test_it_runs_the_containers_of_kubernetes_and_a_stand_in_for_slack():
    assert set(SERVICES) == {c["name"] for p in PODS for c in p.containers} - {"kube-state-metrics"} | {"slack"}


@each
def test_image_and_limits_are_those_of_the_pod(name):
    service, limits = SERVICES[name], CONTAINERS[name][1]["resources"]["limits"]
    assert service["image"] == CONTAINERS[name][1]["image"]
    assert service["cpus"] == quantity(limits["cpu"])
    assert size(service["mem_limit"]) == size(service["memswap_limit"]) == quantity(limits["memory"])


@each
def test_arguments_and_environment_are_those_of_the_pod(name):
    service, container = SERVICES[name], CONTAINERS[name][1]
    # In a pod, all containers are at 127.0.0.1.
    arguments = [a.replace("127.0.0.1:8000", "nginx:8000") for a in container.get("args", [])]
    assert service.get("command", []) == arguments
    # A value of an optional ConfigMap is absent at first. An application may need more in a pod.
    in_pod = {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}
    assert service.get("environment", {}).items() <= in_pod.items()


@each
def test_files_are_those_of_the_pod(name):
    one, container = CONTAINERS[name]
    expected = {path: get("ConfigMap", one.namespace, wanted)["data"][key]
                for path, (kind, wanted, key) in one.mounted_files(container).items() if kind == "configMap"}
    found = files(SERVICES[name])
    if name == "prometheus":
        # Its targets are not those of Kubernetes. tests/monitoring compares the rest.
        assert mounts(SERVICES[name])["/etc/prometheus/prometheus.yml"].name == "local.yml"
        for texts in (expected, found):
            del texts["/etc/prometheus/prometheus.yml"]
    if name == "alertmanager":
        assert found.pop("/etc/alertmanager/secrets/slack/webhook-url").startswith("http://slack:")
    assert {path: text.rstrip("\n") for path, text in found.items()} == {path: text.rstrip("\n") for path, text in expected.items()}


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_has_a_right_that_it_does_not_need(name):
    service = SERVICES[name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(volume.endswith(":ro") for volume in service.get("volumes", []) if volume.startswith("."))
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode"} & set(service)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_on_loopback_only(name):
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), port


def test_prometheus_asks_the_ports_that_the_containers_have():
    targets = {t for job in LOCAL["scrape_configs"] + LOCAL["alerting"]["alertmanagers"] for c in job["static_configs"] for t in c["targets"]}
    for target in targets:
        name, port = target.split(":")
        assert int(port) in [p["containerPort"] for p in CONTAINERS[name][1]["ports"]], target


def test_slack_and_the_heartbeat_reach_the_stand_in():
    config = yaml.safe_load(get("ConfigMap", "fcgi-webapp-monitoring", "alertmanager-config")["data"]["alertmanager.yml"])
    heartbeat = next(r for r in config["receivers"] if r["name"] == "heartbeat")["webhook_configs"][0]["url"]
    slack = SERVICES["slack"]
    port = slack["command"][slack["command"].index("--port") + 1]
    assert heartbeat == f'http://{slack["networks"]["default"]["aliases"][0]}:{port}/'
    url = files(SERVICES["alertmanager"])[config["global"]["slack_api_url_file"]]
    assert url == f"http://slack:{port}/services/stand-in\n"
