"""Faults under load, for so many seconds: make chaos SECONDS=60.

Sixteen clients send GETs over kept connections, while every 100 ms something goes wrong: a worker or the master is
killed, a worker is stopped, all are replaced (HUP), a request hangs or crashes its worker, the disk fills up, clients
stall, vanish, or send what nginx refuses by itself. Prints one JSON line. Exits 1 where a GET failed, or the counts of
all requests, nginx's own answers included, are off by more than one a kill, or native and classic histograms differ.
"""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from conftest import requests_of, running, wait_for  # noqa: E402
from protobuf_metrics import NATIVE, PROTOBUF, agreed_counts, decode  # noqa: E402

PATHS = {"/": ("root", 200), "/health": ("health", 200), "/bye": ("bye", 200), "/version": ("version", 200),
         "/nope//": ("other", 404), "/status/204": ("status", 204), "/delay/0.01": ("delay", 200), "/block/0.005": ("block", 200)}
CLIENTS = 16
WORKERS = 4  # of each kind


class Client(threading.Thread):
    """GETs over one kept connection until told to stop."""

    def __init__(self, service, number, stop):
        super().__init__()
        self.service, self.number, self.stop = service, number, stop
        self.answers, self.failures, self.times = collections.Counter(), [], []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=60)
        paths = list(PATHS)
        while not self.stop.is_set():
            self.number += 1
            path = paths[self.number % len(paths)]
            endpoint, expected = PATHS[path]
            began = time.monotonic()
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{path}: {error!r}")
                connection.close()
                continue
            self.times.append(time.monotonic() - began)
            self.answers[(endpoint, "GET", str(answer.status))] += 1
            if answer.status != expected:
                self.failures.append(f"{path}: {answer.status}")
        connection.close()


# What nginx answers without asking the pool, and how that is counted.
REFUSED = [(b"POST /bye HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", ("bye", "POST", "413")),
           (b"TRACE /bye HTTP/1.1\r\nHost: x\r\n\r\n", ("bye", "other", "405")),
           (b"GET //" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", ("other", "GET", "414")),
           (b"GARBAGE\r\n\r\n", ("other", "other", "400"))]


class Faults:
    """What may go wrong; each says how many workers it costs, and which answers it had."""

    def __init__(self, service, dice):
        self.service, self.dice, self.threads = service, dice, []
        self.counts, self.kills, self.answers = collections.Counter(), 0, collections.Counter()

    def worker(self):
        return self.dice.choice(self.service.workers + self.service.blocking_workers or [0])

    def kill(self):
        if pid := self.worker():
            os.kill(pid, signal.SIGKILL)
            self.kills += 1

    def kill_master(self):
        """Its workers die with it."""
        with contextlib.suppress(StopIteration):
            os.kill(self.service.master, signal.SIGKILL)
            self.kills += 2 * WORKERS

    def refused(self):
        for data, key in REFUSED:
            assert self.service.raw(data).split()[1].decode() == key[2]
            self.answers[key] += 1

    def stop(self):
        if pid := self.worker():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.05)
            os.kill(pid, signal.SIGCONT)

    def hup(self):
        os.kill(self.service.supervisor, signal.SIGHUP)

    def _post(self, path):
        def post():
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.answers[(path[1:], "POST", str(self.service.request("POST", path).status))] += 1
        self.threads.append(threading.Thread(target=post))
        self.threads[-1].start()
        self.kills += 1

    def crash(self):
        self._post("/crash")

    def hang(self):
        self._post("/hang")

    def stall(self):
        """A client that sends half a request and waits; another that asks and leaves."""
        with socket.create_connection(("127.0.0.1", self.service.port)) as half, \
                socket.create_connection(("127.0.0.1", self.service.port)) as gone:
            half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            gone.sendall(b"GET /delay/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.answers[("root", "GET", "400")] += 1
        self.answers[("delay", "GET", "499")] += 1

    def fill_disk(self):
        """Where the logs and the counter file are, for 100 ms."""
        filler = self.service.folder / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * 65536)
        time.sleep(0.1)
        filler.unlink()
        time.sleep(1)  # nginx writes no log for the rest of the second in which the disk was full

    def one(self, may_fill):
        faults = [self.kill] * 6 + [self.stop] * 3 + [self.kill_master, self.hup, self.crash, self.stall, self.refused] + [self.fill_disk] * may_fill
        if self.counts["hang"] < 1 + self.kills // 50:
            faults.append(self.hang)
        fault = self.dice.choice(faults)
        with contextlib.suppress(ProcessLookupError):
            fault()
            self.counts[fault.__name__] += 1


@contextlib.contextmanager
def small_disk(folder):
    """A disk of 16 MiB at the folder, where we may mount one."""
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", folder], capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=False)


def main(seconds):
    seed = int(os.environ.get("CHAOS_SEED", time.time()))
    dice = random.Random(seed)
    stop = threading.Event()
    # The access log would fill the small disk for good.
    with running(start=False, WORKERS=WORKERS, FCGI_WEBAPP_BLOCKING_WORKERS=WORKERS, FCGI_WEBAPP_REQUEST_TIMEOUT=1,
                 ACCESS_LOG="/dev/null") as service, small_disk(service.folder) as may_fill:
        service.start()
        before = collections.Counter(service.requests())
        clients = [Client(service, number, stop) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        faults = Faults(service, dice)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            faults.one(may_fill)
            time.sleep(0.1)
        stop.set()
        for thread in [*clients, *faults.threads]:
            thread.join()
        wait_for(lambda: len(service.workers) == len(service.blocking_workers) == WORKERS, 30, "all workers")
        answered = sum((client.answers for client in clients), collections.Counter()) + faults.answers
        # What was asked for and not awaited (/health by the start) is in before; /delay/1 nobody waited for.
        time.sleep(1.5)
        after = collections.Counter(requests_of(service.scrape()))
        natives = agreed_counts(decode(service.get("/metrics", port=service.metrics_port, headers={"Accept": PROTOBUF}).body))
        counted = after - before
        service.kill()
    failures = [failure for client in clients for failure in client.failures]
    times = sorted(seconds for client in clients for seconds in client.times)
    off = sum(abs(counted[key] - answered[key]) for key in answered | counted)
    print(json.dumps({
        "seconds": seconds, "seed": seed, "requests": sum(answered.values()), "failed": len(failures), "kills": faults.kills,
        "faults": dict(faults.counts), "counted": sum(counted.values()), "expected": sum(answered.values()), "off": off,
        "native": natives[NATIVE[0]],
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 1)}))
    for key in sorted(answered | counted):
        if answered[key] != counted[key]:
            print(f"{key}: answered {answered[key]}, counted {counted[key]}", file=sys.stderr)
    for failure in failures[:10]:
        print(failure, file=sys.stderr)
    # Each kill may cost one count, and so may each client that left.
    allowed = faults.kills + faults.counts["stall"]
    return 1 if failures or off > allowed or abs(natives[NATIVE[0]] - sum(after.values())) > allowed else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60))
