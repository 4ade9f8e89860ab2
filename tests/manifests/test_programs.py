"""The real Alertmanager and Prometheus, with the arguments and the files that the manifests give them."""

import socket
import subprocess
import time
import urllib.request

import pytest
import yaml
from cluster import get, pod


def lay_out(one, root):
    """The files of its ConfigMaps below root, where they are mounted in the pod. No Secret: it may be missing."""
    for path, (kind, name, key) in one.mounted_files(one.containers[0]).items():
        if kind == "configMap":
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(get("ConfigMap", one.namespace, name)["data"][key])


def for_debian(path):
    """Debian's Prometheus knows neither Kubernetes nor native histograms in the configuration, and only a pod has the token."""
    config = yaml.safe_load(path.read_text())
    for job in config["scrape_configs"] + config["alerting"]["alertmanagers"]:
        for key in ("kubernetes_sd_configs", "authorization", "tls_config", "scrape_native_histograms", "always_scrape_classic_histograms"):
            job.pop(key, None)
    path.write_text(yaml.safe_dump(config))


def arguments(one, root):
    """The container's arguments, with its mounts below root."""
    mounts = [m["mountPath"] for m in one.containers[0]["volumeMounts"]]
    result = []
    for argument in one.containers[0]["args"]:
        flag, _, value = argument.partition("=")
        result.append(f"{flag}={root}{value}" if value.startswith(tuple(mounts)) else argument)
    return result


def check(*command, cwd):
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_promtool_accepts_what_the_prometheus_pod_sees(tmp_path):
    lay_out(pod("prometheus"), tmp_path)
    folder = tmp_path / "etc/prometheus"
    for_debian(folder / "prometheus.yml")
    rules = len(list(folder.glob("rules/*.yml")))
    assert f"{rules} rule files found" in check("promtool", "check", "config", "prometheus.yml", cwd=folder)


def test_amtool_accepts_what_the_alertmanager_pod_sees(tmp_path):
    lay_out(pod("alertmanager"), tmp_path)
    assert "1 templates" in check("amtool", "check-config", "alertmanager.yml", cwd=tmp_path / "etc/alertmanager")


@pytest.mark.parametrize(("name", "program"), [("alertmanager", "prometheus-alertmanager"), ("prometheus", "prometheus")])
def test_it_becomes_ready_with_the_arguments_of_its_pod_and_without_the_slack_secret(tmp_path, name, program):
    one = pod(name)
    lay_out(one, tmp_path)
    if name == "prometheus":
        for_debian(tmp_path / "etc/prometheus/prometheus.yml")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, *arguments(one, tmp_path), f"--web.listen-address=127.0.0.1:{port}"]
    path = one.containers[0]["readinessProbe"]["httpGet"]["path"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}{path}"):
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
    finally:
        process.terminate()
        assert process.wait(30) == 0


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False
