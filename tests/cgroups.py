"""A cgroup with limits for a test, on v2 or v1, whichever this machine lets us make."""

import contextlib
import itertools
import os
import pathlib

NUMBER = itertools.count()
ROOT = pathlib.Path("/sys/fs/cgroup")
PERIOD = 100000


class Unavailable(Exception):
    """No cgroup can be made here; says why."""


class Cgroup:
    """cpu in cores, memory in bytes; None: not limited."""

    def __init__(self, cpu=None, memory=None):
        self.cpu, self.memory = cpu, memory
        name = f"fcgi-webapp-{os.getpid()}-{next(NUMBER)}"
        self.is_v2 = "cpu" in self._read(ROOT / "cgroup.controllers").split()
        bases = [ROOT] if self.is_v2 else [ROOT / controller for controller in ("cpu", "cpuacct", "memory")]
        if not self.is_v2 and (ROOT / "unified" / "cgroup.procs").exists():
            bases.append(ROOT / "unified")  # v2 beside v1, which has the pressure
        self.folders = list(dict.fromkeys((base / name).resolve() for base in bases))

    @staticmethod
    def _read(path):
        with contextlib.suppress(OSError):
            return path.read_text()
        return ""

    def __enter__(self):
        try:
            if self.is_v2:
                (ROOT / "cgroup.subtree_control").write_text("+cpu +memory")
            for folder in self.folders:
                folder.mkdir()
            self._limit()
        except OSError as error:
            self.__exit__()
            raise Unavailable(f"cannot make a cgroup here ({error}): run as root, where cgroups may be written") from error
        return self

    def _limit(self):
        quota = None if self.cpu is None else int(self.cpu * PERIOD)
        for folder in self.folders:
            if self.is_v2 and quota:
                (folder / "cpu.max").write_text(f"{quota} {PERIOD}")
            if self.is_v2 and self.memory:
                (folder / "memory.max").write_text(str(self.memory))
                with contextlib.suppress(OSError):
                    (folder / "memory.swap.max").write_text("0")
            if not self.is_v2 and quota and (folder / "cpu.cfs_quota_us").exists():
                (folder / "cpu.cfs_quota_us").write_text(str(quota))
            if not self.is_v2 and self.memory and (folder / "memory.limit_in_bytes").exists():
                (folder / "memory.limit_in_bytes").write_text(str(self.memory))

    def __exit__(self, *_):
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def enter(self):
        """To be called in a child before exec: join, with all that comes of it."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def _find(self, file):
        return next(folder / file for folder in self.folders if (folder / file).exists())

    def _field(self, file, name):
        lines = dict(line.split() for line in self._find(file).read_text().splitlines())
        return int(lines[name])

    @property
    def usage(self):
        """CPU seconds used."""
        if self.is_v2:
            return self._field("cpu.stat", "usage_usec") / 1e6
        return int(self._find("cpuacct.usage").read_text()) / 1e9

    @property
    def throttled(self):
        """Seconds for which run queues were throttled."""
        return self._field("cpu.stat", "throttled_usec") / 1e6 if self.is_v2 else self._field("cpu.stat", "throttled_time") / 1e9

    @property
    def waiting(self):
        """Seconds in which a process waited for a CPU; None where the kernel does not tell."""
        for line in "".join(self._read(folder / "cpu.pressure") for folder in self.folders).splitlines():
            if line.startswith("some "):
                return int(line.rsplit("=", 1)[1]) / 1e6
        return None

    @property
    def working_set(self):
        used = int(self._find("memory.current" if self.is_v2 else "memory.usage_in_bytes").read_text())
        return used - self._field("memory.stat", "inactive_file" if self.is_v2 else "total_inactive_file")

    @property
    def pids(self):
        return [int(pid) for pid in self._find("cgroup.procs").read_text().split()]
