"""The benchmark: fcgi-webapp and its peers on one machine, in one run, in turns.

A turn is one peer at one number of connections: started, warmed up, measured
with wrk, ended; a round is every peer's turn, in an order that moves on by one
from round to round. A peer that does not answer as it should, or does not count
what it answered, ends the run with an error, and no figure is printed.

Writes build/bench/bench.json:

    date, revision, machine, settings     when, what, where, how
    skipped     what took no part, and why
    rows        one a peer and number of connections, medians over the rounds:
                peer, connections, rps, p50_ms, p99_ms, p999_ms, cpu_us (of all
                server processes, a request), pss_mib, first_200_ms, failures
                (connections refused or cut, time-outs), others (the share of
                the CPUs that neither the peer nor wrk used: what disturbed),
                and spread: the least and the most of each
    ratios      fcgi-webapp against the others: medians of the rounds' ratios
    must_show   what is wanted of the figures: what, figure, most or least, met
    growth      workers, connections: of, rps, cpu_us, p99_ms;
                routes: of, cpu_us, ratio (to the fewest);
                scrapes: of, workers, served, series, cpu_ms, median_ms
    instrumentation    cost (a fraction of CPU time), quartiles, pairs
    earlier     of, cpu_us_now, cpu_us_then, ratio: against an earlier revision
    pool_of_four       pss_mib (without nginx), first_200_ms
    pod         limits: cores by container; rows: peer, connections, nginx (whether
                it is behind nginx), rps, p50_ms, p99_ms, cpu_us, pss_mib, spread,
                used: cores by container; ratios: of requests/s by peer
    costs       one a process kind: peer, part, user_us, kernel_us, and where strace
                may trace, calls: of the system, a request
    blocking    rows: case, peer, rps, p50_ms, p90_ms, p99_ms; ratios: medians of
                the rounds' ratios
    prometheus  series of a pod by source; sizes: pods, series, cpu_ms (of a scrape
                of a pod), memory; history: bytes_a_sample, bytes_a_series, rules_cores
                (for each pod); interval in s; limits in k8s/
    metrics     of make bench-metrics: what, figure, unit
"""

import argparse
import datetime
import functools
import json
import os
import pathlib
import platform
import re
import subprocess
import sys

import blocking
import capacity
import chart
import costs
import fleet
import growth
import pod
import record
import report
from load import turn
from optional_peers import Axum, AxumBehindNginx, NginxLua, PhpFpm, Revision
from peers import BUILD, PATH, ROOT, FcgiWebapp, Go, GoBehindNginx, Hypercorn, NginxBare, NginxReturn, UsualPool, Uvicorn
from processes import SanityError

PARTS = ("peers", "pod", "revision", "costs", "growth", "instrumentation", "pool", "metrics", "blocking", "prometheus")
PEERS = (NginxReturn, NginxBare, NginxLua, FcgiWebapp, UsualPool, PhpFpm, Go, GoBehindNginx, Axum, AxumBehindNginx)
PEERS += (Uvicorn, Hypercorn)
SKIPPED = []  # what takes no part, and why


def read(*command):
    """The first line that a command prints, on either stream; "" without it."""
    environment = {**os.environ, "PATH": PATH}
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    except OSError:
        return ""
    return (done.stdout.splitlines() or [""])[0]


def machine():
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', pathlib.Path("/etc/os-release").read_text(), re.MULTILINE)
    return {
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "system": system.group(1) if system else "unknown",
        "nginx": read("nginx", "-v").rpartition("/")[2],
        "go": " ".join(read("/usr/lib/go/bin/go", "version").split()[2:3]),
        "python": platform.python_version(),
        "php": " ".join(read(PhpFpm.program() or "php-fpm", "-v").split()[1:2]),
        "rust": " ".join(read("rustc", "--version").split()[1:2]),
        "mitigations": mitigations(),
    }


def mitigations():
    """The names of the processor's vulnerabilities that the kernel works around, which
    makes system calls slower."""
    files = sorted(pathlib.Path("/sys/devices/system/cpu/vulnerabilities").glob("*"))
    return [file.name for file in files if file.read_text().startswith("Mitigation")]


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def skip(what, reason):
    SKIPPED.append(f"{what}: {reason}")
    progress(f"skipped: {SKIPPED[-1]}")


@functools.cache
def available(kind):
    """Whether this kind of peer takes part. Builds it."""
    if reason := kind.unavailable():
        skip(kind.name, reason)
    return not reason


def rounds_of(peers, settings):
    """Every run, each with the number of its round."""
    for number in range(settings.rounds):
        for connections in settings.connections:
            shift = number % len(peers)
            for peer in peers[shift:] + peers[:shift]:
                run = turn(peer, connections, settings.seconds)
                progress(
                    f"round {number + 1} of {settings.rounds}, {connections} connections, {peer.name}: "
                    f"{run['rps']:,.0f} requests/s, {run['cpu_us']:.1f} us"
                )
                yield {**run, "round": number}


