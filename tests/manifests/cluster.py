"""The objects of `kubectl apply -f k8s` as plain data: documents, pods, and allowed connections."""

import ipaddress
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from quantities import quantity  # noqa: E402, F401

K8S = ROOT / "k8s"


def documents(folder):
    """Every document of every file of a folder, in the order in which kubectl applies them. kubectl reads no folder below it."""
    found = []
    for path in sorted((p for p in folder.iterdir() if p.is_file()), key=lambda p: p.name.encode()):
        for document in yaml.safe_load_all(path.read_text()):
            document["file"] = path.name
            found.append(document)
    return found


DOCUMENTS = documents(K8S)


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
                for kind in ("configMap", "secret"):
                    if kind in source:
                        # A secret has `name` in a projected volume, and `secretName` in one of its own.
                        wanted = source[kind].get("name") or source[kind]["secretName"]
                        for key, path in self.items(kind, source[kind], wanted):
                            files[f'{mount["mountPath"]}/{path}'] = (kind, wanted, key)
        return files

    def items(self, kind, source, wanted):
        if "items" in source:
            return [(i["key"], i["path"]) for i in source["items"]]
        config_map = get("ConfigMap", self.namespace, wanted)
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

    def __init__(self, label, namespace=None, labels=None, address="203.0.113.7"):
        self.label, self.namespace, self.labels = label, namespace, labels or {}
        self.address = ipaddress.ip_address(address)

    @classmethod
    def of(cls, one):
        return cls(str(one), one.namespace, one.labels)


def matches(peer_rule, peer, policy_namespace):
    """Whether one entry of `from` or `to` names that peer."""
    assert set(peer_rule) <= {"podSelector", "namespaceSelector", "ipBlock"}, f"this model knows no {peer_rule}"
    if "ipBlock" in peer_rule:
        block = peer_rule["ipBlock"]
        excepted = any(peer.address in ipaddress.ip_network(part) for part in block.get("except", []))
        return peer.namespace is None and peer.address in ipaddress.ip_network(block["cidr"]) and not excepted
    if peer.namespace is None:
        return False
    if "namespaceSelector" in peer_rule:
        in_namespace = selects(peer_rule["namespaceSelector"], {"kubernetes.io/metadata.name": peer.namespace})
    else:
        in_namespace = peer.namespace == policy_namespace
    return in_namespace and selects(peer_rule.get("podSelector", {}), peer.labels)


def named_peers():
    """Somebody for each entry of a `to`: a pod with these labels, or the first address of a block."""
    found = {}
    for policy in of_kind("NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            for entry in rule.get("to", []):
                if "ipBlock" in entry:
                    cidr = entry["ipBlock"]["cidr"]
                    found[cidr] = Peer(cidr, address=str(ipaddress.ip_network(cidr)[0]))
                    continue
                names = entry.get("namespaceSelector", {}).get("matchLabels", {})
                namespace = names.get("kubernetes.io/metadata.name", policy["metadata"]["namespace"])
                labels = entry.get("podSelector", {}).get("matchLabels", {})
                label = "/".join([namespace, *sorted(labels.values())])
                found[label] = Peer(label, namespace, labels)
    return list(found.values())


def named_ports():
    """Every port of a network policy."""
    rules = [rule for policy in of_kind("NetworkPolicy") for side in ("ingress", "egress") for rule in policy["spec"].get(side, [])]
    ports = [port for rule in rules for port in rule.get("ports", [])]
    assert all(set(port) <= {"port", "protocol"} and isinstance(port["port"], int) for port in ports), "this model knows single numbers only"
    return {port["port"] for port in ports}


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
