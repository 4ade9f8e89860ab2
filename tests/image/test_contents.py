"""What is in the image, and what is not."""

import json
import re

import pytest
from conftest import BASE, IMAGE, VERSION, engine

pytestmark = pytest.mark.usefixtures("image")


def inspect(name):
    return json.loads(engine("image", "inspect", name).stdout)[0]


def in_image(name, script):
    """Lines that a shell prints in a container of it, as root, so that it sees everything."""
    return engine("run", "--rm", "--network=none", "--user=0", "--entrypoint=sh", name, "-c", script).stdout.splitlines()


def test_it_adds_less_than_20_mb_to_its_base():
    added = inspect(IMAGE)["Size"] - inspect(BASE)["Size"]
    assert 0 < added < 20_000_000


@pytest.mark.parametrize("tool", ["gcc", "cc", "c++", "clang", "tcc", "ld", "as", "make", "git"])
def test_there_is_nothing_to_compile_with(tool):
    assert in_image(IMAGE, f"command -v {tool} || true") == []


@pytest.mark.parametrize("tool", ["nginx", "fcgi-webapp", "stress", "entrypoint", "cgi-fcgi", "sh"])
def test_what_it_needs_is_on_the_path(tool):
    assert len(in_image(IMAGE, f"command -v {tool}")) == 1


def test_no_file_is_set_uid_that_the_base_did_not_have():
    find = "find / -xdev -type f -perm /6000"
    assert set(in_image(IMAGE, find)) <= set(in_image(BASE, find))


def test_nothing_of_the_machine_that_built_it_is_left():
    left = "ls /etc/apt/sources.list.d/machine.list /etc/apt/apt.conf.d/99machine /var/lib/apt/lists/* 2>/dev/null || true"
    assert in_image(IMAGE, left) == []
    assert in_image(IMAGE, "apt-config dump | grep -i 'proxy' | grep -v '\"\"' || true") == []


def test_no_script_holds_a_secret():
    scripts = in_image(IMAGE, "cat /opt/fcgi-webapp/scripts/* /usr/local/bin/entrypoint /usr/local/bin/stress")
    assert len(scripts) > 50
    assert not re.search(r"hooks\.slack\.com/services/\w|password\s*=|token\s*=|BEGIN [A-Z ]*PRIVATE KEY", "\n".join(scripts))


def test_every_library_is_there():
    for program in ("/usr/local/bin/fcgi-webapp", "/usr/sbin/nginx"):
        assert not [line for line in in_image(IMAGE, f"ldd {program}") if "not found" in line]


def test_the_numeric_user_the_labels_and_the_health_check_are_set():
    config = inspect(IMAGE)["Config"]
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["entrypoint"], ["serve-all"])
    labels = {k.removeprefix("org.opencontainers.image."): v for k, v in config["Labels"].items()}
    assert labels["version"] == VERSION
    assert labels["source"] == "https://github.com/fcgi-webapp/fcgi-webapp"
    assert {"title", "description", "url", "licenses", "revision", "created"} <= labels.keys()
    health = inspect(IMAGE).get("Healthcheck") or config["Healthcheck"]  # podman, docker
    assert health["Test"] == ["CMD", "entrypoint", "health"]
