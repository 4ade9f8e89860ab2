"""k8s/ on kubectl's current cluster, and a way to it that no restart of a pod cuts: a NodePort that lives as long as the tests."""

import contextlib
import json

import kubernetes
import pytest
from kubernetes import APPLICATION, MONITORING, get, kubectl, settled
from load import Connection, Load

NODE_PORT = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "fcgi-webapp-test", "namespace": APPLICATION},
    "spec": {
        "type": "NodePort",
        "selector": {"app.kubernetes.io/name": APPLICATION, "app.kubernetes.io/instance": APPLICATION},
        "ports": [{"name": "http", "port": 8081, "targetPort": "http"}],
    },
}


def pytest_exception_interact():
    kubernetes.describe()


@pytest.fixture(scope="session", autouse=True)
def applied():
    kubernetes.apply()
    for namespace in (APPLICATION, MONITORING):
        kubectl("wait", "deployment", "--all", "--for=condition=Available", "--timeout=300s", namespace=namespace)


def answers(address):
    with contextlib.suppress(OSError):
        return Connection(*address, timeout=1).ask("/bye") == 200


@pytest.fixture(scope="session")
def address(applied):
    """Where clients reach the Service: the address of a node, and a port of it."""
    node = get("nodes")["items"][0]
    host = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    kubectl("apply", "-f", "-", input=json.dumps(NODE_PORT))
    found = host, get("service", NODE_PORT["metadata"]["name"])["spec"]["ports"][0]["nodePort"]
    kubernetes.wait_for(lambda: answers(found), f"{found} answers", 30)
    yield found
    kubectl("delete", "service", NODE_PORT["metadata"]["name"])


@pytest.fixture
def pods(applied):
    """All pods of the service, which are Ready."""
    return settled()


@pytest.fixture
def load(address):
    """Starts clients of the Service: load(clients=8, timeout=30)."""
    return lambda **options: Load(address, **options)


@pytest.fixture
def say(capsys):
    """Prints a figure, also of a test that passes."""

    def say_line(text):
        with capsys.disabled():
            print(f"\n{text}", flush=True)

    return say_line
