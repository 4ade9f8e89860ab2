"""The files of k8s/: what kubectl reads, in which order, and which parts are generated."""

import math
import re
import shutil
import subprocess

import pytest
from cluster import DOCUMENTS, K8S, PODS, ROOT, get, name, of_kind, pod, quantity


def generator(root, *arguments):
    return subprocess.run([root / "scripts/manifests", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def copy_of_the_project(tmp_path):
    """What scripts/manifests reads and writes, to change at will."""
    for folder in ("k8s", "monitoring", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "Makefile", tmp_path)
    return tmp_path


def test_the_folder_holds_yaml_and_nothing_that_makes_kubectl_fail():
    assert [path for path in K8S.iterdir() if path.is_dir()] == [K8S / "optional"]
    for path in [path for path in K8S.rglob("*") if path.is_file()]:
        assert path.suffix == ".yaml", path
        assert path.stem != "kustomization", "`kubectl apply -f` refuses a folder with a kustomization.yaml"


def test_yamllint_accepts_the_manifests():
    result = subprocess.run(["yamllint", "--strict", K8S], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_namespaces_come_first():
    kinds = [d["kind"] for d in DOCUMENTS]
    assert kinds[: kinds.count("Namespace")] == ["Namespace"] * 2


def test_every_object_lives_in_one_of_our_namespaces_and_stands_once():
    ours = {d["metadata"]["name"] for d in of_kind("Namespace")}
    for document in DOCUMENTS:
        if document["kind"] not in ("Namespace", "ClusterRole", "ClusterRoleBinding", "PriorityClass"):
            assert document["metadata"].get("namespace") in ours, name(document)
    names = [name(d) for d in DOCUMENTS]
    assert sorted(names) == sorted(set(names))


def test_a_config_map_stands_before_the_pods_that_mount_it():
    names = [name(d) for d in DOCUMENTS]
    for one in PODS:
        for container in one.containers:
            for kind, wanted, _ in one.mounted_files(container).values():
                if kind == "configMap":
                    assert names.index(f"ConfigMap/{one.namespace}/{wanted}") < names.index(name(one.workload))


def test_the_alerting_chain_has_priority_over_other_pods_but_not_over_those_of_the_cluster():
    names = [name(d) for d in DOCUMENTS]
    for one in PODS:
        wanted = one.spec.get("priorityClassName")
        assert (wanted is not None) == (one.name in ("prometheus", "alertmanager", "kube-state-metrics")), one
        if wanted:
            priority = get("PriorityClass", None, wanted)
            # Others have 0; system-cluster-critical has 2,000,000,000, and 1,000,000,000 is the most that a user may give.
            assert 0 < priority["value"] <= 100_000_000 and not priority.get("globalDefault")
            assert names.index(name(priority)) < names.index(name(one.workload)), "a pod of an unknown class is refused"


def test_every_object_carries_the_recommended_labels():
    for document in DOCUMENTS:
        wanted = {"app.kubernetes.io/name", "app.kubernetes.io/part-of"}
        if document["kind"] != "Namespace":
            wanted.add("app.kubernetes.io/instance")
        if document["kind"] in ("Deployment", "StatefulSet"):
            wanted.add("app.kubernetes.io/version")
            assert wanted <= document["spec"]["template"]["metadata"]["labels"].keys(), name(document)
        assert wanted <= document["metadata"]["labels"].keys(), name(document)


def test_no_object_is_too_large_for_kubectl_apply():
    # kubectl keeps what it applied in an annotation, and annotations may hold 256 KiB.
    for path in K8S.rglob("*.yaml"):
        for text in path.read_text().split("\n---\n"):
            assert len(text.encode()) < 250_000, f"{path.name}: an object of {len(text)} characters"


def test_the_generated_parts_are_what_make_manifests_writes():
    result = generator(ROOT, "--check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_config_map_holds_the_files_of_monitoring_unchanged():
    held = {}
    for config_map in of_kind("ConfigMap"):
        for key, text in config_map["data"].items():
            assert key not in held
            held[key] = text
    sources = [
        path
        for pattern in ("prometheus/prometheus.yml", "prometheus/rules/*", "alertmanager/alertmanager.yml",
                        "alertmanager/templates/*", "grafana/*.yml", "grafana/dashboards/*")
        for path in (ROOT / "monitoring").glob(pattern)
    ]
    assert {p.name: p.read_text() for p in sources} == held


@pytest.mark.parametrize("manifest", ["k8s/20-prometheus-config.yaml", "k8s/optional/prometheus-operator-rules.yaml"])
def test_the_drift_check_sees_an_edited_manifest(copy_of_the_project, manifest):
    edited = copy_of_the_project / manifest
    edited.write_text(edited.read_text().replace("expr:", "expr: "))
    result = generator(copy_of_the_project, "--check")
    assert result.returncode == 1
    assert manifest in result.stdout


@pytest.mark.parametrize(
    ("changed", "manifest"),
    [
        ("prometheus/rules/container.yml", "20-prometheus.yaml"),
        ("alertmanager/templates/slack.tmpl", "30-alertmanager.yaml"),
        ("grafana/provider.yml", "50-grafana.yaml"),
    ],
)
def test_a_change_of_the_configuration_changes_the_pod_that_reads_it(copy_of_the_project, changed, manifest):
    others = [p for p in ("20-prometheus.yaml", "30-alertmanager.yaml", "50-grafana.yaml") if p != manifest]
    folder = copy_of_the_project / "k8s"
    before = {p.name: p.read_text() for p in folder.glob("*.yaml")}
    path = copy_of_the_project / "monitoring" / changed
    path.write_text(path.read_text() + "# another line\n")
    assert generator(copy_of_the_project).returncode == 0
    hash_line = re.compile(r"fcgi-webapp/config-hash: \S+")
    assert hash_line.search((folder / manifest).read_text())[0] != hash_line.search(before[manifest])[0]
    for other in others:
        assert (folder / other).read_text() == before[other]


def test_a_new_rule_file_is_mounted_where_prometheus_reads_it(copy_of_the_project):
    (copy_of_the_project / "monitoring/prometheus/rules/another.yml").write_text("groups: []\n")
    assert generator(copy_of_the_project).returncode == 0
    manifest = (copy_of_the_project / "k8s/20-prometheus.yaml").read_text()
    assert manifest.count("path: rules/") == 1 + len(list((ROOT / "monitoring/prometheus/rules").iterdir()))
    assert re.search(r"\n( +)- key: another.yml\n\1  path: rules/another.yml\n", manifest)


def test_the_version_of_the_makefile_is_the_only_one(copy_of_the_project):
    makefile = copy_of_the_project / "Makefile"
    makefile.write_text(re.sub(r"^VERSION(\s*:?=\s*).*$", r"VERSION\g<1>9.8.7", makefile.read_text(), flags=re.M))
    assert generator(copy_of_the_project).returncode == 0
    tags = set()
    for path in (copy_of_the_project / "k8s").glob("*.yaml"):
        tags |= set(re.findall(r"ghcr.io/fcgi-webapp/fcgi-webapp:(\S+)", path.read_text()))
    assert tags == {"9.8.7"}


def test_the_version_label_is_the_tag_of_the_image():
    for one in PODS:
        assert one.containers[0]["image"].rpartition(":")[2] == one.labels["app.kubernetes.io/version"], one


def test_no_secret_is_committed():
    for secret in of_kind("Secret"):
        assert not {"data", "stringData"} & secret.keys(), "its values come from `kubectl create secret`"
    for one in PODS:
        for variable in [e for container in one.containers for e in container.get("env", [])]:
            if re.search(r"PASSWORD|TOKEN|SECRET|API_KEY|CREDENTIAL", variable["name"]) and not variable["name"].endswith("_FILE"):
                assert "secretKeyRef" in variable.get("valueFrom", {}), variable["name"]
    for path in K8S.rglob("*.yaml"):
        assert not re.search(r"hooks\.slack\.com/services/\w", path.read_text()), path


# A service whose data is on a volume of one pod has one pod.
several_pods = pytest.mark.skipif(
    any("persistentVolumeClaim" in volume for volume in pod("fcgi-webapp").spec["volumes"]), reason="the volume belongs to one pod")


@several_pods
def test_the_autoscaler_keeps_two_pods_and_the_deployment_sets_no_replicas():
    hpa = get("HorizontalPodAutoscaler", "fcgi-webapp", "fcgi-webapp")
    assert hpa["apiVersion"] == "autoscaling/v2"
    assert hpa["spec"]["minReplicas"] == 2
    assert hpa["spec"]["behavior"].keys() == {"scaleUp", "scaleDown"}
    assert "replicas" not in get("Deployment", "fcgi-webapp", "fcgi-webapp")["spec"]


@several_pods
def test_the_autoscaler_adds_pods_before_the_cpu_limit_of_the_pool_or_of_nginx_holds_requests_up():
    """Cheap requests fill nginx's limit while the pool has CPU time left."""
    containers = {c["name"]: c["resources"] for c in pod("fcgi-webapp").spec["containers"]}
    targets = {}
    for metric in get("HorizontalPodAutoscaler", "fcgi-webapp", "fcgi-webapp")["spec"]["metrics"]:
        of = metric["containerResource"]
        request, limit = (quantity(containers[of["container"]][kind][of["name"]]) for kind in ("requests", "limits"))
        targets[of["container"]] = request * of["target"]["averageUtilization"] / 100 / limit
    assert targets == pytest.approx({"app": 0.75, "nginx": 0.75})


def test_nginx_has_as_many_workers_as_its_cpu_limit_has_quantity():
    nginx = next(c for c in pod("fcgi-webapp").spec["containers"] if c["name"] == "nginx")
    workers = next(int(e["value"]) for e in nginx["env"] if e["name"] == "NGINX_WORKERS")
    assert workers == math.ceil(quantity(nginx["resources"]["limits"]["cpu"]))


@several_pods
def test_an_update_starts_a_new_pod_before_it_stops_an_old_one():
    spec = get("Deployment", "fcgi-webapp", "fcgi-webapp")["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@several_pods
def test_an_update_spreads_its_pods_over_nodes_also_where_these_have_no_zone():
    pod = get("Deployment", "fcgi-webapp", "fcgi-webapp")["spec"]["template"]["spec"]
    # The scheduler ignores nodes that lack the label of any constraint, so there must be no other.
    [nodes] = pod["topologySpreadConstraints"]
    assert nodes["topologyKey"] == "kubernetes.io/hostname"
    assert nodes["matchLabelKeys"] == ["pod-template-hash"], "the pods of the old version are about to go"
    [zones] = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert zones["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"
