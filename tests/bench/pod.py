"""Requests per second in the CPU and memory limits of the pod in k8s/: the peer and
nginx in a cgroup each, like their containers, and a peer without nginx with the sum
of both. wrk runs outside of the limits."""

import contextlib
import statistics
import sys
import time

import yaml

from load import measure, start, wrk
from optional_peers import Axum, AxumBehindNginx, NginxLua, PhpFpm
from peers import ROOT, FcgiWebapp, Go, GoBehindNginx, UsualPool
from processes import SanityError, wait_for
from report import POD_RPS

sys.path.insert(0, str(ROOT / "tests"))
from cgroups import Cgroup, Unavailable  # noqa: E402
from quantities import quantity  # noqa: E402

PEERS = (FcgiWebapp, UsualPool, PhpFpm, GoBehindNginx, AxumBehindNginx, NginxLua, Go, Axum)
CONNECTIONS = 64
METRICS = ("rps", "p50_ms", "p99_ms", "cpu_us", "pss_mib")
def containers():
    """{name: container} of the Deployment."""
    documents = yaml.safe_load_all((ROOT / "k8s" / "10-fcgi-webapp.yaml").read_text())
    (deployment,) = (document for document in documents if document["kind"] == "Deployment")
    return {one["name"]: one for one in deployment["spec"]["template"]["spec"]["containers"]}


def limits():
    """{container: {"cpu": cores, "memory": bytes}} of the pool and nginx."""
    of = {name: containers()[name]["resources"]["limits"] for name in ("app", "nginx")}
    return {name: {what: quantity(limit[what]) for what in ("cpu", "memory")} for name, limit in of.items()}


def nginx_workers():
    """Those of the nginx in the pod."""
    return int(next(one["value"] for one in containers()["nginx"]["env"] if one["name"] == "NGINX_WORKERS"))


def unavailable():
    """Why there are no cgroups with limits here, or None."""
    try:
        with Cgroup(cpu=0.5, memory=2**26):
            return None
    except Unavailable as reason:
        return str(reason)


@contextlib.contextmanager
def inside(peer, of):
    """The cgroups of the peer's containers by name, until its processes have ended."""
    together = {what: of["app"][what] + of["nginx"][what] for what in ("cpu", "memory")}
    wanted = of if peer.behind_nginx else {"app": together}
    with contextlib.ExitStack() as made:
        groups = {name: made.enter_context(Cgroup(**{**limit, "memory": int(limit["memory"])})) for name, limit in wanted.items()}
        peer.processes.cgroup, peer.nginx_cgroup = groups["app"], groups.get("nginx")
        try:
            yield groups
        finally:
            peer.processes.stop()
            wait_for(lambda: not any(group.pids for group in groups.values()), 10, f"{peer.name}: the end of its processes")


def check_limits(peer, groups, used, seconds):
    """All processes ran inside, and got what the limits allow. A group may have used
    the quota of a period that began earlier, or of one that has just begun."""
    members = {pid for group in groups.values() for pid in group.pids}
    if outside := set(peer.processes.pids()) - members:
        raise SanityError(f"{peer.name}: {len(outside)} of its processes run outside of the limits")
    for name, cores in used.items():
        most = groups[name].cpu * (1.05 + 0.3 / seconds)
        if cores > most:
            raise SanityError(f"{peer.name}: {name} used {cores:.3f} cores, and has {groups[name].cpu:g}")


def pod_turn(peer, of, seconds):
    with inside(peer, of) as groups, peer:
        start(peer)
        wrk(peer.port, peer.path, CONNECTIONS, min(1, seconds))
        began, before = time.monotonic(), {name: group.usage for name, group in groups.items()}
        run = measure(peer, CONNECTIONS, seconds)
        took = time.monotonic() - began
        used = {name: (group.usage - before[name]) / took for name, group in groups.items()}
        check_limits(peer, groups, used, took)
    return {**run, "used": used}


def pod(peers, rounds, seconds, progress):
    """{limits, rows, ratios}: medians over the rounds, and of the rounds' ratios."""
    of, taken = limits(), []
    for number in range(rounds):
        shift, results = number % len(peers), {}
        for peer in peers[shift:] + peers[:shift]:
            peer.nginx_workers = nginx_workers()
            results[peer.name] = run = pod_turn(peer, of, seconds)
            used = ", ".join(f"{name} {cores:.2f}" for name, cores in run["used"].items())
            progress(f"pod, round {number + 1} of {rounds}, {peer.name}: {run['rps']:,.0f} requests/s, cores: {used}")
        taken.append(results)
    return {"limits": {name: limit["cpu"] for name, limit in of.items()}, "rows": rows(peers, taken), "ratios": ratios(taken)}


def rows(peers, taken):
    """One for each peer, most requests per second first."""
    found = []
    for peer in peers:
        runs = [results[peer.name] for results in taken]
        found.append(
            {
                "peer": peer.name,
                "connections": CONNECTIONS,
                "nginx": peer.behind_nginx,
                **{metric: statistics.median(run[metric] for run in runs) for metric in METRICS},
                "spread": {"rps": [f(run["rps"] for run in runs) for f in (min, max)]},
                "used": {name: statistics.median(run["used"][name] for run in runs) for name in runs[0]["used"]},
            }
        )
    return sorted(found, key=lambda row: -row["rps"])


def ratios(taken):
    ours = FcgiWebapp.name
    return {
        other: statistics.median(results[ours]["rps"] / results[other]["rps"] for results in taken)
        for other, _ in POD_RPS
        if ours in taken[0] and other in taken[0]
    }
