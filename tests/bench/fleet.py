"""What Prometheus needs for many pods: CPU time, memory and disk to scrape them, and CPU time for the rules.

Debian's Prometheus scrapes one real pod (nginx, the pool, nginx's exporter) under many names. For the rules it gets the hours that
they look back on from promtool, made of real scrapes under load. It scrapes text, which has no native histograms: they are counted
by themselves.
"""

import contextlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import time

import yaml

from load import start
from peers import BUILD, ROOT, FcgiWebapp
from processes import Processes, SanityError, fetch, free_ports, wait_for

sys.path.insert(0, str(ROOT / "tests"))
from quantities import quantity, seconds  # noqa: E402

MONITORING = ROOT / "monitoring" / "prometheus"
MANIFEST = ROOT / "k8s" / "20-prometheus.yaml"
SIZES = (10, 100, 300)  # pods
FASTER = 5  # times the scrape interval of the service
SCRAPES = 6  # of each target while it is measured
RULES_FASTER = 20  # times the intervals of the rules
EVALUATIONS = 4  # of the rules with the longest interval
HISTORY = 6 * 3600  # the longest range of the rules, in seconds
HISTORY_PODS = 4
REAL_SCRAPES = 60
# Series of a pod that need a cluster. Counted on Kubernetes 1.34 with Prometheus 3.13.2, nginx-prometheus-exporter 1.5.1 and
# kube-state-metrics 2.19.1 by `count by (job) ({__name__=~".+", pod="POD"})`. Those without a job are of rules and alerts.
CLUSTER_SERIES = {"the nginx exporter": 62, "cAdvisor": 73, "kube-state-metrics": 75, "rules and alerts": 35}
OWN = 5  # that Prometheus adds for each target, such as `up`


def unavailable():
    missing = [name for name in ("prometheus", "promtool", "prometheus-nginx-exporter") if not shutil.which(name)]
    return f"{', '.join(missing)} not installed: run 'scripts/deps test monitoring'" if missing else None


def settings():
    """The global ones."""
    return yaml.safe_load((MONITORING / "prometheus.yml").read_text())["global"]


def interval():
    """Between two scrapes, in seconds."""
    return seconds(settings()["scrape_interval"])


def rule_groups():
    """Of all files, each with its interval in seconds."""
    usual = settings()["evaluation_interval"]
    groups = [group for path in (MONITORING / "rules").glob("*.yml") for group in yaml.safe_load(path.read_text())["groups"]]
    return [{**group, "interval": seconds(group.get("interval", usual))} for group in groups]


