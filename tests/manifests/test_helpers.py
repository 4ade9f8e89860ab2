"""The helper scripts, with a stand-in for kubectl and the others that writes down how it was called."""

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
    # port-forward stays, as the real one does; everything else answers and goes.
    stub = f"""#!/bin/sh
echo "$(basename "$0") $*" >>{log}
case "$*" in
*port-forward*) exec sleep 60 ;;
*current-context*) echo "$CONTEXT" ;;
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


def test_what_is_no_address_is_refused_before_kubectl_is_called(calls):
    result = run("slack-secret", input="xoxb-something\n")
    assert result.returncode == 2
    assert "https://" in result.stderr
    assert calls() == []


def test_port_forward_names_the_four_pages_and_leaves_nothing_behind(calls):
    with subprocess.Popen([ROOT / "scripts/port-forward"], stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        deadline = time.monotonic() + 20
        while len(calls()) < 4:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGTERM)
        output = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    while group_lives(process.pid):
        assert time.monotonic() < deadline, "a kubectl was left behind"
        time.sleep(0.02)
    for port in (8081, 9090, 9093, 3000):
        assert f"http://localhost:{port}" in output
        assert sum(call.endswith(f" {port}") for call in calls()) == 1


@pytest.mark.parametrize(
    ("context", "wanted"),
    [("kind-dev", "kind load image-archive build/image.tar --name dev"), ("minikube", "minikube -p minikube image load build/image.tar")],
)
def test_the_image_of_the_manifests_is_loaded_into_the_cluster_of_the_context(calls, monkeypatch, context, wanted):
    monkeypatch.setenv("CONTEXT", context)
    result = run("load-image")
    assert result.returncode == 0, result.stderr
    assert wanted in calls()
    assert any(c.startswith("podman save") and "fcgi-webapp/fcgi-webapp:" in c for c in calls())
