"""The objects of `kubectl apply -f k8s` as plain data: documents, pods, and allowed connections."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"


def documents():
    """Every document of every file, in the order in which kubectl applies them."""
    found = []
    for path in sorted(K8S.iterdir(), key=lambda p: p.name.encode()):
        for document in yaml.safe_load_all(path.read_text()):
            document["file"] = path.name
            found.append(document)
    return found


DOCUMENTS = documents()


def of_kind(*kinds):
    return [d for d in DOCUMENTS if d["kind"] in kinds]


def name(document):
    """kind/namespace/name, to say in a failure."""
    meta = document["metadata"]
    return f'{document["kind"]}/{meta.get("namespace", "-")}/{meta["name"]}'


def get(kind, namespace, wanted):
    """The one document of that kind and name, or None."""
    for document in of_kind(kind):
        meta = document["metadata"]
        if meta["name"] == wanted and meta.get("namespace") == namespace:
            return document
    return None


class Pod:
    """The pod that a workload makes, with where it lives and how it is labelled."""

    def __init__(self, workload):
        template = workload["spec"]["template"]
        self.workload = workload
        self.name = workload["metadata"]["name"]
        self.namespace = workload["metadata"]["namespace"]
        self.labels = template["metadata"]["labels"]
        self.annotations = template["metadata"].get("annotations", {})
        self.spec = template["spec"]
        self.containers = self.spec.get("initContainers", []) + self.spec["containers"]

    def __repr__(self):
        return f"{self.namespace}/{self.name}"

    def ports(self):
        """Name -> number of every port that its containers declare."""
        return {p["name"]: p["containerPort"] for c in self.containers for p in c.get("ports", [])}

    def mounted_files(self, container):
        """Path in the container -> (kind, object, key) for every file that a ConfigMap or a Secret puts there."""
        volumes = {v["name"]: v for v in self.spec.get("volumes", [])}
        files = {}
        for mount in container.get("volumeMounts", []):
            volume = volumes[mount["name"]]
            sources = volume["projected"]["sources"] if "projected" in volume else [volume]
            for source in sources:
                for kind, field in (("configMap", "name"), ("secret", "name")):
                    if kind in source:
                        for key, path in self.items(kind, source[kind], field):
                            files[f'{mount["mountPath"]}/{path}'] = (kind, source[kind][field], key)
        return files

    def items(self, kind, source, field):
        if "items" in source:
            return [(i["key"], i["path"]) for i in source["items"]]
        config_map = get("ConfigMap", self.namespace, source[field])
        return [(key, key) for key in config_map["data"]] if kind == "configMap" and config_map else []


PODS = [Pod(w) for w in of_kind("Deployment", "StatefulSet", "DaemonSet")]


def pod(wanted):
    return next(p for p in PODS if p.name == wanted)


def selects(selector, labels):
    """Whether a matchLabels selector selects; an empty one selects everything. No other kind is in use."""
    assert set(selector) <= {"matchLabels"}, f"this model knows no {selector}"
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())


class Peer:
    """Somebody who calls or is called: a pod of ours, a stranger's pod, or an address outside of the cluster."""

    def __init__(self, label, namespace=None, labels=None):
        self.label, self.namespace, self.labels = label, namespace, labels or {}

    @classmethod
    def of(cls, one):
        return cls(str(one), one.namespace, one.labels)


def matches(peer_rule, peer, policy_namespace):
    """Whether one entry of `from` or `to` names that peer."""
    assert set(peer_rule) <= {"podSelector", "namespaceSelector"}, f"this model knows no {peer_rule}"
    if peer.namespace is None:
        return False
    if "namespaceSelector" in peer_rule:
        in_namespace = selects(peer_rule["namespaceSelector"], {"kubernetes.io/metadata.name": peer.namespace})
    else:
        in_namespace = peer.namespace == policy_namespace
    return in_namespace and selects(peer_rule.get("podSelector", {}), peer.labels)


def permits(direction, own, other, port, protocol):
    """Whether the NetworkPolicies of `own` let it be called (Ingress) or call (Egress) the other on that port."""
    side = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}[direction]
    policies = [
        p
        for p in of_kind("NetworkPolicy")
        if p["metadata"]["namespace"] == own.namespace
        and direction in p["spec"]["policyTypes"]
        and selects(p["spec"]["podSelector"], own.labels)
    ]
    if not policies:
        return True
    for policy in policies:
        for rule in policy["spec"].get(side[0], []):
            ports = rule.get("ports")
            peers = rule.get(side[1])
            if ports and not any(p["port"] == port and p.get("protocol", "TCP") == protocol for p in ports):
                continue
            if not peers or any(matches(p, other, own.namespace) for p in peers):
                return True
    return False


def reaches(source, target, port, protocol="TCP"):
    """Whether a packet gets there: out of the source, where we have a say in it, and into the target."""
    out = source.namespace is None or permits("Egress", source, target, port, protocol)
    into = target.namespace is None or permits("Ingress", target, source, port, protocol)
    return out and into
