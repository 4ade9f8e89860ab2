"""Where the CPU time of a request goes: user and kernel time from /proc, and system
calls from strace in a run of its own, since tracing slows the processes down."""

import os
import re
import shutil
import signal
import statistics
import subprocess

from load import start, wrk
from peers import FcgiWebapp, FixedAnswer, NginxBare, NginxReturn
from processes import SanityError, wait_for

CONNECTIONS = 64
PEERS = (FcgiWebapp, FixedAnswer, NginxReturn, NginxBare)
TICK = 1e6 / os.sysconf("SC_CLK_TCK")  # in microseconds


def parts_of(peer):
    """{name: pids} of nginx and of the pool. nginx was started last."""
    nginx = peer.processes.pids(peer.processes.roots[-1])
    pool = sorted(set(peer.processes.pids()) - set(nginx))
    return {"nginx": nginx, **({"pool": pool} if pool else {})}


def times(pids):
    """(user, kernel) microseconds."""
    user = kernel = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        user, kernel = user + int(fields[11]), kernel + int(fields[12])
    return TICK * user, TICK * kernel


def load(peer, seconds):
    """The requests that wrk had answered."""
    done = wrk(peer.port, peer.path, CONNECTIONS, seconds)
    if done["status"] or done["requests"] < 100:
        raise SanityError(f"{peer.name}: {done['requests']} requests, {done['status']} errors")
    return done["requests"]


def calls_of(text):
    """{system call: count} of what strace -c prints."""
    lines = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", text, re.MULTILINE)
    return {name: int(count) for count, name in lines if name != "total"}


def attached(pids):
    """Whether a tracer has all of them."""
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            if re.search(r"^TracerPid:\s+0$", status.read(), re.MULTILINE):
                return False
    return True


def traced(peer, parts, seconds):
    """{part: {system call: calls a request}}, or why there is none."""
    if not shutil.which("strace"):
        return "strace is not installed"
    tracers = {}
    for name, pids in parts.items():
        command = ["strace", "-f", "-c", "-o", peer.directory / f"strace-{name}", *(f"-p{pid}" for pid in pids)]
        tracers[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for name, tracer in tracers.items():
            wait_for(lambda: tracer.poll() is not None or attached(parts[name]), 10, "strace")
            if tracer.poll() is not None:
                return "strace may not trace here: run as root"
        requests = load(peer, seconds)
    finally:
        for tracer in tracers.values():
            tracer.send_signal(signal.SIGINT)
            tracer.wait(timeout=30)
    found = {name: calls_of((peer.directory / f"strace-{name}").read_text()) for name in parts}
    return {name: {call: count / requests for call, count in calls.items()} for name, calls in found.items()}


def one_round(peer, seconds):
    """({part: (user, kernel) µs a request}, {part: {call: calls a request}} or why not)."""
    with peer:
        start(peer)
        load(peer, 1)
        parts = parts_of(peer)
        before = {name: times(pids) for name, pids in parts.items()}
        requests = load(peer, seconds)
        spent = {name: [(now - then) / requests for now, then in zip(times(parts[name]), before[name])] for name in parts}
        return spent, traced(peer, parts, 1)


def costs(rounds, seconds, progress, skip):
    """Rows: peer, part, user_us, kernel_us, calls: {system call: calls a request}."""
    rows = []
    for kind in PEERS:
        kind.unavailable()
        taken = [one_round(kind(), seconds) for _ in range(rounds)]
        calls = taken[-1][1]
        if isinstance(calls, str):
            skip(f"system calls of {kind.name}", calls)
        for part in taken[0][0]:
            row = {"peer": kind.name, "part": part}
            for number, what in enumerate(("user_us", "kernel_us")):
                row[what] = statistics.median(spent[part][number] for spent, _ in taken)
            if not isinstance(calls, str):
                by_count = sorted(calls[part].items(), key=lambda item: -item[1])
                row["calls"] = {name: count for name, count in by_count if count > 0.005}
            rows.append(row)
        progress(f"costs: {kind.name}")
    return rows
