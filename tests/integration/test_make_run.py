"""make run on a terminal: what ends them, and that nothing is left behind."""

import contextlib
import os
import pty
import shutil
import signal
import threading

import pytest

from conftest import ROOT, exists, free_ports, name_of, short_folder, stat_of, wait_for
from test_start import descendants, is_open, read_all


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, command, folder, environment):
        self.output = []
        self.seen = set()  # its processes, also those whose parent is gone
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        threading.Thread(target=read_all, args=(self.terminal, self.output), daemon=True).start()

    def text(self):
        return b"".join(self.output).decode(errors="replace")

    def press_ctrl_c(self):
        os.write(self.terminal, b"\x03")

    def wait(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def processes(self):
        self.seen.update(descendants(self.pid))
        return sorted(self.seen)

    def kill(self):
        for pid in [self.pid, *self.processes()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def on_terminal(command, folder, **environment):
    terminal = Terminal(command, folder, {**os.environ, **environment})
    try:
        yield terminal
    finally:
        terminal.kill()


@contextlib.contextmanager
def make_run(wrap=lambda command: command):
    """make run on a terminal; yields the terminal once it serves. `wrap` makes another command of it."""
    folder = short_folder()
    port, metrics_port = free_ports(2)
    command = ["make", "-s", "run", f"HTTP_PORT={port}", f"METRICS_PORT={metrics_port}", "WORKERS=2", "BUILD=build"]
    with on_terminal(wrap(command), ROOT, RUN_DIR=str(folder / "run"), FCGI_WEBAPP_METRICS_FILE=str(folder / "counters"),
                     MAKELEVEL="") as terminal:
        wait_for(lambda: is_open(port) and is_open(metrics_port), 60, terminal.text)
        yield terminal
        assert not list((folder / "run").glob("*.sock"))
    shutil.rmtree(folder)


def find(terminal, name):
    """The oldest process of this name below the terminal's."""
    return min(pid for pid in terminal.processes() if name_of(pid) == name)


@pytest.mark.parametrize("name, number", [("make", signal.SIGTERM), *(
    (name, number) for name in ("run", "nginx", "fcgi-webapp") for number in (signal.SIGTERM, signal.SIGINT))])
def test_whatever_of_it_is_ended_all_of_it_ends(name, number):
    # The end of a terminal's first process would end the others, so that is a shell, which stays.
    with make_run(lambda command: ["bash", "-c", "set -m; " + " ".join(command) + "; read"]) as terminal:
        left = terminal.processes()
        os.kill(find(terminal, name), number)
        wait_for(lambda: not any(exists(pid) for pid in left), 40, terminal.text)
        assert exists(terminal.pid)


def test_make_run_in_the_background_of_a_terminal_serves_and_ends():
    """A shell with jobs starts it; it is not in front, so it may not ask for Ctrl-C."""
    def in_background(command):
        return ["bash", "-c", "set -m; " + " ".join(command) + " & wait"]

    with make_run(in_background) as terminal:
        make = find(terminal, "make")
        left = terminal.processes()
        assert "T" not in {stat_of(pid)[0] for pid in left}
        os.kill(make, signal.SIGTERM)
        wait_for(lambda: not any(exists(pid) for pid in left), 40, terminal.text)
