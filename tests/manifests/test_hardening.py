"""Every hardening line of the design, at every pod; the Pod Security Standard `restricted` by its rules."""

import copy

import pytest
from cluster import PODS, of_kind

pods = pytest.mark.parametrize("one", PODS, ids=str)

ALLOWED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def violations(spec):
    """What the Pod Security Standard `restricted` (with `baseline`, which it contains) says against a pod."""
    found = []

    def forbid(condition, what):
        if condition:
            found.append(what)

    own = spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        forbid(spec.get(field), field)
    forbid(own.get("sysctls"), "sysctls")
    forbid(own.get("runAsUser") == 0, "runs as root")
    for volume in spec.get("volumes", []):
        forbid(volume.keys() - {"name"} - ALLOWED_VOLUMES, f'volume {volume["name"]}')
    for container in spec.get("initContainers", []) + spec["containers"]:
        context = container.get("securityContext", {})
        at = container["name"]
        forbid(context.get("privileged"), f"{at}: privileged")
        forbid(context.get("allowPrivilegeEscalation") is not False, f"{at}: escalation")
        forbid("ALL" not in context.get("capabilities", {}).get("drop", []), f"{at}: capabilities")
        forbid(set(context.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}, f"{at}: capabilities added")
        forbid(context.get("runAsNonRoot", own.get("runAsNonRoot")) is not True, f"{at}: runAsNonRoot")
        forbid(context.get("runAsUser") == 0, f"{at}: runs as root")
        forbid(context.get("procMount", "Default") != "Default", f"{at}: procMount")
        profile = context.get("seccompProfile", own.get("seccompProfile", {})).get("type")
        forbid(profile not in ("RuntimeDefault", "Localhost"), f"{at}: seccomp")
        forbid(any(p.get("hostPort") for p in container.get("ports", [])), f"{at}: hostPort")
        for settings in (own, context):
            forbid(settings.get("seLinuxOptions", {}).keys() & {"user", "role"}, f"{at}: SELinux")
            forbid(settings.get("appArmorProfile", {}).get("type") == "Unconfined", f"{at}: AppArmor")
            forbid(settings.get("windowsOptions", {}).get("hostProcess"), f"{at}: hostProcess")
        hooks = list(container.get("lifecycle", {}).values()) + [container.get(p, {}) for p in PROBES]
        for hook in hooks:
            forbid(any(hook.get(kind, {}).get("host") for kind in ("httpGet", "tcpSocket")), f"{at}: a probe of another host")
    return found


@pods
def test_the_pod_satisfies_the_restricted_standard(one):
    assert violations(one.spec) == []


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (["hostNetwork"], True),
        (["volumes"], [{"name": "host", "hostPath": {"path": "/"}}]),
        (["securityContext", "runAsNonRoot"], False),
        (["securityContext", "runAsUser"], 0),
        (["securityContext", "seccompProfile", "type"], "Unconfined"),
        (["containers", 0, "securityContext", "privileged"], True),
        (["containers", 0, "securityContext", "allowPrivilegeEscalation"], True),
        (["containers", 0, "securityContext", "capabilities"], {"drop": ["NET_RAW"]}),
        (["containers", 0, "securityContext", "capabilities"], {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        (["containers", 0, "ports"], [{"containerPort": 80, "hostPort": 80}]),
        (["containers", 0, "livenessProbe"], {"httpGet": {"port": 80, "host": "169.254.169.254"}}),
    ],
    ids=lambda v: ".".join(map(str, v)) if isinstance(v, list) else "",
)
def test_the_checks_notice_a_pod_that_breaks_the_standard(where, value):
    spec = copy.deepcopy(PODS[0].spec)
    target = spec
    for step in where[:-1]:
        target = target[step]
    target[where[-1]] = value
    assert violations(spec) != []


