"""The manifests of k8s/optional/: each stands alone, refers to what is there, and `kubectl apply -f k8s` does not apply it."""

import re
import shutil
import subprocess

import cluster
import pytest
from cluster import DOCUMENTS, K8S, PODS, ROOT, Peer, documents, get, name, of_kind, pod, reaches, selects

FOLDER = K8S / "optional"
FILES = sorted(path.name for path in FOLDER.iterdir())
OPTIONAL = documents(FOLDER)
GATEWAYS = ("gateway.yaml", "gateway-tls.yaml")
OURS = {"fcgi-webapp", "fcgi-webapp-monitoring"}

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
files = pytest.mark.parametrize("file", FILES)
gateways = pytest.mark.parametrize("file", GATEWAYS)


def within(file, *kinds):
    return [document for document in OPTIONAL if document["file"] == file and document["kind"] in kinds]


def header(file):
    """Label -> text of the comment at the top, whose labels are What, Needs and Command."""
    lines = re.match(r"(?:#.*\n)+", (FOLDER / file).read_text())[0].splitlines()
    return dict(re.findall(r"(\w+): (.*?)(?= (?:What|Needs|Command): |$)", " ".join(line.lstrip("# ") for line in lines)))


def command(*arguments, stdin=None):
    done = subprocess.run(arguments, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_kubectl
def test_kubectl_reads_the_folder_k8s_without_what_is_optional():
    def applied(*options):
        return sorted(command("kubectl", "annotate", "--local", "--filename=k8s", "--output=name", *options, "a=b").splitlines())

    assert len(applied()) == len(DOCUMENTS)
    assert len(applied("--recursive")) == len(DOCUMENTS) + len(OPTIONAL)


@files
def test_a_header_says_what_the_file_is_what_it_needs_and_the_command_that_applies_it(file):
    assert list(header(file)) == ["What", "Needs", "Command"]
    assert f"k8s/optional/{file}" in header(file)["Command"] and "kubectl apply -f " in header(file)["Command"]


def test_the_page_about_kubernetes_lists_every_file():
    listed = re.findall(r"^\| `([\w-]+\.yaml)` \|", (ROOT / "docs/kubernetes.md").read_text(), re.M)
    assert sorted(listed) == FILES


@pytest.mark.parametrize("document", OPTIONAL, ids=lambda d: f'{d["file"]}:{d["kind"]}')
def test_an_optional_object_is_one_of_ours_and_replaces_none(document):
    meta = document["metadata"]
    assert document["kind"] == "PriorityClass" or meta["namespace"] in OURS
    assert {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/part-of"} <= meta["labels"].keys()
    assert name(document) not in [name(d) for d in DOCUMENTS]


def test_no_two_files_have_the_same_object_but_the_two_for_a_gateway():
    names = [name(d) for d in OPTIONAL if d["file"] != "gateway.yaml"]
    assert sorted(names) == sorted(set(names))


@gateways
def test_a_route_leads_from_a_listener_to_a_port_of_a_service(file):
    (gateway,) = within(file, "Gateway")
    listeners = {listener["name"]: listener for listener in gateway["spec"]["listeners"]}
    taken = []
    for route in within(file, "HTTPRoute"):
        for parent in route["spec"]["parentRefs"]:
            assert parent["name"] == gateway["metadata"]["name"]
            assert route["spec"]["hostnames"] == [listeners[parent["sectionName"]]["hostname"]]
            taken.append(parent["sectionName"])
        for backend in [backend for rule in route["spec"]["rules"] for backend in rule.get("backendRefs", [])]:
            service = get("Service", route["metadata"]["namespace"], backend["name"])
            assert backend["port"] in [port["port"] for port in service["spec"]["ports"]]
    assert sorted(taken) == sorted(listeners)


@gateways
def test_the_command_puts_the_host_name_and_the_class_into_every_place(file):
    edit, _, apply = header(file)["Command"].partition(" | ")
    assert apply == "kubectl apply -f -"
    text = re.sub(r"#.*", "", command("sh", "-c", edit))
    assert "example.com" not in text and "gatewayClassName: YOURS\n" in text
    assert text.count("YOUR.HOST") == (FOLDER / file).read_text().count("example.com") - 1


def test_the_listener_uses_the_certificate_that_the_issuer_makes():
    file = "gateway-tls.yaml"
    (gateway,), (certificate,), (issuer,) = (within(file, kind) for kind in ("Gateway", "Certificate", "Issuer"))
    plain, tls = gateway["spec"]["listeners"]
    assert tls["tls"]["certificateRefs"] == [{"name": certificate["spec"]["secretName"]}]
    assert certificate["spec"]["dnsNames"] == [tls["hostname"]]
    assert certificate["spec"]["issuerRef"]["name"] == issuer["metadata"]["name"]
    # The challenge arrives on port 80, before there is a certificate.
    (solver,) = issuer["spec"]["acme"]["solvers"]
    assert solver["http01"]["gatewayHTTPRoute"]["parentRefs"] == [{"name": gateway["metadata"]["name"], "sectionName": plain["name"]}]
    assert (plain["port"], plain["protocol"]) == (80, "HTTP")


def test_prometheus_of_the_operator_scrapes_the_jobs_of_the_rules_and_may_reach_their_ports(monkeypatch):
    file, target = "prometheus-operator.yaml", pod("fcgi-webapp")
    prometheus = Peer("the operator's", "monitoring", {"app.kubernetes.io/name": "prometheus"})
    jobs = {}
    for monitor in within(file, "PodMonitor"):
        assert [one for one in PODS if one.namespace == monitor["metadata"]["namespace"] and selects(monitor["spec"]["selector"], one.labels)] == [target]
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        (job,) = [entry["replacement"] for entry in endpoint["relabelings"] if entry["targetLabel"] == "job"]
        jobs[job] = target.ports()[endpoint["port"]]
    assert jobs == {"fcgi-webapp": 8000, "nginx": 9113}
    assert not any(reaches(prometheus, Peer.of(target), port) for port in jobs.values())
    monkeypatch.setattr(cluster, "DOCUMENTS", DOCUMENTS + within(file, "NetworkPolicy"))
    assert all(reaches(prometheus, Peer.of(target), port) for port in jobs.values())
    assert not reaches(Peer("another pod", "monitoring"), Peer.of(target), 8000)


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_the_dns_policies_let_the_pods_that_resolve_names_reach_another_port(monkeypatch, protocol):
    resolver = Peer("Gardener's CoreDNS", "kube-system", {"k8s-app": "kube-dns"})
    assert not any(reaches(Peer.of(one), resolver, 8053, protocol) for one in PODS)
    monkeypatch.setattr(cluster, "DOCUMENTS", DOCUMENTS + within("network-policies-dns.yaml", "NetworkPolicy"))
    assert {one.name for one in PODS if reaches(Peer.of(one), resolver, 8053, protocol)} == {"alertmanager", "grafana"}
    edit = header("network-policies-dns.yaml")["Command"].partition(" | ")[0].replace("YOUR-PORT", "1053")
    assert "8053" not in re.sub(r"#.*", "", command("sh", "-c", edit))


def test_the_fault_injection_routes_are_on_until_the_config_map_turns_them_off():
    (config_map,) = within("faults-off.yaml", "ConfigMap")
    app = next(container for container in pod("fcgi-webapp").containers if container["name"] == "app")
    (variable,) = [variable for variable in app["env"] if variable["name"] == "FCGI_WEBAPP_EXERCISE"]
    if "value" in variable:
        assert variable["value"] == "false", "a service of its own has them off for good"
    else:
        key = variable["valueFrom"]["configMapKeyRef"]
        assert key == {"name": config_map["metadata"]["name"], "key": "FCGI_WEBAPP_EXERCISE", "optional": True}
        assert config_map["data"][key["key"]] == "false"
        assert config_map["metadata"]["namespace"] == pod("fcgi-webapp").namespace


def test_the_priority_of_the_service_is_between_ordinary_pods_and_the_alerting_chain():
    (optional,), (chain,) = within("priority-class.yaml", "PriorityClass"), of_kind("PriorityClass")
    assert 0 < optional["value"] < chain["value"]
    assert optional["preemptionPolicy"] == "Never" and not optional.get("globalDefault")


@needs_kubectl
def test_the_patch_of_the_priority_class_gives_the_deployment_that_class(tmp_path):
    patch = re.search(r"-p '(.*)'$", header("priority-class.yaml")["Command"])[1]
    text = (K8S / get("Deployment", "fcgi-webapp", "fcgi-webapp")["file"]).read_text()
    deployment = next(part for part in text.split("\n---\n") if "\nkind: Deployment\n" in part)
    patched = command("kubectl", "patch", "--local", "--filename=-", "--output=yaml", "--patch", patch, stdin=deployment)
    assert "priorityClassName: fcgi-webapp\n" in patched
    assert [d["metadata"]["name"] for d in within("priority-class.yaml", "PriorityClass")] == ["fcgi-webapp"]
