"""The configuration that scripts/nginx-conf prints, as nginx itself reads it."""

import os
import re
import shutil
import subprocess

import pytest

from conftest import ROOT, free_ports, short_folder


@pytest.fixture
def folder():
    path = short_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def configure(folder, **variables):
    port, metrics_port = free_ports(2)
    return subprocess.run([ROOT / "scripts/nginx-conf"], capture_output=True, text=True, timeout=20, env={
        "PATH": os.environ["PATH"], "RUN_DIR": str(folder), "HTTP_PORT": str(port), "METRICS_PORT": str(metrics_port),
        "ACCESS_LOG": str(folder / "access.log"), **variables})


def dump(folder, **variables):
    """What nginx -T says of the configuration."""
    (folder / "nginx.conf").write_text(configure(folder, **variables).stdout)
    run = subprocess.run(["nginx", "-T", "-q", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"], capture_output=True, text=True,
                         timeout=20, env={"PATH": os.environ["PATH"] + ":/usr/sbin"})
    assert run.returncode == 0, run.stderr
    return run.stdout


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


@pytest.mark.parametrize("timeout, least", [(None, 75), ("0.5", 75), ("70", 75), ("70.5", 75.5), ("120", 125), ("3600", 3605)])
def test_nginx_waits_longer_than_the_request_timeout_and_than_a_delay(folder, timeout, least):
    text = dump(folder, **({"FCGI_WEBAPP_REQUEST_TIMEOUT": timeout} if timeout else {}))
    assert seconds(re.search(r"fastcgi_read_timeout (\S+);", text)[1]) == least
