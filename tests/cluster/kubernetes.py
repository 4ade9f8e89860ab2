"""kubectl, and the state of the service in kubectl's current cluster."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from waiting import wait_for  # noqa: E402

APPLICATION = "fcgi-webapp"
MONITORING = "fcgi-webapp-monitoring"
SELECTOR = "app.kubernetes.io/name=fcgi-webapp"


def run(*arguments, namespace=APPLICATION, **options):
    """kubectl, whatever its status."""
    options = {"capture_output": True, "text": True, "timeout": 330, "cwd": ROOT, **options}
    return subprocess.run(["kubectl", f"--namespace={namespace}", *arguments], check=False, **options)


def kubectl(*arguments, **options):
    """What kubectl prints; it must succeed."""
    done = run(*arguments, **options)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def apply():
    """All manifests; each names its own namespace."""
    kubectl("apply", "--filename=k8s", namespace="")


def get(*arguments, **options):
    return json.loads(kubectl("get", *arguments, "--output=json", **options))


def name(thing):
    return thing["metadata"]["name"]


def node(pod):
    return pod["spec"]["nodeName"]


def pods():
    """The service's pods that are not being deleted."""
    items = get("pods", f"--selector={SELECTOR}")["items"]
    return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def restarts(pod):
    """Container -> how often it was restarted."""
    return {status["name"]: status["restartCount"] for status in pod["status"]["containerStatuses"]}


def identities(all_pods):
    """Unequal if a pod was replaced or a container restarted."""
    return sorted((pod["metadata"]["uid"], sorted(restarts(pod).items())) for pod in all_pods)


def container_id(pod, container):
    identity = next(s["containerID"] for s in pod["status"]["containerStatuses"] if s["name"] == container)
    return identity.partition("://")[2]


def settled():
    """Waits until all that the autoscaler wants is Ready, and nothing else is there; the pods."""
    kubectl("rollout", "status", "deployment", APPLICATION, "--timeout=180s")

    def all_ready():
        everything = get("pods", f"--selector={SELECTOR}")["items"]
        replicas = get("deployment", APPLICATION)["spec"]["replicas"]
        return len(everything) == replicas >= 2 and all(map(is_ready, everything)) and everything

    return wait_for(all_ready, "the pods are Ready", 180)


def endpoints():
    """The addresses to which the Service sends new connections."""
    slices = get("endpointslices", f"--selector=kubernetes.io/service-name={APPLICATION}")["items"]
    return {
        address
        for one in slices
        for endpoint in one["endpoints"] or []
        if endpoint["conditions"].get("ready")
        for address in endpoint["addresses"]
    }


def samples(pod):
    """The pod's metrics, asked from inside, where no NetworkPolicy forbids it: name{labels} -> value."""
    ask = 'exec 3<>/dev/tcp/127.0.0.1/8000; printf "GET /metrics HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'
    page = kubectl("exec", name(pod), "--container=nginx", "--", "bash", "-c", ask).partition("\n\n")[2]
    return {k: float(v) for k, v in (line.rsplit(" ", 1) for line in page.splitlines() if line and line[0] != "#")}


def bye(pod):
    """How many requests of the load the pod has counted."""
    return samples(pod).get('http_requests_total{endpoint="bye",method="GET",code="200"}', 0)


def describe():
    """Events and logs, for a failure that only the cluster can explain."""
    for namespace in (APPLICATION, MONITORING):
        print(f"--- {namespace}")
        for kind in ("pods", "events"):
            print(run("get", kind, "--sort-by=.metadata.creationTimestamp", namespace=namespace).stdout)
        for pod in run("get", "pods", "--output=name", namespace=namespace).stdout.split():
            print(run("logs", pod, "--all-containers", "--prefix", "--tail=20", namespace=namespace).stdout)
