"""The network policies allow exactly the connections of the table."""

import pytest
from cluster import PODS, Peer, pod, reaches

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
PORTS = sorted({22, 53, 80, 5353} | {n for p in PODS for n in p.ports().values()} | {n for s in OUTWARD.values() for n in s})

pods = pytest.mark.parametrize("one", PODS, ids=str)


@pods
def test_a_pod_is_reached_by_those_of_the_table_only(one):
    for source in PODS:
        allowed = {port for port in PORTS if reaches(Peer.of(source), Peer.of(one), port)}
        # Whoever may not call out is not let to the public port either.
        public = PUBLIC.get(one.name, set()) & OUTWARD.get(source.name, set())
        assert allowed == FLOWS.get((source.name, one.name), set()) | public, f"from {source}"


@pods
def test_a_stranger_reaches_nothing_but_the_public_port(one):
    for stranger in STRANGERS:
        allowed = {port for port in PORTS if reaches(stranger, Peer.of(one), port)}
        if stranger.namespace in ("fcgi-webapp", "fcgi-webapp-monitoring"):
            assert allowed == set(), f"{stranger.label}: default-deny holds it back"
        else:
            assert allowed == PUBLIC.get(one.name, set()), stranger.label


@pods
def test_a_pod_calls_out_on_the_ports_of_the_table_only(one):
    allowed = {port for port in PORTS if reaches(Peer.of(one), OUTSIDE, port)}
    assert allowed == OUTWARD.get(one.name, set())


@pods
@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
@pytest.mark.parametrize(("resolver", "port"), RESOLVERS, ids=lambda v: getattr(v, "label", str(v)))
def test_only_pods_that_resolve_names_may_reach_the_dns(one, resolver, port, protocol):
    assert reaches(Peer.of(one), resolver, port, protocol) is (one.name in RESOLVES_NAMES)


@pods
def test_udp_is_allowed_to_the_dns_only(one):
    allowed = {port for port in PORTS if reaches(Peer.of(one), OUTSIDE, port, "UDP")}
    assert allowed == ({53, 5353} if one.name in RESOLVES_NAMES else set())


def test_every_scraped_port_is_one_that_its_pod_has():
    for (_, target), ports in FLOWS.items():
        assert ports <= set(pod(target).ports().values())
