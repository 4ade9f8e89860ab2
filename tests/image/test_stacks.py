"""The stacks that the program of the image logs. The program itself has no symbols."""

import json
import subprocess
import urllib.error
import urllib.request

import pytest
from conftest import HARDENED, ROOT, engine, wait_for

DEBUG = "/usr/lib/debug/usr/local/bin/fcgi-webapp.debug"


def post(container, path):
    """The request id of a POST that costs its worker."""
    with pytest.raises(urllib.error.HTTPError) as failure:
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{container.http}{path}", method="POST"), timeout=30)
    assert failure.value.code == 502
    return failure.value.headers["X-Request-ID"]


def test_stacks_name_the_functions_with_the_debug_file_of_the_image(start, tmp_path):
    container = start(*HARDENED, "--env=FCGI_WEBAPP_REQUEST_TIMEOUT=1").ready()
    ids = [post(container, "/crash"), post(container, "/hang")]
    wait_for(lambda: "over its deadline: killed" in container.log(), "the end of /hang")
    stacks = [json.loads(line) for line in container.log().splitlines() if '"frames"' in line]
    assert [(stack["msg"], stack["endpoint"], stack["request_id"]) for stack in stacks] == [
        ("crashed", "crash", ids[0]), ("slow request", "hang", ids[1])]

    engine("cp", f"{container.name}:{DEBUG}", tmp_path)
    assert (tmp_path / "fcgi-webapp.debug").stat().st_size < 1_000_000
    symbolize = [ROOT / "scripts/symbolize", f"--debug={tmp_path}/fcgi-webapp.debug"]
    run = subprocess.run(symbolize, input=container.log(), capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    crash, hang = run.stdout.strip().split("\n\n")
    assert "endpoint_crash at" in crash and "endpoint_hang at" in hang


def test_the_program_has_no_symbols_of_its_own(start, tmp_path):
    container = start(*HARDENED, command=["nginx"])
    engine("cp", f"{container.name}:/usr/local/bin/fcgi-webapp", tmp_path)
    sections = subprocess.run(["readelf", "--section-headers", "--wide", tmp_path / "fcgi-webapp"], capture_output=True, text=True, check=True).stdout
    assert ".eh_frame" in sections and ".gnu_debuglink" in sections
    assert ".symtab" not in sections and ".debug_info" not in sections
