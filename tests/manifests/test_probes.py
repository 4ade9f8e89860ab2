"""The probes of each container of the service, and their effects."""

import pytest
from cluster import pod

SERVICE = pod("fcgi-webapp")
CONTAINERS = {c["name"]: c for c in SERVICE.containers}
POOL = CONTAINERS["app"]


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe"])
def test_a_dead_nginx_does_not_get_the_pool_restarted(probe):
    assert POOL[probe].get("exec", {}).get("command") == ["entrypoint", "pool-health"], "asks the pool without nginx"
    # Longer than pool-health waits for the pool, so that it is pool-health that says what is wrong.
    assert POOL[probe]["timeoutSeconds"] > 4


def test_a_dead_pool_does_not_get_nginx_restarted():
    for probe in ("startupProbe", "livenessProbe"):
        assert CONTAINERS["nginx"][probe]["httpGet"] == {"path": "/nginx_status", "port": "metrics"}


def test_the_pod_is_ready_when_a_request_gets_through_nginx_to_the_pool():
    assert CONTAINERS["nginx"]["readinessProbe"].get("httpGet") == {"path": "/ready", "port": "http"}
    # A second answer to the same question would need a process in the container that a load throttles.
    assert "readinessProbe" not in POOL


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe"])
def test_a_pool_that_its_probe_ends_does_not_wait_for_nginx(probe):
    assert POOL["lifecycle"]["preStop"]["exec"]["command"] == ["entrypoint", "wait-for-nginx-exit"]
    assert POOL[probe].get("terminationGracePeriodSeconds", SERVICE.spec["terminationGracePeriodSeconds"]) <= 10


def test_a_hung_pool_is_ended_within_75_seconds():
    probe = POOL["livenessProbe"]
    grace = probe.get("terminationGracePeriodSeconds", SERVICE.spec["terminationGracePeriodSeconds"])
    assert probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"] + grace <= 75
