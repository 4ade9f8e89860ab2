"""Handlers that block: what others wait for them, and what blocked requests
themselves take, against the usual pool with as many processes."""

import math
import re
import statistics
import subprocess
import time

from load import WRK_SCRIPT, start, wrk
from peers import FcgiWebapp, UsualPool
from processes import SanityError

PROCESSES = 16
BYE, BLOCKED = 56, 8  # connections
METRICS = ("rps", "p50_ms", "p90_ms", "p99_ms")
P99_REQUESTS = 5000  # a p99 then rests on the 50 slowest
RUNS = 3  # of a mix in each round: connections fall on nginx's processes by chance

# (connections, seconds that most take, seconds that some take, their share)
MIXES = ((64, 0.001, 0.05, 1 / 100), (64, 0.0001, 0.02, 1 / 50), (64, 0.0005, 0.2, 1 / 100), (8, 0.005, 0.005, 0))


class Unlimited:
    """Without the limit of requests per second that fault injection has."""

    def configure(self, text):
        return re.sub(r"\n *limit_req [^\n]*", "", super().configure(text))


class Naive(Unlimited, UsualPool):
    name = "usual libfcgi pool, 16 processes"
    workers = PROCESSES


class Ours(Unlimited, FcgiWebapp):
    def __init__(self):
        super().__init__("fcgi-webapp, 2 and 16 workers", workers=2, blocking_workers=PROCESSES)


def figures(load):
    if load["requests"] == 0 or load["status"] or load["timeout"]:
        raise SanityError(f"{load['requests']} requests, {load['status']} errors, {load['timeout']} time-outs")
    return {**load, "rps": load["requests"] / load["seconds"]}


def beside(peer, seconds):
    """/bye alone, and then beside requests that block for 50 ms."""
    alone = figures(wrk(peer.port, "/bye", BYE, seconds))
    command = ["wrk", "-t1", f"-c{BLOCKED}", f"-d{seconds + 2}s", "-s", str(WRK_SCRIPT), f"http://127.0.0.1:{peer.port}/block/0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as blocked:
        time.sleep(0.5)
        with_them = figures(wrk(peer.port, "/bye", BYE, seconds))
        if blocked.poll() is not None:
            raise SanityError("the requests that block ended too early")
        if "Non-2xx" in blocked.communicate()[0]:
            raise SanityError("requests that block were refused")
    return {"alone": alone, "beside": with_them}


def name_of(mix):
    connections, most, some, share = mix
    return f"{most * 1000:g} ms" + (f", {share:.0%} {some * 1000:g} ms" if share else "") + f", {connections} connections"


def mixed(peer, mix, seconds):
    """Medians of the runs. Each lasts for as long as P99_REQUESTS take at least."""
    connections, most, some, share = mix
    mean = most * (1 - share) + some * share
    seconds = max(seconds, math.ceil(P99_REQUESTS * mean / min(connections, PROCESSES)))
    paths = (f"/block/{most:g}", f"/block/{some:g}", share)
    runs = [figures(wrk(peer.port, "/", connections, seconds, paths)) for _ in range(RUNS)]
    return {metric: statistics.median(run[metric] for run in runs) for metric in METRICS}


def one_round(peer, seconds):
    with peer:
        start(peer)
        wrk(peer.port, "/bye", BYE, 1)
        found = beside(peer, seconds)
        found.update({name_of(mix): mixed(peer, mix, seconds) for mix in MIXES})
    return found


def ratios(us, them):
    """What this round shows: {claim: figure}."""
    found = {
        "/bye beside requests that block against alone: requests/s": us["beside"]["rps"] / us["alone"]["rps"],
        "/bye beside requests that block against alone: p99": us["beside"]["p99_ms"] / us["alone"]["p99_ms"],
        "/bye beside requests that block against the usual pool: requests/s": us["beside"]["rps"] / them["beside"]["rps"],
    }
    for mix in map(name_of, MIXES):
        for metric in METRICS:
            found[f"{mix}, against the usual pool: {metric}"] = us[mix][metric] / them[mix][metric]
    return found


def wanted(claim):
    """("most" or "least", limit) of a claim."""
    if claim.startswith("/bye"):
        if claim.endswith("p99"):
            return "most", 1.5
        return "least", 1.8 if "usual pool" in claim else 0.9
    return ("least", 0.95) if claim.endswith("rps") else ("most", 1.1)


def blocking(rounds, seconds, progress):
    """Medians of the figures and of the rounds' ratios."""
    taken, found = {}, []
    for number in range(rounds):
        peers = [Ours(), Naive()]
        results = {}
        for peer in peers if number % 2 == 0 else peers[::-1]:
            results[peer.name] = one_round(peer, seconds)
            progress(f"blocking, round {number + 1} of {rounds}: {peer.name}")
        found.append(ratios(*(results[peer.name] for peer in peers)))
        for name, cases in results.items():
            for case, load in cases.items():
                taken.setdefault((case, name), []).append(load)
    return {
        "rows": [
            {"case": case, "peer": name, **{metric: statistics.median(load[metric] for load in loads) for metric in METRICS}}
            for (case, name), loads in taken.items()
        ],
        "ratios": {claim: statistics.median(one[claim] for one in found) for claim in found[0]},
    }
