"""Faults of one pod. What clients on kept connections notice is bounded, and the pod gets well by itself."""

import json

import kubernetes
import pytest
from kubernetes import bye, container_id, endpoints, kubectl, name, restarts, run, wait_for

FREEZER = "fcgi-webapp-test"  # a namespace, and its pod
TIMEOUT = 5  # of the clients, in seconds
SPREAD = 3  # until all nodes know who has left the endpoints
KILLED = 2  # what the kubelet still gives a container whose preStop hook has used up the grace period
STARTED = 10  # until the kubelet of a busy node has started it again


def freezer(pod):
    """A pod that sees the processes of its node, to stop what a container cannot stop itself: its process 1."""
    image = next(c["image"] for c in pod["spec"]["containers"] if c["name"] == "app")
    container = {"name": "shell", "image": image, "command": ["sleep", "600"], "securityContext": {"privileged": True, "runAsUser": 0}}
    spec = {"nodeName": kubernetes.node(pod), "hostPID": True, "terminationGracePeriodSeconds": 0, "containers": [container]}
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": FREEZER, "labels": labels}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": FREEZER, "namespace": FREEZER}, "spec": spec},
    ]


@pytest.fixture
def freeze(pods):
    """Stops every process of the pool in the first pod."""
    for document in freezer(pods[0]):
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
    # A probe begins after a period at the latest. Each that fails takes its timeout or, if that is longer, the period.
    leaves = SPREAD + readiness["periodSeconds"] + readiness["timeoutSeconds"] * readiness["failureThreshold"]
    ends = liveness["periodSeconds"] * liveness["failureThreshold"] + liveness["timeoutSeconds"]
    returns = ends + liveness["terminationGracePeriodSeconds"] + KILLED + STARTED
    with load(timeout=TIMEOUT) as clients:
        wait_for(lambda: len(clients.answers) > 100, "answers before the freeze", 30)
        freeze()
        frozen = clients.seconds()
        wait_for(lambda: address not in endpoints(), "the frozen pod has left the endpoints", leaves)
        out = clients.seconds()
        wait_for(lambda: restarts(current(pod))["app"] == restarts(pod)["app"] + 1, "the pool's restart", returns - (out - frozen))
        wait_for(lambda: address in endpoints(), "the pod is back", 30)
        back = clients.seconds()
    say(f"freeze: out of the endpoints after {out - frozen:.1f} s, back after {back - frozen:.1f} s: {clients}")
    # A client waits for its timeout, opens a connection, and may meet the frozen pod again until the pod is out.
    assert len(clients.failures) <= len(clients.connections) * (1 + leaves / TIMEOUT)
    assert all(at < out + SPREAD + TIMEOUT for at, _ in clients.failures), "a client of a healthy pod failed"
    assert restarts(current(pod))["nginx"] == restarts(pod)["nginx"]


KILL_MASTER = 'for p in /proc/[0-9]*; do ! grep -qs "^fcgi-webapp: master" "$p/cmdline" || { kill -9 "${p#/proc/}" && echo killed; }; done'
KILL_NGINX = 'kill -9 "$(cat /run/fcgi-webapp/nginx.pid)"'


def test_a_pod_whose_masters_are_killed_returns_with_its_counters(pods, load, say):
    pod = pods[0]
    before = sum(map(bye, pods))
    with load(timeout=TIMEOUT) as clients:
        wait_for(lambda: len(clients.answers) > 100, "answers before the kills", 30)
        assert kubectl("exec", name(pod), "--container=app", "--", "sh", "-c", KILL_MASTER) == "killed\n"
        run("exec", name(pod), "--container=nginx", "--", "sh", "-c", KILL_NGINX)  # which may end with nginx
        killed = clients.seconds()
        wait_for(lambda: restarts(current(pod))["nginx"] == restarts(pod)["nginx"] + 1, "nginx' restart", 60)
        after = kubernetes.settled()
        back = clients.seconds()
    say(f"double kill: Ready again after {back - killed:.1f} s: {clients}")
    assert restarts(current(pod))["app"] == restarts(pod)["app"], "the supervisor starts a new master"
    assert set(clients.kinds()) <= {"502", "503", "ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected"}
    assert all(at < killed + 10 for at, _ in clients.failures), "a failure long after the kills"
    assert sum(map(bye, after)) - before >= len(clients.answers), "an answered request is not counted"
