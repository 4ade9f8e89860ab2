"""The dev container: it builds from what is there, and forwards the ports of `make run`."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETTINGS = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
DOCKERFILE = (ROOT / ".devcontainer" / SETTINGS["build"]["dockerfile"]).read_text().replace("\\\n", " ")


def test_the_dev_container_forwards_the_ports_of_make_run():
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_PORT", "LISTEN"))}
    settings = {"PROGRAM": "/bin/true", "RUN_DIR": "/nowhere"}
    done = subprocess.run([ROOT / "scripts/nginx-conf"], env={**environment, **settings}, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert sorted(SETTINGS["forwardPorts"]) == sorted(map(int, re.findall(r"listen 127\.0\.0\.1:(\d+)", done.stdout)))


def test_the_dev_container_is_on_the_base_of_the_image():
    base = re.search(r"^ARG BASE_IMAGE=(\S+)", (ROOT / "Dockerfile").read_text(), re.M)[1]
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.M) == [base]


@pytest.fixture
def packages(tmp_path):
    """What the dev container installs. scripts/deps names the packages of its groups where it cannot ask dpkg."""
    for tool in ("dirname", "sed"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    groups = re.search(r"scripts/deps ([a-z ]+)", DOCKERFILE)[1].split()
    command = ["/bin/sh", ROOT / "scripts/deps", *groups]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return {*done.stderr.split(), *re.search(r"apt-get install (.*)", DOCKERFILE)[1].split()}


def test_the_dev_container_has_the_packages_of_make_run_and_of_an_editor(packages):
    assert {"gcc", "make", "libfcgi-dev", "libcmocka-dev", "clang-format", "clangd", "gdb"} <= packages


def test_the_dev_container_has_the_programs_of_the_readme(packages):
    """Except where the README says that a block needs more."""
    readme = re.sub(r"<!-- not run.*?-->\n```.*?```", "", (ROOT / "README.md").read_text(), flags=re.S)
    programs = {line.split()[0] for block in re.findall(r"```sh\n(.*?)```", readme, re.S) for line in block.splitlines()}
    assert {"make", "curl"} <= programs <= packages


def test_the_files_that_the_dev_container_copies_are_in_the_context():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in re.findall(r"^COPY (\S+)", DOCKERFILE, re.M):
        assert (ROOT / source).is_file() and source.split("/")[0] in kept, source
