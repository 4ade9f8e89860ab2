"""`entrypoint pool-health`, the startup and liveness probe of the pod's pool: it asks the pool without nginx."""

import contextlib
import os
import signal
import subprocess
import time

from conftest import ROOT, children, name_of


def pool_health(service, **environment):
    return subprocess.run(
        [ROOT / "scripts/entrypoint", "pool-health"],
        env={**service.environment, "FCGI_WEBAPP_SOCKET": str(service.run_dir / "app.sock"), **environment},
        capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def stopped(pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_pool_that_answers_is_healthy_though_nginx_does_not(service):
    nginx = next(pid for pid in children(service.process.pid) if name_of(pid) == "nginx")
    with stopped([nginx, *children(nginx)]):
        result = pool_health(service)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_large_environment_does_not_make_the_pool_unhealthy(service):
    assert pool_health(service, LARGE="x" * 65536).returncode == 0


def test_a_stopped_pool_is_unhealthy_before_the_probe_times_out(service):
    pool = [service.master, *children(service.master)]
    with stopped(pool):
        began = time.monotonic()
        result = pool_health(service)
        seconds = time.monotonic() - began
    assert result.returncode == 1
    assert result.stderr == "pool-health: no answer from the pool within 4 s\n"
    assert 3 < seconds < 30
    assert pool_health(service).returncode == 0, "healthy again"


def test_a_pool_that_is_not_there_is_unhealthy_at_once(own_service):
    result = pool_health(own_service(start=False))
    assert result.returncode == 1
    assert "Could not connect" in result.stderr
