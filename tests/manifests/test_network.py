"""The network policies allow exactly the connections of the table."""

import copy

import cluster
import pytest
from cluster import PODS, Peer, get, named_peers, named_ports, permits, pod, reaches

OUTSIDE = Peer("an address outside")
# Where a pod's DNS packets arrive, as the policies see it, in each kind of cluster: (whom, port).
RESOLVERS = [
    (Peer("kube-dns or CoreDNS", "kube-system", {"k8s-app": "kube-dns"}), 53),
    (Peer("NodeLocal DNSCache, which is on the node's network (169.254.20.10)"), 53),
    (Peer("OpenShift's DNS", "openshift-dns", {"dns.operator.openshift.io/daemonset-dns": "default"}), 5353),
]
STRANGERS = [
    OUTSIDE,
    Peer("a pod of another namespace", "default", {"app.kubernetes.io/name": "prometheus"}),
    Peer("an unlabelled pod beside the service", "fcgi-webapp"),
    Peer("an unlabelled pod beside Prometheus", "fcgi-webapp-monitoring"),
]
# Source, target, ports: all that pods of ours say to each other.
FLOWS = {
    ("prometheus", "fcgi-webapp"): {8000, 9113},
    ("prometheus", "alertmanager"): {9093},
    ("prometheus", "kube-state-metrics"): {8080},
    ("grafana", "prometheus"): {9090},
}
PUBLIC = {"fcgi-webapp": {8081}}
# TCP ports of any address: the API server and the kubelets, Slack and the heartbeat, DNS.
OUTWARD = {
    "prometheus": {443, 6443, 8443, 10250},
    "kube-state-metrics": {443, 6443, 8443},
    "alertmanager": {443, 8080, 53, 5353},
    "grafana": {53, 5353},
}
RESOLVES_NAMES = {"alertmanager", "grafana"}
# Source, and whom a policy names that is no pod of ours, as cluster.named_peers() calls it: ports. A database of your own:
# ("fcgi-webapp", "fcgi-webapp/postgresql"): {5432}, or ("fcgi-webapp", "10.1.2.3/32"): {5432}.
ELSEWHERE = {}


def ports():
    """All ports that a pod or a policy names, and some that none should allow."""
    return sorted({22, 53, 80, 5353} | named_ports() | {n for p in PODS for n in p.ports().values()})


def calls(source, target):
    return {port for port in ports() if reaches(Peer.of(source), target, port)}


def is_ours(peer):
    return any(peer.namespace == p.namespace and peer.labels.items() <= p.labels.items() for p in PODS)


def calls_elsewhere(source):
    """Whom a pod may call of those that are named by a policy and are no pods of ours, without the ports of any address."""
    found = {}
    for peer in [peer for peer in named_peers() if not is_ours(peer)]:
        allowed = {port for port in ports() if permits("Egress", Peer.of(source), peer, port, "TCP")}
        found[peer.label] = allowed - OUTWARD.get(source.name, set())
    return {label: numbers for label, numbers in found.items() if numbers}

pods = pytest.mark.parametrize("one", PODS, ids=str)


@pods
def test_a_pod_is_reached_by_those_of_the_table_only(one):
    for source in PODS:
        allowed = calls(source, Peer.of(one))
        # Whoever may not call out is not let to the public port either.
        public = PUBLIC.get(one.name, set()) & OUTWARD.get(source.name, set())
        assert allowed == FLOWS.get((source.name, one.name), set()) | public, f"from {source}"


@pods
def test_a_stranger_reaches_nothing_but_the_public_port(one):
    for stranger in STRANGERS:
        allowed = {port for port in ports() if reaches(stranger, Peer.of(one), port)}
        if stranger.namespace in ("fcgi-webapp", "fcgi-webapp-monitoring"):
            assert allowed == set(), f"{stranger.label}: default-deny holds it back"
        else:
            assert allowed == PUBLIC.get(one.name, set()), stranger.label


@pods
def test_a_pod_calls_out_on_the_ports_of_the_table_only(one):
    assert calls(one, OUTSIDE) == OUTWARD.get(one.name, set())


@pods
def test_a_pod_calls_nobody_else_that_a_policy_names(one):
    listed = {label: numbers for (source, label), numbers in ELSEWHERE.items() if source == one.name}
    assert calls_elsewhere(one) == listed, "ELSEWHERE lists other connections than k8s/01-network-policies.yaml allows"


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"ports": [{"port": 54321}], "to": [{"podSelector": {"matchLabels": {"app": "db"}}}]}, {"fcgi-webapp/db": {54321}}),
        ({"ports": [{"port": 54321}], "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "data"}}}]},
         {"data": {54321}}),
        ({"ports": [{"port": 54321}], "to": [{"ipBlock": {"cidr": "10.1.2.0/24"}}]}, {"10.1.2.0/24": {54321}}),
        ({"ports": [{"port": 54321}]}, "anybody"),
    ],
    ids=["a pod", "a namespace", "an address", "anybody"],
)
def test_an_egress_rule_that_is_not_in_the_tables_is_found(monkeypatch, rule, found):
    documents = copy.deepcopy(cluster.DOCUMENTS)
    monkeypatch.setattr(cluster, "DOCUMENTS", documents)
    spec = get("NetworkPolicy", "fcgi-webapp", "fcgi-webapp")["spec"]
    spec["policyTypes"] = ["Ingress", "Egress"]
    before = calls_elsewhere(pod("fcgi-webapp"))
    spec["egress"] = spec.get("egress", []) + [rule]
    if found == "anybody":
        assert 54321 in calls(pod("fcgi-webapp"), OUTSIDE)
    else:
        assert calls_elsewhere(pod("fcgi-webapp")) == before | found


@pods
@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
@pytest.mark.parametrize(("resolver", "port"), RESOLVERS, ids=lambda v: getattr(v, "label", str(v)))
def test_only_pods_that_resolve_names_may_reach_the_dns(one, resolver, port, protocol):
    assert reaches(Peer.of(one), resolver, port, protocol) is (one.name in RESOLVES_NAMES)


@pods
def test_udp_is_allowed_to_the_dns_only(one):
    allowed = {port for port in ports() if reaches(Peer.of(one), OUTSIDE, port, "UDP")}
    assert allowed == ({53, 5353} if one.name in RESOLVES_NAMES else set())


def test_every_scraped_port_is_one_that_its_pod_has():
    for (_, target), ports in FLOWS.items():
        assert ports <= set(pod(target).ports().values())