def test_both_namespaces_refuse_a_pod_that_breaks_the_standard():
    for namespace in of_kind("Namespace"):
        labels = namespace["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pods
def test_the_user_ids_are_numeric_above_10000_and_unique(one):
    context = one.spec["securityContext"]
    assert context["runAsUser"] > 10000 and context["runAsGroup"] > 10000
    for container in one.containers:
        assert not {"runAsUser", "runAsGroup"} & container["securityContext"].keys()
    assert [p.spec["securityContext"]["runAsUser"] for p in PODS].count(context["runAsUser"]) == 1


@pods
def test_the_root_file_system_is_read_only(one):
    for container in one.containers:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pods
def test_every_container_asks_for_and_is_limited_in_cpu_memory_and_disk(one):
    for container in one.containers:
        for side in ("requests", "limits"):
            assert container["resources"][side].keys() == {"cpu", "memory", "ephemeral-storage"}, container["name"]
    for volume in one.spec.get("volumes", []):
        assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""}), volume


def test_the_pool_has_the_limits_that_the_original_had():
    app = next(c for c in PODS[0].containers if c["name"] == "app")
    assert {k: app["resources"]["requests"][k] for k in ("cpu", "memory")} == {"cpu": "100m", "memory": "128Mi"}
    assert {k: app["resources"]["limits"][k] for k in ("cpu", "memory")} == {"cpu": "200m", "memory": "256Mi"}


@pods
def test_liveness_and_readiness_are_different_checks(one):
    for container in one.containers:
        if container["name"] == "app":
            continue  # nginx's readiness probe asks for the pool's: tests/manifests/test_probes.py
        questions = [{k: v for k, v in container[p].items() if k in ("httpGet", "tcpSocket", "exec")} for p in PROBES[1:]]
        assert questions[0] != questions[1], container["name"]


@pods
def test_the_image_is_pinned_and_not_pulled_if_it_is_present(one):
    for container in one.containers:
        tag = container["image"].rpartition(":")[2]
        assert tag[:1].isdigit() or tag[:2] in ("v0", "v1", "v2", "v3"), container["image"]
        assert tag.count(".") == 2
        assert container["imagePullPolicy"] == "IfNotPresent"


def test_the_images_are_those_of_the_design():
    images = {c["image"].rpartition("/")[2] for p in PODS for c in p.containers}
    assert {"prometheus:v3.13.2", "alertmanager:v0.33.1", "kube-state-metrics:v2.19.1", "grafana:13.1.3"} <= images


def test_only_pods_that_use_the_api_server_have_a_token():
    for account in of_kind("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    bound = {s["name"] for b in of_kind("RoleBinding", "ClusterRoleBinding") for s in b["subjects"]}
    holders = {p.spec["serviceAccountName"] for p in PODS if p.spec["automountServiceAccountToken"]}
    assert holders == bound == {"prometheus", "kube-state-metrics"}


def test_the_only_cluster_role_reads_the_nodes_and_their_metrics():
    granted = [(r["resources"], r["verbs"]) for role in of_kind("ClusterRole") for r in role["rules"]]
    assert granted == [(["nodes"], ["get", "list", "watch"]), (["nodes/metrics"], ["get"])]


def test_no_role_writes_or_reads_a_secret():
    for role in of_kind("Role", "ClusterRole"):
        for rule in role["rules"]:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}
            assert set(rule["resources"]) <= {"pods", "deployments", "horizontalpodautoscalers", "nodes", "nodes/metrics"}


def test_nginx_stops_before_the_pool():
    one = PODS[0]
    hooks = {c["name"]: c["lifecycle"]["preStop"]["exec"]["command"] for c in one.containers if "lifecycle" in c}
    assert hooks["nginx"][0] == "sleep", "`sleep` as an action of its own is not in Kubernetes 1.29"
    assert hooks["app"] == ["entrypoint", "wait-for-nginx-exit"]
    # Connections in use have moved to other pods before nginx quits, which closes those that are idle at that moment. Two seconds
    # are for the endpoints to forget the pod.
    age = next(e["value"] for c in one.containers for e in c.get("env", []) if e["name"] == "KEEPALIVE_TIME")
    assert int(hooks["nginx"][1]) >= int(age.removesuffix("s")) + 2
    # The endpoints forget the pod, the longest /delay is answered, and the pool still has time to go.
    drains = {int(e["value"]) for c in one.containers for e in c.get("env", []) if e["name"] == "FCGI_WEBAPP_DRAIN_TIMEOUT"}
    assert len(drains) == 1 and min(drains) > 60
    assert one.spec["terminationGracePeriodSeconds"] >= int(hooks["nginx"][1]) + max(drains) + 10