def metrics_cost():
    """The lines of the micro-benchmark: what, figure, unit."""
    done = subprocess.run([BUILD / "metrics-cost"], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise SanityError(f"metrics-cost: {done.stdout}{done.stderr}")
    found = re.findall(r"^(.*?) {2,}([\d.]+) (\S.*)$", done.stdout, re.MULTILINE)
    return [{"what": what, "figure": float(figure), "unit": unit} for what, figure, unit in found]


def measure_growth(few, short, settings):
    for what, measured in (
        ("workers", lambda: growth.workers(few, short)),
        ("connections", lambda: growth.connections(few, short)),
        ("routes", lambda: growth.routes(settings.pairs // 2)),
        ("scrapes", lambda: list(growth.scrapes(short))),
    ):
        progress(f"growth: {what}")
        yield what, measured()


def run(settings, peers, in_pod):
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "revision": read("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"),
        "machine": machine(),
        "settings": {name: getattr(settings, name) for name in ("seconds", "rounds", "connections")},
        "rows": [],
        "ratios": {},
    }
    few, short = min(3, settings.rounds), min(3, settings.seconds)
    if "peers" in settings.parts:
        runs = list(rounds_of(peers, settings))
        result.update(rows=report.rows(runs), ratios=report.ratios(runs))
    if "pod" in settings.parts:
        if reason := pod.unavailable():
            skip("the limits of the pod", reason)
        else:
            result["pod"] = pod.pod(in_pod, settings.rounds, settings.seconds, progress)
    if "revision" in settings.parts and available(Revision):
        progress(f"against revision {Revision.revision}")
        result["earlier"] = growth.revision(settings.rounds)
    if "costs" in settings.parts:
        result["costs"] = costs.costs(few, short, progress, skip)
    if "growth" in settings.parts:
        result["growth"] = dict(measure_growth(few, short, settings))
    if "instrumentation" in settings.parts:
        progress("what counting costs")
        result["instrumentation"] = growth.instrumentation(settings.pairs)
    if "pool" in settings.parts:
        progress("a pool of four")
        result["pool_of_four"] = growth.pool_of_four(few, 1)
    if "metrics" in settings.parts:
        progress("the cost of an increment and of a rendering")
        result["metrics"] = metrics_cost()
    if "blocking" in settings.parts:
        result["blocking"] = blocking.blocking(settings.rounds, short, progress)
    if "prometheus" in settings.parts:
        if reason := fleet.unavailable():
            skip("Prometheus for many pods", reason)
        else:
            result["prometheus"] = fleet.fleet(progress)
    result["skipped"] = SKIPPED
    result["must_show"] = report.must_show(result)
    return result


def numbers(text):
    values = [int(word) for word in re.split(r"[ ,]+", text.strip())]
    if not all(1 <= value <= 1000 for value in values):
        raise ValueError(text)
    return values


def arguments(argv):
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, choices=range(1, 61), default=5, metavar="1..60", help="of a run")
    parser.add_argument("--rounds", type=int, choices=range(1, 21), default=5, metavar="1..20")
    parser.add_argument("--pairs", type=int, choices=range(2, 51), default=8, metavar="2..50", help="for counting's cost")
    parser.add_argument("--connections", type=numbers, default=[8, 64, 256], metavar="N,...")
    parser.add_argument("--peers", default=".", metavar="REGEX", help="only those whose name it matches")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--record", action="store_true", help="into docs/ too")
    return parser.parse_args(argv)


def main(argv=None, peers=None):
    settings = arguments(argv)
    (BUILD / "bench.json").unlink(missing_ok=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    in_pod = peers
    if peers is None:
        chosen = [kind for kind in PEERS + pod.PEERS if re.search(settings.peers, kind.name)]
        peers = [kind() for kind in PEERS if "peers" in settings.parts and kind in chosen and available(kind)]
        in_pod = [kind() for kind in pod.PEERS if "pod" in settings.parts and kind in chosen and available(kind)]
        if "blocking" in settings.parts:
            available(UsualPool)
    try:
        result = run(settings, peers, in_pod)
    except SanityError as error:
        print(f"bench: stopped, no figure is to be trusted: {error}", file=sys.stderr)
        return 1
    text = report.text(result)
    if "prometheus" in result:
        text += "\n" + capacity.tables(result["prometheus"], result["machine"], result["date"])
    (BUILD / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
    (BUILD / "bench.svg").write_text(chart.draw(result["rows"]))
    if "pod" in result:
        (BUILD / "pod.svg").write_text(chart.draw(result["pod"]["rows"], chart.POD_PANELS))
    print(text)
    if settings.record:
        record.record(result, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
