"""make run and make watch on a terminal: what ends them, and that nothing is left behind."""

import contextlib
import http.client
import os
import pty
import shutil
import signal
import subprocess
import threading

import pytest

import conftest
from conftest import ROOT, exists, free_ports, name_of, short_folder, stat_of, wait_for
from test_app_metrics import make_tree
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


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return conftest.Answer(connection.getresponse())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


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
    return min(pid for pid in terminal.processes() if name_of(pid) == name[:15])


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


# --- two in one folder -------------------------------------------------------------


def nginx_files(service):
    return {name: (service.run_dir / name).read_text() for name in ("nginx.conf", "security-headers.conf", "nginx.pid")}


def start_again(service, script="run", *arguments):
    return subprocess.run([ROOT / "scripts" / script, *arguments], cwd=service.folder, env=service.environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("own", [(), ("FCGI_WEBAPP_SOCKET", "FCGI_WEBAPP_METRICS_SOCKET", "FCGI_WEBAPP_METRICS_FILE")])
def test_a_second_start_in_the_same_folder_is_refused_and_the_first_goes_on(own_service, own):
    service = own_service(WORKERS=2)
    files = nginx_files(service)
    service.environment.update({name: str(service.folder / name) for name in own})
    second = start_again(service)
    assert second.returncode == 1 and second.stdout == ""
    assert second.stderr == (f"run: a service runs in {service.run_dir}: stop it, or give this one other ports, RUN_DIR= and "
                             "FCGI_WEBAPP_METRICS_FILE=\n")
    assert nginx_files(service) == files and service.get("/bye").status == 200
    assert start_again(service, "nginx", "reload").returncode == 0
    assert service.stop() == 0
    for name in own:
        del service.environment[name]
    service.start()


def test_a_pool_that_outlived_its_script_keeps_its_folder_until_it_ends(own_service):
    service = own_service(WORKERS=2)
    files = nginx_files(service)
    left = service.all_pids()
    supervisor, nginx = service.supervisor, int(files["nginx.pid"])
    try:
        service.process.kill()
        service.process.wait()
        second = start_again(service)
        assert second.returncode == 1 and "another pool holds it" in second.stderr and len(second.stderr.splitlines()) == 1
        assert nginx_files(service) == files and service.get("/bye").status == 200
    finally:
        for pid in (nginx, supervisor):
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not any(exists(pid) for pid in left), 40, "the end of all")
    service.start()


# --- make watch ------------------------------------------------------------------

HANDLER = """
#include "http/router.h"

void
endpoint_wave(const struct request *request, struct response *response)
{
	(void)request;
	response_text(response, 200, "{\\"wave\\": %s}");
}
"""


def test_make_watch_takes_in_what_is_edited_and_ctrl_c_leaves_nothing(tmp_path):
    tree = make_tree(tmp_path / "tree", "", handlers=False)
    folder = short_folder()
    port, metrics_port = free_ports(2)
    handler, routes = tree / "fcgi/app/endpoints/wave.c", tree / "fcgi/app/routes.def"
    command = ["make", "-s", "watch", f"HTTP_PORT={port}", f"METRICS_PORT={metrics_port}", "WORKERS=2", "BUILD=build"]

    def answers(text):
        answer = get(port, "/wave")
        return answer and answer.status == 200 and answer.json == {"wave": text}

    with on_terminal(command, tree, RUN_DIR=str(folder / "run"), FCGI_WEBAPP_METRICS_FILE=str(folder / "counters"), MAKELEVEL="") as watch:
        wait_for(lambda: is_open(port), 300, watch.text)
        assert get(port, "/wave").status == 404
        handler.write_text(HANDLER % "1")
        with routes.open("a") as table:
            table.write('ROUTE(wave, "/wave", GET, 0)\n')
        wait_for(lambda: answers(1), 300, watch.text)
        handler.write_text(HANDLER % "nonsense" + "nonsense")
        wait_for(lambda: "cannot build" in watch.text(), 300, watch.text)
        assert "wave.c" in watch.text() and "error" in watch.text()
        assert answers(1)
        handler.write_text(HANDLER % "2")
        wait_for(lambda: answers(2), 300, watch.text)
        template = tree / "nginx/nginx.conf.template"
        template.write_text(template.read_text().replace("Retry-After 1 always", "Retry-After 1 sometimes"))
        wait_for(lambda: "[emerg]" in watch.text(), 30, watch.text)
        assert answers(2)
        shutil.copy(ROOT / "nginx/nginx.conf.template", template)
        headers = tree / "nginx/security-headers.conf"
        headers.write_text(headers.read_text().replace("X-Request-ID", "X-Edited-ID"))
        wait_for(lambda: "X-Edited-ID" in getattr(get(port, "/bye"), "headers", ()), 30, watch.text)
        snippet = tree / "nginx/conf.d/edited.conf"
        for status, edit in ((204, lambda: snippet.write_text("location = /edited { return 204; }\n")), (404, snippet.unlink)):
            edit()
            wait_for(lambda: getattr(get(port, "/edited"), "status", None) == status, 30, watch.text)
        left = watch.processes()
        watch.press_ctrl_c()
        assert watch.wait() == 0, watch.text()
        wait_for(lambda: not any(exists(pid) for pid in left), what="the end of all")
    assert not list((folder / "run").glob("*.sock"))
    shutil.rmtree(folder)
