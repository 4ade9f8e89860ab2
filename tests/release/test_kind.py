"""scripts/release-kind with a kubectl that answers as a cluster would: that it
asks the right things, and that it can fail."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

KUBECTL = """#!/bin/sh
echo "kubectl $*" >> "$CALLS"
case $* in
*"$FAILS"*) exit 1 ;;
*port-forward*|*stress*) exec sleep 60 ;;
*promtool*">= 7 + 10"*) echo '{} => 17 @[1.5]' ;;
*promtool*http_requests_total*) echo '{} => 7 @[1.5]' ;;
*promtool*ALERTS*) echo 'ALERTS{alertname="ContainerCPUOverLimit"} => 1 @[1.5]' ;;
*"get pods -o name"*) echo pod/app-1 ;;
esac
"""


@pytest.fixture
def kind(tmp_path):
    calls = tmp_path / "calls"
    calls.write_text("")
    for name, script in (
        ("kubectl", KUBECTL),
        ("curl", '#!/bin/sh\necho "curl $*" >> "$CALLS"\n'),
    ):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)

    def run(fails="nothing fails"):
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls), "FAILS": fails}
        done = subprocess.run(
            [ROOT / "scripts/release-kind"],
            env=os.environ | environment, capture_output=True, text=True, timeout=30, check=False,
        )
        return done, calls.read_text()

    return run


def test_it_goes_from_an_empty_cluster_to_an_alert(kind):
    done, calls = kind()
    assert done.returncode == 0, done.stderr
    told = [line.partition(": ")[2] for line in done.stdout.splitlines()]
    assert told == ["applied, twice", "Ready", "ten requests are counted in Prometheus", "ContainerCPUOverLimit fires"]
    assert calls.count("kubectl apply -f k8s\n") == 2
    assert calls.count("/bye") == 10
    assert "stress --cpu 1.5" in calls


@pytest.mark.parametrize("fails", ["apply", "wait deployment"])
def test_a_failure_is_reported_with_what_the_cluster_says(kind, fails):
    done, calls = kind(fails)
    assert done.returncode != 0
    assert "logs pod/app-1" in calls
