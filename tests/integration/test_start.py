"""How it starts and ends, and what it says when it cannot."""

import contextlib
import os
import pathlib
import pty
import shutil
import signal
import socket
import subprocess
import time
import threading

import pytest

from conftest import PROGRAM, ROOT, children, exists, free_ports, name_of, run_program, short_folder, wait_for


@pytest.fixture
def folder():
    path = short_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def places(folder):
    return ["--socket", f"{folder}/a.sock", "--metrics-socket", f"{folder}/m.sock", "--metrics-file", f"{folder}/counters"]


def refused(*arguments, **options):
    """Run `serve` where it must not start; returns its one line."""
    run = run_program("serve", "--log-format", "text", *arguments, **options)
    assert run.returncode == 1, run.stderr
    assert run.stdout == ""
    lines = run.stderr.splitlines()
    assert len(lines) == 1, run.stderr
    return lines[0]


@pytest.mark.parametrize("arguments, says", [
    (["serve", "--nonsense"], "unknown option '--nonsense'"),
    (["serve", "--workers"], "--workers needs a value"),
    (["serve", "--workers", "many"], "--workers takes a whole number from 0 to 256, not 'many'"),
    (["serve", "--workers", "-1"], "--workers takes"),
    (["serve", "--workers", "1.5"], "--workers takes"),
    (["serve", "--request-timeout", "0"], "--request-timeout takes a number from 0.1 to 3600"),
    (["serve", "--request-timeout", "nan"], "--request-timeout takes"),
    (["serve", "--log-level", "loud"], "--log-level takes debug, info, warning or error, not 'loud'"),
    (["serve", "--socket", ""], "--socket takes a value that is not empty"),
    (["serve", "extra"], "'extra' is not an option"),
    (["metrics", "--format", "xml"], "--format takes text (0.0.4), openmetrics (1.0) or protobuf, not 'xml'"),
    (["dance"], "'dance' is not a command; it takes serve, metrics, load, "),
])
def test_a_bad_option_is_one_line_and_exit_2(arguments, says):
    run = run_program(*arguments)
    assert run.returncode == 2
    assert says in run.stderr
    assert len(run.stderr.splitlines()) == 1 and run.stdout == ""


def test_a_bad_environment_variable_is_named():
    run = run_program("serve", environment={"FCGI_WEBAPP_WORKERS": "lots"})
    assert run.returncode == 2
    assert "FCGI_WEBAPP_WORKERS takes a whole number" in run.stderr


@pytest.mark.parametrize("command", [[], ["serve"], ["metrics"], ["load"]])
def test_help_fits_the_width_of_a_terminal_and_shows_an_example(command):
    run = run_program(*command, "--help")
    assert run.returncode == 0 and run.stderr == ""
    assert "Example" in run.stdout
    assert max(map(len, run.stdout.splitlines())) <= 80


def test_version_is_printed():
    run = run_program("--version")
    assert run.returncode == 0
    assert run.stdout.startswith("fcgi-webapp ")


def test_without_a_command_it_prints_the_help_and_exits_2():
    run = run_program()
    assert run.returncode == 2
    assert "Usage" in run.stdout


def test_a_missing_directory_is_named(folder):
    assert f"cannot open the counter file {folder}/none/counters: no such file or directory" in refused(
        *places(folder)[:4], "--metrics-file", f"{folder}/none/counters")
    assert f"cannot listen on {folder}/none/a.sock: its directory does not exist" in refused(
        *places(folder), "--socket", f"{folder}/none/a.sock")
    assert sorted(p.name for p in folder.iterdir()) == ["counters"]


def test_a_path_that_is_too_long_for_a_socket_is_named(folder):
    assert "at most 107 bytes" in refused(*places(folder), "--socket", f"{folder}/{'x' * 108}")


def test_a_file_that_is_no_socket_is_not_replaced(folder):
    (folder / "a.sock").write_text("precious")
    assert "not a socket" in refused(*places(folder))
    assert (folder / "a.sock").read_text() == "precious"


def test_a_counter_file_that_another_pool_holds_is_refused(own_service):
    service = own_service(WORKERS=2)
    line = refused("--socket", f"{service.folder}/b.sock", "--metrics-socket", f"{service.folder}/n.sock",
                   "--metrics-file", str(service.counters))
    assert str(service.counters) in line and "another pool holds it" in line
    assert not (service.folder / "b.sock").exists()
    assert service.get("/health").status == 200


def test_a_socket_that_a_live_pool_serves_is_refused(own_service):
    service = own_service(WORKERS=2)
    line = refused("--socket", f"{service.run_dir}/app.sock", "--metrics-socket", f"{service.folder}/n.sock",
                   "--metrics-file", f"{service.folder}/other")
    assert "another process listens there" in line
    assert service.get("/health").status == 200


def test_a_stale_socket_is_replaced(own_service):
    service = own_service(start=False, WORKERS=2)
    service.run_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(service.run_dir / "app.sock"))
    service.start()
    assert service.get("/health").status == 200


def test_a_port_in_use_ends_all_with_what_to_do(own_service):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        service = own_service(start=False, WORKERS=2, HTTP_PORT=taken.getsockname()[1])
        with service.log.open("ab") as log:
            service.process = subprocess.Popen([ROOT / "scripts" / "run"], cwd=service.folder, env=service.environment,
                                               stdout=log, stderr=log)
        assert service.process.wait(30) == 1
    assert "HTTP_PORT=" in service.log.read_text()
    assert not list(service.run_dir.glob("*.sock"))


