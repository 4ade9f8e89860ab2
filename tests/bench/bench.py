"""The benchmark: fcgi-webapp and its peers on one machine, in one run, in turns.

A turn is one peer at one number of connections: started, warmed up, measured
with wrk, ended; a round is every peer's turn, in an order that moves on by one
from round to round. A peer that does not answer as it should, or does not count
what it answered, ends the run with an error, and no figure is printed.

Writes build/bench/bench.json:

    date, revision, machine, settings     when, what, where, how
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
    pool_of_four       pss_mib (without nginx), first_200_ms
    blocking    rows: case, peer, rps, p50_ms, p90_ms, p99_ms; ratios: medians of
                the rounds' ratios
    metrics     of make bench-metrics: what, figure, unit
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

import blocking
import chart
import growth
import report
from load import turn
from peers import BUILD, PATH, PEERS, ROOT, Go, UsualPool
from processes import SanityError

PARTS = ("peers", "growth", "instrumentation", "pool", "metrics", "blocking")


def read(*command):
    """The first line that a command prints, on either stream."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PATH": PATH})
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
    }


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


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


def run(settings, peers):
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
    if "growth" in settings.parts:
        result["growth"] = {}
        for what, measured in (
            ("workers", lambda: growth.workers(few, short)),
            ("connections", lambda: growth.connections(few, short)),
            ("routes", lambda: growth.routes(settings.pairs // 2)),
            ("scrapes", lambda: list(growth.scrapes(short))),
        ):
            progress(f"growth: {what}")
            result["growth"][what] = measured()
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
    result["must_show"] = report.must_show(result)
    return result


def record(result, text):
    """Into docs/benchmarks.md, between its two markers, with the chart."""
    page = ROOT / "docs" / "benchmarks.md"
    edited, count = re.subn(
        r"(<!-- measured -->\n).*(<!-- /measured -->)",
        lambda match: f"{match.group(1)}\n{text}\n{match.group(2)}",
        page.read_text(),
        flags=re.DOTALL,
    )
    if count != 1:
        raise SystemExit("bench: docs/benchmarks.md has lost its markers")
    page.write_text(edited)
    shutil.copy(BUILD / "bench.svg", ROOT / "docs" / "benchmarks.svg")


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
    if peers is None:
        peers = [peer() for peer in PEERS if re.search(settings.peers, peer.name)]
        if {"peers", "blocking"} & set(settings.parts):
            UsualPool.build()
        if "peers" in settings.parts:
            Go.build()
    try:
        result = run(settings, peers)
    except SanityError as error:
        print(f"bench: stopped, no figure is to be trusted: {error}", file=sys.stderr)
        return 1
    text = report.text(result)
    (BUILD / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
    (BUILD / "bench.svg").write_text(chart.draw(result["rows"]))
    print(text)
    if settings.record:
        record(result, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
