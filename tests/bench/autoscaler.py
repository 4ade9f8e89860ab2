"""Simulates the HorizontalPodAutoscaler of k8s/10-fcgi-webapp.yaml, second by second.

The algorithm is that of Kubernetes (pkg/controller/podautoscaler) with the default options of kube-controller-manager. CPU usage is
what metrics-server computes, with its default resolution, from the samples of the kubelet. A ready pod stays ready here.
tests/manifests/test_autoscaler.py compares it with a cluster and with the controller.
"""

import bisect
import dataclasses
import math
import pathlib
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from quantities import quantity  # noqa: E402

MANIFEST = ROOT / "k8s" / "10-fcgi-webapp.yaml"

# kube-controller-manager: seconds between two decisions, the deviation of 1 that changes nothing, and the age in seconds up to which
# a pod's sample must have begun after the pod was ready.
SYNC = 15
TOLERANCE = 0.1
CPU_INITIALIZATION = 300
# metrics-server: seconds between two scrapes, their phase against the decisions, and the age from which one sample of a container
# will do.
RESOLUTION = 15
PHASE = 5
FRESH = 10
# The kubelet: seconds between two samples of a container.
HOUSEKEEPING = 10
# A pod: seconds from its creation until its containers run, and until it is ready, as on the cluster of
# tests/manifests/recorded/autoscaler-cluster.csv.
RUNNING = 2
READY = 4
WARM_UP = 900  # seconds of the first load before second 0


@dataclasses.dataclass
class Metric:
    """CPU of one container: cores, and the target in per cent of the request."""

    container: str
    request: float
    limit: float
    target: int


@dataclasses.dataclass
class Rules:
    """How fast the autoscaler goes in one direction: by what policies allow, after a window in seconds."""

    window: int
    policies: list
    select: str


@dataclasses.dataclass
class Settings:
    metrics: list
    least: int
    most: int
    up: Rules
    down: Rules


def read_settings(manifest=MANIFEST):
    """Those of the HorizontalPodAutoscaler of a manifest, and of the containers that it looks at."""
    documents = {document["kind"]: document.get("spec") for document in yaml.safe_load_all(manifest.read_text())}
    spec = documents["HorizontalPodAutoscaler"]
    containers = {one["name"]: one["resources"] for one in documents["Deployment"]["template"]["spec"]["containers"]}
    metrics = []
    for metric in spec["metrics"]:
        if metric["type"] != "ContainerResource" or metric["containerResource"]["name"] != "cpu":
            raise SystemExit(f"autoscaler: {manifest} has a metric of type {metric['type']}; only the CPU of containers is simulated")
        name, target = metric["containerResource"]["container"], metric["containerResource"]["target"]["averageUtilization"]
        request, limit = (quantity(containers[name][which]["cpu"]) for which in ("requests", "limits"))
        metrics.append(Metric(name, request, limit, target))
    up, down = (
        Rules(rules.get("stabilizationWindowSeconds", window), rules["policies"], rules.get("selectPolicy", "Max"))
        for rules, window in ((spec["behavior"]["scaleUp"], 0), (spec["behavior"]["scaleDown"], 300))
    )
    return Settings(metrics, spec["minReplicas"], spec["maxReplicas"], up, down)


class Usage:
    """CPU time of a container in a pod that has always been ready, in seconds, over time."""

    def __init__(self, first):
        self.first, self.total = first, [0.0]

    def add(self, cores_used):
        self.total.append(self.total[-1] + cores_used)

    def between(self, begin, end):
        return self.total[max(end, self.first) - self.first] - self.total[max(begin, self.first) - self.first]


@dataclasses.dataclass
class Pods:
    """Pods that were created together, and so are alike."""

    created: int
    count: int
    scraped: list = dataclasses.field(default_factory=list)  # the times of the last two samples that metrics-server has

    @property
    def running(self):
        return self.created + RUNNING

    @property
    def ready(self):
        return self.created + READY

    def scrape(self, now):
        """metrics-server takes the kubelet's last sample."""
        sampled = now - (now - self.running) % HOUSEKEEPING
        if sampled > self.running and sampled not in self.scraped:
            self.scraped = [*self.scraped[-1:], sampled]

    def sample(self, usage):
        """(milli-cores, time of the sample, its window) as metrics-server answers; None before it knows."""
        times = self.scraped
        if len(times) == 1 and FRESH <= times[0] - self.running < RESOLUTION:
            times = [self.running, *times]
        if len(times) < 2:
            return None
        begin, end = times
        used = usage.between(max(begin, self.ready), max(end, self.ready)) / (end - begin)
        return math.ceil(round(1000 * used, 6)), end, end - begin

    def unready(self, sample, now):
        """Whether the sample must not count yet."""
        if sample is None or now < self.running:
            return now < self.running
        _, sampled, window = sample
        return now < self.ready or (now < self.created + CPU_INITIALIZATION and sampled < self.ready + window)