def limits():
    """{cores, memory, disk, days} of Prometheus in k8s/."""
    documents = yaml.safe_load_all(MANIFEST.read_text())
    (deployment,) = (document for document in documents if document["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    options = dict(option.lstrip("-").split("=", 1) for option in container["args"])
    size = re.fullmatch(r"(\d+)GB", options["storage.tsdb.retention.size"])[1]
    return {
        "cores": quantity(container["resources"]["limits"]["cpu"]),
        "memory": quantity(container["resources"]["limits"]["memory"]),
        "disk": int(size) * 2**30,
        "days": int(options["storage.tsdb.retention.time"].rstrip("d")),
    }


@contextlib.contextmanager
def one_pod():
    """A pod's two targets: (job, port)."""
    with (peer := FcgiWebapp("scraped", workers=2)):
        start(peer)
        (exporter,) = free_ports(1)
        status = f"http://127.0.0.1:{peer.private_port}/nginx_status"
        peer.processes.start("prometheus-nginx-exporter", f"--nginx.scrape-uri={status}", f"--web.listen-address=127.0.0.1:{exporter}")
        wait_for(lambda: answers(exporter), 10, "nginx's exporter")
        yield peer, {"fcgi-webapp": peer.private_port, "nginx": exporter}


def answers(port, path="/metrics"):
    try:
        return fetch(port, path)[0] == 200
    except OSError:
        return False


def samples_of(port):
    """(series, value) of one scrape, in text."""
    status, _, body = fetch(port, "/metrics")
    if status != 200:
        raise SanityError(f"a scrape answered {status}")
    return [line.rsplit(" ", 1) for line in body.decode().splitlines() if line and not line.startswith("#")]


def series(port):
    """Of one pod, by where they come from."""
    names = [name for name, _ in samples_of(port)]
    native = [name for name in names if re.match(r"http_request_(duration|queue)_seconds_count\b", name)]
    return {"fcgi-webapp": len(names) + len(native) + OWN, **CLUSTER_SERIES}


class Prometheus:
    """Debian's, over a folder of blocks, with the rules or with targets."""

    def __init__(self, directory, targets=None, pods=0, rules=False):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        jobs = [
            {
                "job_name": job,
                "static_configs": [
                    {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "fcgi-webapp", "pod": f"fcgi-webapp-{n}", "container": "app"}}
                    for n in range(pods)
                ],
            }
            for job, port in (targets or {}).items()
        ]
        every = f"{interval() // FASTER}s"
        config = {"global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}, "scrape_configs": jobs}
        if rules:
            config["rule_files"] = ["rules.yml"]
            faster = [{**group, "interval": f"{1000 * group['interval'] // RULES_FASTER}ms"} for group in rule_groups()]
            (directory / "rules.yml").write_text(yaml.safe_dump({"groups": faster}))
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.processes = Processes(directory / "log")

    def __enter__(self):
        (self.port,) = free_ports(1)
        self.processes.start(
            "prometheus",
            f"--config.file={self.directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        )
        wait_for(lambda: answers(self.port, "/-/ready"), 60, "Prometheus")
        return self

    def __exit__(self, *error):
        self.processes.stop()

    def own(self):
        """Its own metrics, those without labels, and how many scrapes it made."""
        found = {name: float(value) for name, value in samples_of(self.port) if "{" not in name}
        scrapes = sum(float(value) for name, value in samples_of(self.port) if name.startswith("prometheus_target_interval_length_seconds_count"))
        return {**found, "scrapes": scrapes}


def scraped(targets, pods):
    """One size: CPU ms for one scrape of a pod, and memory."""
    directory = BUILD / "run" / f"prometheus-{pods}"
    shutil.rmtree(directory, ignore_errors=True)
    every = interval() // FASTER
    with Prometheus(directory, targets, pods) as prometheus:
        while prometheus.own()["scrapes"] < pods * len(targets):  # each target twice: the intervals count
            time.sleep(1)
        before = prometheus.own()
        time.sleep(SCRAPES * every)  # without a question, which would cost CPU time
        after = prometheus.own()
    scrapes = (after["scrapes"] - before["scrapes"]) / len(targets)
    if scrapes < 0.9 * SCRAPES * pods:
        raise SanityError(f"Prometheus made {scrapes:.0f} of {SCRAPES * pods} scrapes")
    cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    head = after["prometheus_tsdb_head_series"]
    return {"pods": pods, "series": head, "cpu_ms": 1000 * cpu / scrapes, "memory": after["process_resident_memory_bytes"]}


def real_scrapes(peer, targets):
    """{(job, series): its values in quick scrapes under load}."""
    values = {}
    load = peer.processes.start("wrk", "-t1", "-c8", "-d60", f"http://127.0.0.1:{peer.port}/")
    for _ in range(REAL_SCRAPES + 1):
        for job, port in targets.items():
            for name, value in samples_of(port):
                values.setdefault((job, name), []).append(float(value))
        time.sleep(0.05)
    load.terminate()
    return {key: row for key, row in values.items() if len(row) == REAL_SCRAPES + 1}


def write_history(path, values, pods):
    """OpenMetrics for promtool: the scrapes again and again, in which counters go on from where they were."""
    every, end = interval(), int(time.time())
    with path.open("w") as out:
        for (job, name), row in values.items():
            family, _, labels = name.rstrip("}").partition("{")
            labels = f'{labels},job="{job}",namespace="fcgi-webapp",container="app"'.lstrip(",")
            for number in range(pods):
                head = f'{family}{{{labels},pod="history-{number}",instance="{number}"}}'
                for turn in range(HISTORY // every):
                    again, place = divmod(turn, REAL_SCRAPES)
                    out.write(f"{head} {row[place] + again * (row[-1] - row[0]):.10g} {end - HISTORY + turn * every}\n")
        out.write("# EOF\n")


def history(peer, targets):
    """{bytes a sample, index bytes a series and block, cores of the rules for each pod}."""
    directory = BUILD / "run" / "prometheus-history"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    write_history(directory / "history.txt", real_scrapes(peer, targets), HISTORY_PODS)
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "history.txt", "data"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise SanityError(f"promtool: {done.stderr}")
    (directory / "history.txt").unlink()
    blocks = [(path.parent, json.loads(path.read_text())["stats"]) for path in directory.glob("data/*/meta.json")]
    samples = sum(stats["numSamples"] for _, stats in blocks)
    chunks = sum(path.stat().st_size for path in directory.glob("data/*/chunks/*"))
    indexes = [(block / "index").stat().st_size / stats["numSeries"] for block, stats in blocks]
    with_history = rules_cost(directory)
    shutil.rmtree(directory / "data")
    return {
        "bytes_a_sample": chunks / samples,
        "bytes_a_series": statistics.median(indexes),
        "rules_cores": (with_history - rules_cost(directory)) / HISTORY_PODS,
    }


def rules_cost(directory):
    """Cores for all rules at the intervals of the service, over what the folder has."""
    longest = max(group["interval"] for group in rule_groups())
    with Prometheus(directory, rules=True) as prometheus:
        time.sleep(interval())  # it has started
        before = prometheus.own()
        time.sleep(EVALUATIONS * longest / RULES_FASTER)
        after = prometheus.own()
    return (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / (EVALUATIONS * longest)


def fleet(progress):
    """{series, sizes, history, interval, limits}."""
    with one_pod() as (peer, targets):
        of_a_pod = series(targets["fcgi-webapp"])
        sizes = []
        for pods in SIZES:
            sizes.append(scraped(targets, pods))
            progress(f"Prometheus, {pods} pods: {sizes[-1]['cpu_ms']:.2f} ms a scrape, {sizes[-1]['memory'] / 2**20:.0f} MiB")
        past = history(peer, targets)
        progress(f"Prometheus, the rules: {1000 * past['rules_cores']:.2f} ms a second for each pod")
    return {"series": of_a_pod, "sizes": sizes, "history": past, "interval": interval(), "limits": limits()}