def test_nginx_missing_is_said(folder):
    tools = folder / "bin"
    tools.mkdir()
    for tool in ("dirname", "mkdir", "bash"):
        (tools / tool).symlink_to(shutil.which(tool))
    # An empty /usr/sbin on the PATH is not to be had, so the script is told another.
    script = (ROOT / "scripts" / "run").read_text().replace("PATH=$PATH:/usr/sbin:/sbin", f"PATH={tools}")
    (folder / "run").write_text(script)
    run = subprocess.run(["bash", folder / "run"], cwd=folder, env={"PATH": str(tools), "PROGRAM": str(PROGRAM)},
                         capture_output=True, text=True, timeout=30)
    assert run.returncode == 1
    assert "nginx is not installed" in run.stderr and len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_process_and_no_socket_and_exit_0(own_service, number):
    service = own_service(WORKERS=2)
    pids = service.all_pids()
    assert len(pids) >= 6
    if number == signal.SIGINT:  # as Ctrl-C does: to the whole process group
        os.killpg(service.process.pid, number)
    else:
        service.process.send_signal(number)
    assert service.process.wait(40) == 0
    wait_for(lambda: not any(exists(pid) for pid in pids), what="the end of all processes")
    assert not list(service.run_dir.glob("*.sock")) and not list(service.run_dir.glob("*.pid"))
    assert service.counters.exists()


@pytest.mark.parametrize("steps", range(8))
def test_a_signal_while_it_starts_ends_it_too(own_service, steps):
    service = own_service(start=False, WORKERS=2)
    with service.log.open("ab") as log:
        service.process = subprocess.Popen([ROOT / "scripts" / "run"], cwd=service.folder, env=service.environment,
                                           stdout=log, stderr=log)
    wait_for(lambda: (service.run_dir / "metrics.sock").exists() or steps == 0)
    time.sleep(0.02 * steps)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(20) in (0, -signal.SIGTERM)
    assert not list(service.run_dir.glob("*.sock"))


@pytest.mark.parametrize("name, argument", [("mkdir", "-p"), ("program", "serve")])
def test_a_reload_while_it_starts_is_done_once_it_has_started(own_service, folder, name, argument):
    """mkdir is what scripts/run calls before the pool, which is the program's `serve`: each sends USR1 to its parent, once."""
    command = PROGRAM.resolve() if name == "program" else shutil.which(name)
    (folder / name).write_text(f"""#!/bin/sh
if [ "$1" = "{argument}" ] && [ ! -e {folder}/sent ]; then
	: >{folder}/sent
	kill -USR1 "$PPID"
fi
exec {command} "$@"
""")
    (folder / name).chmod(0o755)
    more = {"PROGRAM": folder / name} if name == "program" else {}
    service = own_service(WORKERS=2, PATH=f"{folder}:{os.environ['PATH']}", **more)
    assert (folder / "sent").exists()
    wait_for(lambda: "all workers replaced" in service.log.read_text(), what=service.log.read_text)
    assert service.get("/bye").status == 200


def test_every_option_is_an_environment_variable_too(own_service):
    service = own_service(FCGI_WEBAPP_WORKERS=3, FCGI_WEBAPP_EXERCISE="false")
    assert len(service.workers) == 3
    for method, path in (("GET", "/status/200"), ("GET", "/delay/0"), ("POST", "/crash"), ("POST", "/hang"), ("GET", "/riseload")):
        assert service.request(method, path).status == 404


def test_the_program_has_a_libfcgi_of_its_own(service):
    """In a shared one, what the program does in its place counts for nothing where it was linked with -Bsymbolic-functions."""
    assert "libfcgi.so" not in pathlib.Path(f"/proc/{service.workers[0]}/maps").read_text()


def test_make_run_takes_ports_and_workers(folder):
    port, metrics_port = free_ports(2)
    run = subprocess.Popen(["make", "-s", "run", f"HTTP_PORT={port}", f"METRICS_PORT={metrics_port}", "WORKERS=3",
                            "BUILD=build"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env={**os.environ, "RUN_DIR": str(folder),
                                "FCGI_WEBAPP_METRICS_FILE": str(folder / "counters")}, start_new_session=True)
    try:
        def answers():
            assert run.poll() is None, run.stdout.read()
            return is_open(port) and is_open(metrics_port)
        wait_for(answers, 60)
        left = descendants(run.pid)
        assert [name_of(pid) for pid in left].count("worker") == 3
        run.terminate()
        wait_for(lambda: not any(exists(pid) for pid in left), 40, "the end of all when make is ended")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGINT)
    run.wait(40)


def test_ctrl_c_on_a_terminal_ends_make_run_with_exit_0(folder):
    port, metrics_port = free_ports(2)
    environment = {**os.environ, "RUN_DIR": str(folder / "run"),
                   "FCGI_WEBAPP_METRICS_FILE": str(folder / "counters")}
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execvpe("make", ["make", "-s", "run", f"HTTP_PORT={port}", f"METRICS_PORT={metrics_port}", "BUILD=build"], environment)
    output = []
    reader = threading.Thread(target=lambda: read_all(terminal, output), daemon=True)
    reader.start()

    wait_for(lambda: is_open(port), 60, lambda: b"".join(output).decode())
    left = descendants(pid)
    os.write(terminal, b"\x03")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, b"".join(output).decode()
    wait_for(lambda: not any(exists(child) for child in left), what="the end of all")
    assert not list((folder / "run").glob("*.sock"))


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def read_all(terminal, output):
    with contextlib.suppress(OSError):
        while chunk := os.read(terminal, 4096):
            output.append(chunk)


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found
