"""The helper scripts, with a stand-in for kubectl and other tools that records its calls."""

import contextlib
import os
import signal
import subprocess
import time

import pytest
from cluster import ROOT

ADDRESS = "https://hooks.example/T/B/secret"


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Puts the stand-ins on the PATH; returns a function that reads the calls so far."""
    log = tmp_path / "calls"
    log.touch()
    # port-forward stays, as the real one does, but for the service named in the file `lose`, which is lost once and then fails
    # once; everything else answers and goes, unless FAIL or HANG name it.
    stub = f"""#!/bin/sh
echo "$(basename "$0") $*" >>{log}
if [ -n "$FAIL" ] && echo "$*" | grep -qE "$FAIL"; then exit 1; fi
if [ -n "$HANG" ] && echo "$*" | grep -qE "$HANG"; then exec sleep 60; fi
case "$*" in
*port-forward*prometheus*)
    if [ -e {tmp_path}/lose ]; then mv {tmp_path}/lose {tmp_path}/lost; echo "lost connection to pod" >&2; exit 0; fi
    if [ -e {tmp_path}/lost ]; then rm {tmp_path}/lost; echo "error: no pod" >&2; exit 1; fi
    exec sleep 60 ;;
*port-forward*) exec sleep 60 ;;
*current-context*) echo "$CONTEXT" ;;
*"profile list"*) for profile in $PROFILES; do printf '{{"Name":"%s","Status":"OK"}}' "$profile"; done ;;
*save*build/image.tar*) echo image >build/image.tar ;;
*create*) cat >{tmp_path}/stdin ;;
*info*) [ "$(basename "$0")" = podman ] ;;
esac
"""
    folder = tmp_path / "bin"
    folder.mkdir()
    for command in ("kubectl", "kind", "minikube", "docker", "podman"):
        (folder / command).write_text(stub)
        (folder / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return lambda: log.read_text().splitlines()


def run(script, *arguments, **options):
    return subprocess.run([ROOT / "scripts" / script, *arguments], capture_output=True, text=True, check=False, timeout=30, **options)


def wait_for(condition, process=None, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline and (process is None or process.poll() is None)
        time.sleep(0.02)


def group_lives(leader):
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_slack_address_goes_through_a_pipe_and_never_onto_a_command_line(calls, tmp_path):
    result = run("slack-secret", input=ADDRESS + "\n")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "stdin").read_text() == ADDRESS
    assert any("create secret generic alertmanager-slack" in c for c in calls())
    assert ADDRESS not in "".join(calls()) + result.stdout + result.stderr


def test_the_slack_address_may_come_from_a_file_without_a_last_newline(calls, tmp_path):
    (tmp_path / "url").write_text(ADDRESS)
    assert run("slack-secret", tmp_path / "url").returncode == 0
    assert (tmp_path / "stdin").read_text() == ADDRESS


def test_an_invalid_slack_address_is_refused_before_kubectl_is_called(calls):
    result = run("slack-secret", input="xoxb-something\n")
    assert result.returncode == 2
    assert "https://" in result.stderr
    assert calls() == []


@contextlib.contextmanager
def started(script):
    """A script as a terminal starts it, which leaves nothing behind whatever becomes of the test."""
    process = subprocess.Popen([ROOT / "scripts" / script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
    try:
        yield process
        wait_for(lambda: not group_lives(process.pid))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()


def of_port(calls, port):
    return sum(call.endswith(f" {port}") for call in calls())


@pytest.mark.parametrize("ctrl_c", [True, False], ids=["Ctrl-C", "TERM"])
def test_port_forward_names_the_four_pages_and_leaves_nothing_behind(calls, ctrl_c):
    with started("port-forward") as process:
        wait_for(lambda: len(calls()) == 4, process)
        if ctrl_c:  # reaches kubectl, too
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.terminate()
        output = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    for port in (8081, 9090, 9093, 3000):
        assert output.count(f"http://localhost:{port}") == of_port(calls, port) == 1


def test_port_forward_starts_a_forward_that_ended_again_and_says_so(calls, tmp_path):
    # Prometheus' first forward ends, as all do when their pod is replaced; the second fails, since there is no pod yet.
    (tmp_path / "lose").touch()
    with started("port-forward") as process:
        wait_for(lambda: of_port(calls, 9090) == 3, process)
        process.terminate()
        output = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    again = [line for line in output.splitlines() if "again" in line]
    assert len(again) == 2 and all("Prometheus: http://localhost:9090" in line for line in again), output
    assert [of_port(calls, port) for port in (8081, 9090, 9093, 3000)] == [1, 3, 1, 1]


@pytest.fixture
def archive():
    """Where load-image puts what it saves, empty before and looked at after."""
    path = ROOT / "build/image.tar"
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("context", "profiles", "wanted"),
    [
        ("kind-dev", "", "kind load image-archive build/image.tar --name dev"),
        ("minikube", "minikube", "minikube -p minikube image load build/image.tar"),
        ("dev", "minikube dev", "minikube -p dev image load build/image.tar"),
    ],
)
def test_the_image_of_the_manifests_is_loaded_into_the_cluster_of_the_context(calls, monkeypatch, archive, context, profiles, wanted):
    monkeypatch.setenv("CONTEXT", context)
    monkeypatch.setenv("PROFILES", profiles)
    result = run("load-image")
    assert result.returncode == 0, result.stderr
    assert wanted in calls()
    assert any(c.startswith("podman save") and "fcgi-webapp/fcgi-webapp:" in c for c in calls())
    assert not archive.exists()


@pytest.mark.parametrize("profiles", ["", "minikube", "production-eu"])
def test_a_cluster_of_another_kind_gets_no_image_and_its_owner_is_told_what_to_do(calls, monkeypatch, archive, profiles):
    monkeypatch.setenv("CONTEXT", "production")
    monkeypatch.setenv("PROFILES", profiles)
    result = run("load-image")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1 and "production" in result.stderr and "push" in result.stderr
    assert not any("save" in c or "load" in c for c in calls())
    assert not archive.exists()


@pytest.mark.parametrize("context", ["kind-dev", "minikube"])
def test_the_archive_of_an_image_that_could_not_be_loaded_does_not_stay(calls, monkeypatch, archive, context):
    monkeypatch.setenv("CONTEXT", context)
    monkeypatch.setenv("PROFILES", "minikube")
    monkeypatch.setenv("FAIL", "image load|image-archive")
    assert run("load-image").returncode != 0
    assert any("load" in c for c in calls())
    assert not archive.exists()


def test_the_archive_does_not_stay_when_load_image_is_interrupted(calls, monkeypatch, archive):
    monkeypatch.setenv("CONTEXT", "kind-dev")
    monkeypatch.setenv("HANG", "image-archive")
    with started("load-image") as process:
        wait_for(lambda: any("image-archive" in c for c in calls()), process)
        assert archive.exists()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 130
    assert not archive.exists()
