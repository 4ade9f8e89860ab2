"""monitoring/compose.yaml, run by docker compose or podman-compose, from the start of its containers to a message in Slack.

Images of registries are replaced by one with Debian's programs. Debian has no Grafana, so that container is left out here;
tests/manifests compares its files and variables with those of the pod."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
import yaml
from conftest import PROGRAMS, ROOT, engine, free_ports, get, samples, wait_for

PODMAN_COMPOSE = "1.6.0"
REPLACED = {
    "nginx-exporter": {"image": PROGRAMS, "entrypoint": ["prometheus-nginx-exporter"], "user": "nobody"},
    "prometheus": {"image": PROGRAMS, "entrypoint": ["prometheus"], "user": "nobody"},
    "alertmanager": {"image": PROGRAMS, "entrypoint": ["prometheus-alertmanager"], "user": "nobody"},
    "slack": {"image": PROGRAMS},
}
SERVICES = ["app", "nginx", *REPLACED]


def implementation():
    """The command of docker compose, or of a podman-compose under build/."""
    if engine().stdout.strip() == "docker":
        if engine("compose", "version", check=False).returncode != 0:
            pytest.skip("docker has no compose")
        return [ROOT / "scripts/engine", "compose"]
    folder = ROOT / f"build/podman-compose-{PODMAN_COMPOSE}"
    if not (folder / "complete").exists():
        for command in ([sys.executable, "-m", "venv", "--clear", folder],
                        [folder / "bin/pip", "install", "--quiet", f"podman-compose=={PODMAN_COMPOSE}"]):
            subprocess.run(command, check=True, timeout=120)
        (folder / "complete").touch()
    return [folder / "bin/podman-compose", "--podman-path", ROOT / "scripts/engine"]


class Compose:
    """The stack, on free ports and with a name of its own."""

    def __init__(self, override):
        self.http, self.metrics, self.prometheus, self.alertmanager, self.slack = free_ports(5)
        self.name = f"fcgi-webapp-test-{self.http}"
        self.command = [*implementation(), "-p", self.name, "-f", ROOT / "monitoring/compose.yaml", "-f", override]

    def run(self, *arguments):
        ports = {"HTTP": self.http, "METRICS": self.metrics, "PROMETHEUS": self.prometheus, "ALERTMANAGER": self.alertmanager, "SLACK": self.slack}
        words = ["env", *(f"{name}_PORT={port}" for name, port in ports.items()), *self.command, *arguments]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def containers(self, form="{{.ID}}", **labels):
        """One line for each container, running or not."""
        filters = [f"--filter=label=com.docker.compose.{label}={value}" for label, value in {"project": self.name, **labels}.items()]
        return engine("ps", "--all", f"--format={form}", *filters).stdout.splitlines()

    def healthy(self, service):
        (container,) = self.containers(service=service)
        if engine().stdout.strip() == "podman":
            # Podman itself asks only where systemd runs.
            return engine("healthcheck", "run", container, check=False).returncode == 0
        return json.loads(engine("inspect", container).stdout)[0]["State"]["Health"]["Status"] == "healthy"

    def query(self, expression):
        status, text = answer(self.prometheus, f"/api/v1/query?query={urllib.request.quote(expression)}")
        return status == 200 and json.loads(text)["data"]["result"]

    def taken(self):
        return [entry["message"]["attachments"][0]["title"] for entry in json.loads(answer(self.slack, "/messages")[1])["taken"]]


def answer(port, path):
    """Like get(), before the port is there, too."""
    try:
        return get(port, path)
    except OSError:
        return 0, ""


@pytest.fixture(scope="module")
def compose(programs, tmp_path_factory):
    override = tmp_path_factory.mktemp("compose") / "override.yaml"
    override.write_text(yaml.safe_dump({"services": REPLACED}))
    stack = Compose(override)
    try:
        stack.run("up", "--detach", *SERVICES)
        yield stack
    finally:
        stack.run("down", "--volumes")
        assert stack.containers() == []


def crash(port):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/crash", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="502"):
        urllib.request.urlopen(request, timeout=10)


def test_crashes_in_the_stack_of_compose_end_in_a_message_to_slack(compose):
    wait_for(lambda: compose.healthy("app") and compose.healthy("nginx"), "health of both containers")
    assert get(compose.http, "/") == (200, '{"msg": "Hello World"}')
    found = samples(get(compose.metrics, "/metrics")[1])
    assert found["cgroup_cpu_limit_cores"] == 0.2
    assert found["cgroup_memory_limit_bytes"] == 256 * 1024 * 1024

    wait_for(lambda: len(compose.query("up == 1") or []) == 4, "a scrape of each target")
    for _ in range(3):
        crash(compose.http)
    wait_for(lambda: any("WorkersCrashing" in title for title in compose.taken()), "the message", 60)


def test_a_heartbeat_of_alertmanager_reaches_the_stand_in(compose):
    """Prometheus may try again only after a minute if Alertmanager was not there yet, so Alertmanager's container asks itself."""
    (url,) = re.findall(r"- url: (http://heartbeat\S+)", (ROOT / "monitoring/alertmanager/alertmanager.yml").read_text())
    before = int(answer(compose.slack, "/heartbeats")[1])
    (container,) = compose.containers(service="alertmanager")
    engine("exec", container, "python3", "-c", f"import urllib.request; urllib.request.urlopen('{url}', data=b'{{}}', timeout=10)")
    assert int(answer(compose.slack, "/heartbeats")[1]) > before


def test_the_stack_of_compose_listens_on_loopback_only(compose):
    listening = [port for line in compose.containers("{{.Ports}}") for port in line.split(", ") if "->" in port]
    assert len(listening) == 5
    assert all(port.startswith("127.0.0.1:") for port in listening), listening


def test_a_stop_of_the_stack_drains_the_service(compose):
    compose.run("stop")
    states = [container["State"] for container in json.loads(engine("inspect", *compose.containers()).stdout)]
    assert [state["ExitCode"] for state in states] == [0] * len(SERVICES), states
