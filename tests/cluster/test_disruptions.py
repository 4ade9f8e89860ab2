"""What an operator does to the running service. Clients on kept connections lose no request."""

import kubernetes
import pytest
from kubernetes import get, identities, kubectl, name, restarts, run, samples, settled, wait_for


def test_a_rollout_loses_no_request(pods, load, say):
    with load() as clients:
        kubectl("rollout", "restart", "deployment", "fcgi-webapp")
        after = settled()
    say(f"rollout: {clients}")
    assert not clients.failures
    assert not {name(pod) for pod in pods} & {name(pod) for pod in after}


def test_a_deleted_pod_loses_no_request(pods, load, say):
    with load() as clients:
        kubectl("delete", "pod", name(pods[0]))
        after = settled()
    say(f"delete: {clients}")
    assert not clients.failures
    assert name(pods[0]) not in map(name, after)


def test_a_drained_node_loses_no_request(pods, load, say):
    others = [n for n in get("nodes")["items"] if name(n) != pods[0]["spec"]["nodeName"] and not n["spec"].get("taints")]
    if not others:
        pytest.skip("drain: the cluster has no second node for the pods")
    node = pods[0]["spec"]["nodeName"]
    try:
        with load() as clients:
            kubectl("drain", node, f"--pod-selector={kubernetes.SELECTOR}", "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=240s")
            after = settled()
    finally:
        kubectl("uncordon", node)
    say(f"drain: {clients}")
    assert not clients.failures
    assert node not in [pod["spec"]["nodeName"] for pod in after]


def resize(pod, cpu):
    """Changes the CPU limit of the pool in place, or skips the test."""
    patch = f'{{"spec": {{"containers": [{{"name": "app", "resources": {{"limits": {{"cpu": "{cpu}"}}}}}}]}}}}'
    done = run("patch", "pod", name(pod), "--subresource=resize", f"--patch={patch}")
    if done.returncode != 0:
        pytest.skip(f"resize: this needs Kubernetes 1.33 and its kubectl: {done.stderr.strip()}")


def test_a_pool_that_is_resized_in_place_goes_on_and_reports_its_new_limit(pods, load, say):
    pod = pods[0]
    before = samples(pod)["cgroup_cpu_limit_cores"]
    with load() as clients:
        for cores in (before + 0.1, before):
            resize(pod, f"{1000 * cores:.0f}m")
            wait_for(lambda: samples(pod)["cgroup_cpu_limit_cores"] == pytest.approx(cores), f"a CPU limit of {cores}", 60)  # noqa: B023
    say(f"resize in place, {before} -> {before + 0.1:.1f} -> {before} cores: {clients}")
    assert not clients.failures
    assert identities(kubernetes.pods()) == identities(pods)


def generations():
    """What each change of a Deployment increases."""
    namespaces = (kubernetes.APPLICATION, kubernetes.MONITORING)
    return {name(d): d["metadata"]["generation"] for n in namespaces for d in get("deployments", namespace=n)["items"]}


def test_a_second_apply_changes_nothing(pods, load, say):
    before = generations(), get("hpa", "fcgi-webapp")["status"]["desiredReplicas"]
    with load() as clients:
        kubernetes.apply()
        after = settled()
    say(f"second apply: {clients}")
    assert not clients.failures
    assert identities(after) == identities(pods)
    assert (generations(), get("hpa", "fcgi-webapp")["status"]["desiredReplicas"]) == before
