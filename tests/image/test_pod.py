"""The pod of k8s/10-fcgi-webapp.yaml, run by podman from that manifest, and stopped as the kubelet stops one."""

import copy
import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest
import yaml
from conftest import BASE, PROGRAMS, ROOT, build, engine, samples, wait_for

HERE = ROOT / "tests/image"
POD = "fcgi-webapp-pod-0"
EXPORTER = "localhost/fcgi-webapp-test-exporter"
PAUSE = "localhost/fcgi-webapp-test-pause"

# Podman's own pause image needs a package that may be missing, and ours shows that the pod needs nothing of it.
EXPORTER_FILE = f"""FROM {PROGRAMS}
ENTRYPOINT ["prometheus-nginx-exporter"]
"""
PAUSE_FILE = f"""FROM {BASE}
ENTRYPOINT ["sh", "-c", "trap exit TERM; sleep infinity & wait"]
"""


def deployment():
    for document in yaml.safe_load_all((ROOT / "k8s/10-fcgi-webapp.yaml").read_text()):
        if document["kind"] == "Deployment":
            return document
    raise AssertionError("no Deployment")


def containers():
    return {c["name"]: c for c in deployment()["spec"]["template"]["spec"]["containers"]}


def for_podman(document):
    """The manifest without what podman makes something else of: it publishes every port on every address of the machine, and
    turns HTTP probes into calls of curl. The probes are asked below, from inside of the pod. And it would start a container again
    that ends while the pod is being deleted, which the kubelet does not."""
    document = copy.deepcopy(document)
    document["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    for container in document["spec"]["template"]["spec"]["containers"]:
        for field in ("ports", "startupProbe", "livenessProbe", "readinessProbe"):
            container.pop(field, None)
        if container["name"] == "nginx-exporter":
            container["image"] = EXPORTER
    return document


class Pod:
    def __init__(self):
        self.pid = json.loads(engine("inspect", f"{POD}-nginx").stdout)[0]["State"]["Pid"]

    def inside(self, *command, **options):
        """Runs a program of this machine in the pod's network, where 127.0.0.1 is the pod's."""
        return subprocess.run(self.enter(*command), capture_output=True, text=True, check=False, timeout=60, **options)

    def enter(self, *command):
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *map(str, command)]

    def get(self, port, path):
        """Status and body."""
        result = self.inside("curl", "-s", "-m", "10", "-w", "\n%{http_code}", f"http://127.0.0.1:{port}{path}")
        body, _, status = result.stdout.rpartition("\n")
        return int(status), body

    def samples(self):
        return samples(self.get(8000, "/metrics")[1])

    def state(self, container):
        return json.loads(engine("inspect", f"{POD}-{container}").stdout)[0]["State"]

    def log(self, container):
        result = engine("logs", f"{POD}-{container}")
        return result.stdout + result.stderr

    def terminate(self):
        """As the kubelet does it: each container's preStop hook, and TERM when that has ended; all of them side by side."""

        def end(name, container):
            hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
            if hook:
                engine("exec", f"{POD}-{name}", *hook)
            engine("kill", "--signal=TERM", f"{POD}-{name}", check=False)

        threads = [threading.Thread(target=end, args=item) for item in containers().items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(deployment()["spec"]["template"]["spec"]["terminationGracePeriodSeconds"])
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def podman(programs, tmp_path_factory):
    """Podman with a pause image of ours, and the images that the pod needs."""
    if engine().stdout.strip() != "podman":
        pytest.skip("running a pod from its manifest takes podman")
    if os.geteuid() != 0:
        pytest.skip("looking into the pod's network takes root")
    folder = tmp_path_factory.mktemp("podman")
    build(PAUSE, PAUSE_FILE, folder / "pause")
    build(EXPORTER, EXPORTER_FILE, folder / "exporter")
    generated = ROOT / "build/containers.conf"
    settings = generated.read_text() if generated.exists() and "CONTAINERS_CONF" not in os.environ else "[engine]\n"
    (folder / "containers.conf").write_text(f'{settings}infra_image = "{PAUSE}"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(folder / "containers.conf"))
        yield


@pytest.fixture
def pod(podman, tmp_path):
    path = tmp_path / "pod.yaml"
    path.write_text(yaml.safe_dump(for_podman(deployment())))
    assert engine("pod", "exists", POD, check=False).returncode != 0, f"a pod {POD} runs already"
    engine("kube", "play", "--network=none", path)
    try:
        one = Pod()
        wait_for(lambda: one.get(8081, "/ready")[0] == 200, "ready")
        yield one
    finally:
        engine("pod", "rm", "--force", POD, check=False)
        engine("volume", "rm", "--force", "run", "counters", check=False)


def test_every_probe_of_the_manifest_succeeds(pod):
    asked = set()
    for name, container in containers().items():
        names = {p["name"]: p["containerPort"] for p in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "httpGet" in container.get(probe, {}):
                get = container[probe]["httpGet"]
                asked.add((names.get(get["port"], get["port"]), get["path"]))
            if "exec" in container.get(probe, {}):
                engine("exec", f"{POD}-{name}", *container[probe]["exec"]["command"])
    assert asked >= {(8081, "/ready"), (8000, "/nginx_status")}
    for port, path in asked:
        wait_for(lambda port=port, path=path: pod.get(port, path)[0] == 200, f"{port}{path}")


def test_the_containers_have_what_the_manifest_gives_them(pod):
    assert pod.get(8081, "/")[1] == '{"msg": "Hello World"}'
    found = pod.samples()
    assert found["cgroup_cpu_limit_cores"] == 0.2
    assert found["cgroup_memory_limit_bytes"] == 256 * 1024 * 1024
    for name in ("app", "nginx"):
        ids = engine("exec", f"{POD}-{name}", "id").stdout
        assert "uid=10001" in ids and "gid=10001" in ids
        assert engine("exec", f"{POD}-{name}", "touch", "/x", check=False).returncode != 0


def test_the_exporter_sees_nginx(pod):
    found = wait_for(lambda: samples(pod.get(9113, "/metrics")[1]), "nginx's metrics")
    assert found["nginx_up"] == 1


def test_load_in_the_pool_throttles_the_pool_and_not_nginx(pod):
    def throttled(container):
        read = "cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat 2>/dev/null || true"  # version 2 or 1
        stat = engine("exec", f"{POD}-{container}", "sh", "-c", read).stdout
        return int(dict(line.split() for line in stat.splitlines())["nr_throttled"])

    before = throttled("app"), throttled("nginx")
    engine("exec", f"{POD}-app", "stress", "--cpu", "1.5", "--seconds", "8")
    after = throttled("app"), throttled("nginx")
    assert after[0] - before[0] > 10
    assert after[1] - before[1] <= 2


def test_the_probe_of_the_pool_succeeds_beside_a_load_that_uses_its_cpu_and_memory(pod):
    command = [ROOT / "scripts/engine", "exec", f"{POD}-app", "stress", "--cpu", "1.5", "--memory", "97%", "--seconds", "20", "--quiet"]
    with subprocess.Popen(command) as load:
        wait_for(lambda: pod.samples()["cgroup_memory_working_set_bytes"] > 0.95 * 256 * 1024 * 1024, "the load")
        for _ in range(5):
            started = time.monotonic()
            engine("exec", f"{POD}-app", *containers()["app"]["livenessProbe"]["exec"]["command"])
            print(f"answered after {time.monotonic() - started:.2f} s")
        assert load.poll() is None, "it was asked while the load ran"
    assert load.returncode == 0, "the kernel killed nothing"
    assert pod.samples()["cgroup_oom_kills_total"] == 0


def runbook_commands(page):
    """What a runbook runs in the pod's pool, as a shell on this machine runs it with `kubectl exec` replaced."""
    text = (ROOT / "monitoring/runbooks" / page).read_text()
    found = re.findall(r"kubectl -n fcgi-webapp exec \S+ -c app -- ([^`\n]+)", text)
    return [f"{ROOT}/scripts/engine exec {POD}-app {command}" for command in found]


def test_the_runbook_shows_the_limits_and_both_kinds_of_load_and_ends_them(pod):
    see, find, end = runbook_commands("ContainerCPUOverLimit.md")[:3]
    command = [ROOT / "scripts/engine", "exec", f"{POD}-app", "stress", "--cpu", "0.1", "--seconds", "60"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as load:
        listed = wait_for(lambda: sh(find), "the processes of stress").split()
        assert "fcgi_load_active 0" in sh(see) and "cgroup_cpu_throttled_seconds_total " in sh(see)
        for path in listed:
            sh(end.replace("PID", path.split("/")[2]))
        load.wait(20)
    assert sh(find) == ""
    pod.inside("curl", "-s", "-X", "POST", "http://127.0.0.1:8081/riseload?seconds=60&load=0.1")
    assert "fcgi_load_active 1" in sh(see) and sh(find) == ""


def sh(command):
    return subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False).stdout


def test_the_runbook_ends_a_pool_from_inside(pod):
    command = runbook_commands("ContainerRestarting.md")[0]
    sh(command)
    wait_for(lambda: not pod.state("app")["Running"], "its end")


def test_a_pool_that_was_killed_comes_back_with_its_counters(pod):
    for _ in range(3):
        pod.get(8081, "/bye")
    engine("kill", "--signal=KILL", f"{POD}-app")
    wait_for(lambda: not pod.state("app")["Running"], "killed")
    assert pod.get(8081, "/health")[0] in (502, 503), "nginx itself answers meanwhile"
    engine("start", f"{POD}-app")
    wait_for(lambda: pod.get(8081, "/ready")[0] == 200, "back")
    found = pod.samples()
    assert found['http_requests_total{endpoint="bye",method="GET",code="200"}'] == 3
    assert found["fcgi_webapp_starts_total"] == 2


def test_a_pod_that_is_deleted_under_load_answers_every_request(pod, tmp_path):
    removed = tmp_path / "removed-from-the-endpoints"
    command = pod.enter(sys.executable, HERE / "load.py", 8081, 60, 8, 8, removed)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        wait_for(lambda: bye(pod) > 500, "load")
        # The other end of the cluster hears of it later than the kubelet: new connections come in for two seconds more.
        late = threading.Timer(2, removed.touch)
        late.start()
        started = time.monotonic()
        pod.terminate()
        codes = {name: int(engine("wait", f"{POD}-{name}").stdout) for name in ("nginx", "app")}
        seconds = time.monotonic() - started
        counts = json.loads(load.communicate(timeout=60)[0])
    print(f"{counts['answered']} answered, {counts['kept_connection_closed']} kept connections closed, gone after {seconds:.1f} s")
    assert codes == {"nginx": 0, "app": 0}
    assert counts["wrong"] == 0 and counts["refused"] == 0
    # A fresh connection is never dropped; a kept one is closed once, between two requests, and HTTP has the client ask again,
    # elsewhere, since this pod is in no Service any more.
    assert len(counts["unanswered"]) == counts["kept_connection_closed"] <= 8
    log = pod.log("nginx")
    for number in counts["unanswered"]:
        assert f'"uri":"/bye?n={number}"' not in log
    assert pod.state("nginx")["FinishedAt"] < pod.state("app")["FinishedAt"], "the pool is there as long as nginx is"
    assert '"reason":"drained"' in pod.log("app")


def bye(pod):
    return pod.samples().get('http_requests_total{endpoint="bye",method="GET",code="200"}', 0)