class Autoscaler:
    """What the controller knows about one HorizontalPodAutoscaler."""

    def __init__(self, settings):
        self.settings = settings
        self.recommendations, self.up, self.down = [], [], []  # (time, replicas)
        self.seen = {}  # container -> usage of its ready pods in per cent of the target

    @staticmethod
    def tolerated(ratio):
        return 1 - TOLERANCE <= ratio <= 1 + TOLERANCE

    def proposal(self, metric, pods, usage, now):
        """The number of replicas by one metric; None while it says nothing."""
        current, request = sum(group.count for group in pods), round(1000 * metric.request)
        counted, unready, missing, total = 0, 0, 0, 0
        for group in pods:
            sample = group.sample(usage)
            if group.unready(sample, now):
                unready += group.count
            elif sample is None:
                missing += group.count
            else:
                counted, total = counted + group.count, total + group.count * sample[0]
        if not counted:
            return None

        def ratio_of(used, count):
            return used * 100 // (request * count) / metric.target

        ratio = ratio_of(total, counted)
        self.seen[metric.container] = round(100 * ratio)
        dampening = unready if ratio > 1 else 0
        if not dampening and not missing:
            return current if self.tolerated(ratio) else math.ceil(ratio * counted)
        # Pods without a sample that counts make the change smaller: they use nothing when it goes up, and the target when it goes down.
        if ratio < 1:
            counted, total = counted + missing, total + missing * (request * max(100, metric.target) // 100)
        elif ratio > 1:
            counted += missing + dampening
        again = ratio_of(total, counted)
        if self.tolerated(again) or ratio < 1 < again or again < 1 < ratio:
            return current
        replicas = math.ceil(again * counted)
        return current if again < 1 and replicas > current or again > 1 and replicas < current else replicas

    def stabilized(self, proposed, current, now):
        """Up no further than the least proposal of a window, down no further than the most of another."""
        up, down = (
            [proposed, *(replicas for time, replicas in self.recommendations if time > now - rules.window)]
            for rules in (self.settings.up, self.settings.down)
        )
        self.recommendations.append((now, proposed))
        return min(max(current, min(up)), max(down))

    def allowed(self, rules, current, now, sign):
        """How far the policies let it go in one direction."""
        if rules.select == "Disabled":
            return current
        ends = []
        for policy in rules.policies:
            since = now - policy["periodSeconds"]
            added, removed = (sum(change for time, change in events if time > since) for events in (self.up, self.down))
            begin = current - added + removed
            if policy["type"] == "Pods":
                ends.append(begin + sign * policy["value"])
            else:
                ends.append((math.ceil if sign > 0 else int)(begin * (1 + sign * policy["value"] / 100)))
        return max(ends) if (rules.select == "Max") == (sign > 0) else min(ends)

    def decide(self, pods, usage, now):
        """The number of replicas from now on."""
        settings, current = self.settings, sum(group.count for group in pods)
        if not self.recommendations:
            self.recommendations.append((now, current))
        proposals = [self.proposal(metric, pods, usage[metric.container], now) for metric in settings.metrics]
        known = [replicas for replicas in proposals if replicas is not None]
        # A metric that says nothing keeps the others from removing pods.
        if not known or (None in proposals and max(known) < current):
            return current
        desired = self.stabilized(max(known), current, now)
        if desired > current:
            desired = min(desired, settings.most, max(current, self.allowed(settings.up, current, now, 1)))
            self.up.append((now, desired - current))
        elif desired < current:
            desired = max(desired, settings.least, min(current, self.allowed(settings.down, current, now, -1)))
            self.down.append((now, current - desired))
        return desired


@dataclasses.dataclass
class Moment:
    """What there is at one second."""

    time: int
    load: float
    replicas: int
    ready: int
    seen: int  # the most that the autoscaler saw of a container, in per cent of its target
    served: float  # of 1


def line(points):
    """The load over time, of (second, cores, whether by a straight line) in the order of time."""
    times = [point[0] for point in points]

    def load(now):
        place = max(0, bisect.bisect_right(times, now) - 1)
        (begin, value, _), (end, wanted, straight) = points[place], points[min(place + 1, len(points) - 1)]
        return value + (wanted - value) * (now - begin) / (end - begin) if straight and now > begin and end > begin else value

    return load


def resized(pods, replicas, now):
    """New pods are alike; the newest go first."""
    more = replicas - sum(group.count for group in pods)
    if more > 0:
        return [*pods, Pods(now, more)]
    while more < 0:
        gone = min(-more, pods[-1].count)
        pods[-1].count, more = pods[-1].count - gone, more + gone
        pods = pods if pods[-1].count else pods[:-1]
    return pods


def simulate(settings, load, seconds, nginx=0.0, begin=None):
    """A Moment for each second after the warm-up. `begin` is the number of pods with which that starts."""
    autoscaler, moments = Autoscaler(settings), []
    pods = [Pods(-WARM_UP - READY, begin or settings.least)]
    share = {metric.container: 1.0 if metric is settings.metrics[0] else nginx for metric in settings.metrics}
    usage = {container: Usage(-WARM_UP) for container in share}
    for now in range(-WARM_UP, seconds):
        if now % RESOLUTION == PHASE:
            for group in pods:
                group.scrape(now)
        if now % SYNC == 0:
            pods = resized(pods, autoscaler.decide(pods, usage, now), now)
        ready = sum(group.count for group in pods if group.ready <= now)
        for metric in settings.metrics:
            usage[metric.container].add(min(load(now) * share[metric.container] / ready, metric.limit))
        if now >= 0:
            used_up = max(load(now) * share[metric.container] / (ready * metric.limit) for metric in settings.metrics)
            replicas = sum(group.count for group in pods)
            moments.append(Moment(now, load(now), replicas, ready, max(autoscaler.seen.values(), default=0), min(1, 1 / used_up)))
    return moments
