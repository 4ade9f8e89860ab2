"""What an operator does to the running service. Clients on kept connections lose no request."""

import kubernetes
import pytest
from kubernetes import get, identities, kubectl, name, node, run, samples, settled, wait_for


def workers():
    """The nodes on which the pods can run."""
    return {name(n) for n in get("nodes")["items"] if not n["spec"].get("taints")}


def test_a_rollout_loses_no_request_and_spreads_the_pods(pods, load, say):
    with load() as clients:
        kubectl("rollout", "restart", "deployment", "fcgi-webapp")
        after = settled()
    say(f"rollout: {clients}")
    assert not clients.failures
    assert not {name(pod) for pod in pods} & {name(pod) for pod in after}
    assert len(set(map(node, after))) >= min(2, len(workers()))


def test_a_deleted_pod_loses_no_request(pods, load, say):
    with load() as clients:
        kubectl("delete", "pod", name(pods[0]))
        after = settled()
    say(f"delete: {clients}")
    assert not clients.failures
    assert name(pods[0]) not in map(name, after)


def test_a_drained_node_loses_no_request(pods, load, say):
    drained = node(pods[0])
    if not workers() - {drained}:
        pytest.skip("drain: the cluster has no second node for the pods")
    try:
        with load() as clients:
            kubectl("drain", drained, f"--pod-selector={kubernetes.SELECTOR}", "--delete-emptydir-data", "--timeout=240s")
            after = settled()
    finally:
        kubectl("uncordon", drained)
    say(f"drain: {clients}")
    assert not clients.failures
    assert drained not in map(node, after)


def resize(pod, cpu):
    """Changes the CPU limit of the pool in place, or skips the test."""
    patch = f'{{"spec": {{"containers": [{{"name": "app", "resources": {{"limits": {{"cpu": "{cpu}"}}}}}}]}}}}'
    done = run("patch", "pod", name(pod), "--subresource=resize", f"--patch={patch}")
    if "invalid subresource" in done.stderr or "could not find the requested resource" in done.stderr:
        pytest.skip(f"resize: this needs Kubernetes 1.33 and its kubectl: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


def test_a_pool_that_is_resized_in_place_goes_on_and_reports_its_new_limit(pods, load, say):
    pod = pods[0]
    before = samples(pod)["cgroup_cpu_limit_cores"]
    with load() as clients:
        for cores in (before + 0.1, before):
            resize(pod, f"{1000 * cores:.0f}m")
            wait_for(lambda c=cores: samples(pod)["cgroup_cpu_limit_cores"] == pytest.approx(c), f"a CPU limit of {cores}", 60)
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
