"""One measurement: wrk against a peer that has shown that it answers right."""

import contextlib
import json
import os
import pathlib
import resource
import socket
import subprocess
import threading
import time

from processes import SanityError, fetch, machine_cpu, wait_for

WRK_SCRIPT = pathlib.Path(__file__).with_name("wrk.lua")
ANSWER = {"msg": "Hello World"}


def check_answer(status, headers, body):
    """What every peer says to GET /."""
    if status != 200:
        raise SanityError(f"status {status} instead of 200")
    if not (headers["Content-Type"] or "").startswith("application/json"):
        raise SanityError(f"Content-Type {headers['Content-Type']} instead of application/json")
    try:
        right = json.loads(body) == ANSWER
    except ValueError:
        right = False
    if not right:
        raise SanityError(f"body {body[:80]!r} instead of {json.dumps(ANSWER)}")


def answer_size(port, path):
    """Bytes of a whole answer on a kept connection, status line to body."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            if not (more := connection.recv(65536)):
                raise SanityError("the answer ends within its headers")
            answer += more
        head = answer.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
        if "content-length: " not in head:
            raise SanityError("no Content-Length")
        return len(head) + 4 + int(head.partition("content-length: ")[2].split()[0])


def start(peer):
    """Start a peer; seconds from before its first process to its first 200."""
    peer.start()

    def first_answer():
        if not peer.processes.alive():
            raise SanityError(f"{peer.name} ended while starting; see {peer.processes.log}")
        try:
            answer = fetch(peer.port, peer.path)
        except OSError:
            return None
        return answer if answer[0] == 200 else None

    try:
        answer = wait_for(first_answer, 30, f"{peer.name}: a first 200")
        seconds = peer.age()
        check_answer(*answer)
    except SanityError as error:
        raise SanityError(f"{peer.name}: {error}") from None
    return seconds


def wrk(port, path, connections, seconds, mix=()):
    """One run of wrk; mix: (fast path, slow path, share of the slow one)."""
    command = ["wrk", "-t2", f"-c{max(connections, 2)}", f"-d{seconds}s", "--latency", "-s", str(WRK_SCRIPT)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{path}", "--", *map(str, mix)], capture_output=True, text=True, timeout=seconds + 30
    )
    if done.returncode != 0:
        raise SanityError(f"wrk: {done.stdout[-500:]}{done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def begin_wrk(port, path, connections):
    """A load that its caller ends, in five minutes at the latest."""
    return subprocess.Popen(
        ["wrk", "-t2", f"-c{connections}", "-d300s", f"http://127.0.0.1:{port}{path}"], stdout=subprocess.DEVNULL
    )


def check_load(peer, load, connections, size, counted):
    """That what wrk took for answers are answers, and were counted."""
    if load["requests"] == 0:
        raise SanityError("no request was answered")
    if load["status"]:
        raise SanityError(f"{load['status']} of {load['requests']} answers were errors")
    expected = load["requests"] * size
    if abs(load["bytes"] - expected) > 0.01 * expected + connections * size:
        raise SanityError(f"{load['requests']} answers are {load['bytes']} bytes instead of {expected}")
    if not peer.counts:
        if (now := peer.counted()) != counted:
            raise SanityError(f"counted {now - counted} requests, and is here to count none")
        return
    try:
        now = wait_for(
            lambda: now if (now := peer.counted()) >= counted + load["requests"] else None, 3, "counting what was sent"
        )
    except SanityError:
        raise SanityError(f"counted {peer.counted() - counted} of {load['requests']} requests") from None
    # Those under way when wrk ended, the warm-up's too, and what asks for the count.
    if now > counted + load["requests"] + 2 * connections + load["timeout"] + 100:
        raise SanityError(f"counted {now - counted} requests, but {load['requests']} were sent")


@contextlib.contextmanager
def without_growing(peer):
    """Meanwhile, forget the access log four times a second: what the disk, and
    memory that was never used before, take for a growing file is not nginx's."""
    done = threading.Event()

    def forget():
        while not done.wait(0.25):
            peer.forget_log()

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def children_cpu():
    """CPU time of the children that have ended: wrk."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(peer, connections, seconds):
    """One run against a peer that has started."""
    try:
        check_answer(*fetch(peer.port, peer.path))
        size = answer_size(peer.port, peer.path)
        counted = peer.counted()
        pids = peer.processes.pids()
        began, others = time.monotonic(), machine_cpu() - children_cpu()
        cpu = peer.processes.cpu_seconds(pids)
        with without_growing(peer):
            load = wrk(peer.port, peer.path, connections, seconds)
        try:
            cpu = peer.processes.cpu_seconds(pids) - cpu
        except OSError:
            raise SanityError("a process ended under load") from None
        others = machine_cpu() - children_cpu() - others - cpu
        others /= (time.monotonic() - began) * os.cpu_count()
        check_load(peer, load, connections, size, counted)
        check_answer(*fetch(peer.port, peer.path))
    except (SanityError, OSError) as error:
        raise SanityError(f"{peer.name} at {connections} connections: {error}") from None
    return {
        "peer": peer.name,
        "connections": connections,
        "rps": load["requests"] / load["seconds"],
        "p50_ms": load["p50_ms"],
        "p99_ms": load["p99_ms"],
        "p999_ms": load["p999_ms"],
        "cpu_us": 1e6 * cpu / load["requests"],
        "pss_mib": peer.processes.pss(pids) / 2**20,
        "others": max(0, others),
        "failures": load["connect"] + load["read"] + load["write"] + load["timeout"],
    }


def turn(peer, connections, seconds):
    """A peer's turn: started, warmed up, measured, ended."""
    with peer:
        first_200 = start(peer)
        wrk(peer.port, peer.path, connections, min(1, seconds))
        return {**measure(peer, connections, seconds), "first_200_ms": 1000 * first_200}
