"""Faults of one pod. What clients on kept connections notice is bounded, and the pod gets well by itself."""

import json

import kubernetes
import pytest
from kubernetes import bye, container_id, endpoints, kubectl, name, restarts, wait_for

FREEZER = "fcgi-webapp-test"  # a namespace, and its pod
TIMEOUT = 5  # of the clients, in seconds
SPREAD = 3  # until all nodes know who has left the endpoints


def freezer(node, image):
    """A pod that sees the processes of its node, to stop what a container cannot stop itself: its process 1."""
    container = {"name": "shell", "image": image, "command": ["sleep", "600"]}
    container["securityContext"] = {"privileged": True, "runAsUser": 0}
    spec = {"nodeName": node, "hostPID": True, "terminationGracePeriodSeconds": 0, "containers": [container]}
    spec["tolerations"] = [{"operator": "Exists"}]
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": FREEZER, "labels": labels}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": FREEZER, "namespace": FREEZER}, "spec": spec},
    ]


@pytest.fixture
def freeze(pods):
    """Stops every process of the pool in the first pod."""
    image = next(c["image"] for c in pods[0]["spec"]["containers"] if c["name"] == "app")
    for document in freezer(pods[0]["spec"]["nodeName"], image):
        kubectl("apply", "--filename=-", namespace="", input=json.dumps(document))
    kubectl("wait", "pod", FREEZER, "--for=condition=Ready", "--timeout=60s", namespace=FREEZER)
    stop = 'for p in $(grep -ls "$0" /proc/[0-9]*/cgroup); do p=${p#/proc/}; kill -STOP "${p%/cgroup}"; done'
    yield lambda: kubectl("exec", FREEZER, "--", "sh", "-c", stop, container_id(pods[0], "app"), namespace=FREEZER)
    kubectl("delete", "namespace", FREEZER)


def current(pod):
    return kubernetes.get("pod", name(pod))


def test_a_frozen_pool_leaves_the_endpoints_and_is_restarted(pods, freeze, load, say):
    pod, address = pods[0], pods[0]["status"]["podIP"]
    containers = {c["name"]: c for c in pod["spec"]["containers"]}
    readiness, liveness = containers["nginx"]["readinessProbe"], containers["app"]["livenessProbe"]
    # The first failure takes up to a period and a timeout; each further one at most the longer of the two.
    leaves = readiness["periodSeconds"] + readiness["timeoutSeconds"] * readiness["failureThreshold"]
    returns = liveness["periodSeconds"] * liveness["failureThreshold"] + liveness["timeoutSeconds"] + liveness["terminationGracePeriodSeconds"]
    with load(timeout=TIMEOUT) as clients:
        wait_for(lambda: len(clients.answers) > 100, "answers before the freeze", 30)
        freeze()
        frozen = clients.seconds()
        wait_for(lambda: address not in endpoints(), "the frozen pod has left the endpoints", leaves + SPREAD)
        out = clients.seconds()
        wait_for(lambda: restarts(current(pod))["app"] == restarts(pod)["app"] + 1, "the pool's restart", returns + SPREAD)
        wait_for(lambda: address in endpoints(), "the pod is back", 30)
        back = clients.seconds()
    say(f"freeze: out of the endpoints after {out - frozen:.1f} s, back after {back - frozen:.1f} s: {clients}")
    # A client waits for its timeout, opens a connection, and may meet the frozen pod again until the pod is out.
    assert len(clients.failures) <= len(clients.connections) * (1 + (leaves + SPREAD) / TIMEOUT)
    assert all(at < out + SPREAD + TIMEOUT for at, _ in clients.failures), "a client of a healthy pod failed"
    assert restarts(current(pod))["nginx"] == restarts(pod)["nginx"]


KILL_MASTER = 'for p in /proc/[0-9]*; do ! grep -qs "^fcgi-webapp: master" "$p/cmdline" || kill -9 "${p#/proc/}"; done'
KILL_NGINX = 'kill -9 "$(cat /run/fcgi-webapp/nginx.pid)"'


def test_a_pod_whose_masters_are_killed_returns_with_its_counters(pods, load, say):
    pod = pods[0]
    before = sum(map(bye, pods))
    with load(timeout=TIMEOUT) as clients:
        wait_for(lambda: len(clients.answers) > 100, "answers before the kills", 30)
        for container, command in (("app", KILL_MASTER), ("nginx", KILL_NGINX)):
            kubectl("exec", name(pod), f"--container={container}", "--", "sh", "-c", command)
        killed = clients.seconds()
        wait_for(lambda: restarts(current(pod))["nginx"] == restarts(pod)["nginx"] + 1, "nginx' restart", 60)
        after = kubernetes.settled()
        back = clients.seconds()
    say(f"double kill: Ready again after {back - killed:.1f} s: {clients}")
    assert restarts(current(pod))["app"] == restarts(pod)["app"], "the supervisor starts a new master"
    assert set(clients.kinds()) <= {"502", "503", "ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected"}
    assert all(at < killed + 10 for at, _ in clients.failures), "a failure long after the kills"
    assert sum(map(bye, after)) - before >= len(clients.answers), "an answered request is not counted"
