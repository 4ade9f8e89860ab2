"""A peer's processes: started on this machine, measured from outside, ended by
their pids."""

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class SanityError(Exception):
    """A peer does not do what its figures would be taken for."""


def free_ports(count):
    """Ports that nobody listens on, no two alike: each is held until the last is found."""
    with contextlib.ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def wait_for(condition, seconds, what):
    """The condition's value as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise SanityError(f"{what}: not within {seconds} s")
        time.sleep(0.001)
    return value


def fetch(port, path="/", headers=None):
    """(status, headers, body) of one GET on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def cpu_clock(pid):
    """What /proc/PID/stat says in ticks, in seconds of a clock that counts ns:
    the CPU time of all of the process's threads (clock_getcpuclockid(3))."""
    return time.clock_gettime(~pid * 8 | 2)


def machine_cpu():
    """CPU time of all that runs on this machine, in seconds."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq = [int(ticks) for ticks in stat.readline().split()[1:8]]
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def pss(pid):
    """Bytes, with what is shared divided by those who share it."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def parents():
    """{pid: its parent's pid} of all processes there are."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    found[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                pass  # it has ended
    return found


class Processes:
    """Some commands that run side by side, and what they forked. A command runs in
    its cgroup (tests/cgroups.py), in that of all others, or in none."""

    def __init__(self, log):
        self.log = log
        self.roots = []
        self.cgroup = None

    def start(self, *command, cgroup=None, **environment):
        cgroup = cgroup or self.cgroup

        def before_exec():
            # Whatever becomes of this program, nothing is left behind.
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if cgroup:
                cgroup.enter()

        with open(self.log, "ab") as log:
            self.roots.append(
                subprocess.Popen(
                    [str(word) for word in command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **environment},
                    preexec_fn=before_exec,
                )
            )
        return self.roots[-1]

    def alive(self):
        return all(root.poll() is None for root in self.roots)

    def pids(self, *roots):
        """These roots, or all of them, and their descendants."""
        wanted = {root.pid for root in roots or self.roots if root.poll() is None}
        of = parents()
        while more := {pid for pid, parent in of.items() if parent in wanted} - wanted:
            wanted |= more
        return sorted(wanted)

    def cpu_seconds(self, pids=None):
        return sum(cpu_clock(pid) for pid in pids or self.pids())

    def pss(self, pids=None):
        return sum(pss(pid) for pid in pids or self.pids())

    def stop(self):
        pids = self.pids()
        for root in self.roots:
            root.terminate()
        for root in self.roots:
            try:
                root.wait(timeout=10)
            except subprocess.TimeoutExpired:
                root.kill()
                root.wait()
        # Children that outlived their parent are still the same processes, for
        # pids are given again only after all the others.
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.roots = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()
