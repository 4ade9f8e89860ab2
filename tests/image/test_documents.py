"""What the pages say of containers, run here with free ports and the image that was built."""

import re
import shlex
import signal
import subprocess

import pytest
from conftest import IMAGE, ROOT, engine, free_ports, get, wait_for


@pytest.fixture
def run(image):
    """Starts the `docker run` of a page, which runs the released image. Returns the ports and what runs it."""
    http, metrics = free_ports(2)
    name = f"fcgi-webapp-test-{http}"

    def start(page):
        text = (ROOT / page).read_text().replace("\\\n", " ")
        (command,) = re.findall(rf"^docker (run .*){re.escape(IMAGE.rpartition(':')[0])}$", text, re.M)
        command = command.replace("8081:", f"{http}:").replace("8000:", f"{metrics}:").replace("counters:", f"{name}:")
        command = re.sub(r"--name \S+", "", command).replace("run ", f"run --name={name} ", 1)
        words = [ROOT / "scripts/engine", *shlex.split(command), IMAGE]
        return http, metrics, name, subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    yield start
    engine("rm", "--force", "--volumes", name, check=False)
    engine("volume", "rm", "--force", name, check=False)


def answers(port, path="/"):
    try:
        return get(port, path)[0] == 200
    except OSError:
        return False


def test_the_command_of_the_readme_runs_the_service_until_ctrl_c(run):
    http, _, _, process = run("README.md")
    wait_for(lambda: answers(http), "the service")
    assert get(http, "/") == (200, '{"msg": "Hello World"}')
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_the_command_of_the_operations_page_runs_the_service_until_docker_stop(run):
    http, metrics, name, process = run("docs/operations.md")
    assert process.wait(60) == 0, "it is detached"
    wait_for(lambda: answers(http) and answers(metrics, "/metrics"), "the service and its metrics")
    assert get(http, "/riseload")[0] == 404, "no fault can be injected"
    engine("stop", name)
    assert engine("wait", name).stdout.strip() == "0"
