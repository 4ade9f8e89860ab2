"""`make stack`: its start, its messages, and that it leaves nothing behind."""

import glob
import os
import signal
import subprocess
import threading

import pytest

import slack
from conftest import ROOT, Stack, wait_for

CGROUPS = "/sys/fs/cgroup/**/fcgi-webapp-stack-%d"


def left_behind(stack):
    """Processes that know the stack's folder, and its cgroups."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                if ("STACK_DIR=%s\0" % stack.folder).encode() in file.read():
                    found.append(int(path.split("/")[2]))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()], glob.glob(CGROUPS % stack.process.pid, recursive=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_it_all(number):
    stack = Stack("ended-by-%d" % number)
    assert len(stack.processes()) >= 8
    stack.process.send_signal(number)
    assert stack.process.wait(30) == 0
    wait_for(lambda: left_behind(stack) == ([], []), 5, "nothing left behind")
    assert sorted(path.name for path in (stack.folder / "run").glob("*.sock")) == []


def test_nothing_outlives_it_when_it_is_killed():
    stack = Stack("killed")
    stack.process.kill()
    stack.process.wait(10)
    wait_for(lambda: left_behind(stack)[0] == [], 30, "the end of all processes")
    for folder in left_behind(stack)[1]:
        wait_for(lambda: removed(folder), 5, "an empty cgroup")


def removed(folder):
    try:
        os.rmdir(folder)
        return True
    except OSError:
        return False


def test_it_ends_when_a_part_of_it_does_and_says_which():
    stack = Stack("broken")
    stack.signal(signal.SIGKILL, "prometheus --config.file")
    assert stack.process.wait(30) == 1
    assert "stack: prometheus ended" in stack.output()
    wait_for(lambda: left_behind(stack) == ([], []), 5, "nothing left behind")


def test_messages_go_to_the_webhook_that_the_file_names(tmp_path):
    real = slack.Slack(("127.0.0.1", 0))
    threading.Thread(target=real.serve_forever, daemon=True).start()
    (tmp_path / "url").write_text("http://127.0.0.1:%d/services/real\n" % real.server_port)
    stack = Stack("webhook", SLACK_WEBHOOK_URL_FILE=str(tmp_path / "url"))
    try:
        assert "the webhook in %s" % (tmp_path / "url") in stack.output()
        wait_for(lambda: stack.query('count_over_time(up{job="fcgi-webapp"}[1m]) >= 2'), 60, "two scrapes")
        for _ in range(3):
            wait_for(lambda: stack.request("/crash", "POST")[0] == 502, 10, "a crash")
        wait_for(lambda: real.messages, 120, "the message")
        assert "WorkersCrashing" in real.messages[0]["message"]["attachments"][0]["title"]
        assert stack.slack()["taken"] == []
    finally:
        stack.stop()
        real.shutdown()
        real.server_close()


def refusal(**environment):
    done = subprocess.run([ROOT / "scripts" / "stack"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          env={**os.environ, "STACK_DIR": str(ROOT / "build" / "e2e" / "refused"), **environment})
    return done.returncode, done.stdout


def test_a_webhook_file_that_is_not_there_is_named():
    assert refusal(SLACK_WEBHOOK_URL_FILE="/nowhere/url") == (1, "stack: SLACK_WEBHOOK_URL_FILE names /nowhere/url, which cannot be read\n")


@pytest.mark.parametrize("name, value", [("CPU_LIMIT", "half"), ("CPU_WEIGHT", "low"), ("CPU_WEIGHT", "0"), ("CPU_WEIGHT", "10001")])
def test_a_limit_that_is_not_valid_is_named(name, value):
    status, said = refusal(**{name: value})
    assert status == 1 and said.startswith(f"stack: {name} is '{value}' and must be ") and said.count("\n") == 1


def test_a_package_that_is_missing_is_named():
    status, said = refusal(PATH="/nowhere")
    assert status == 1 and said == "stack: prometheus is not installed: run 'make deps-monitoring', or install the package prometheus\n"


def test_a_port_in_use_is_said_with_the_log_of_who_wanted_it():
    occupied = slack.Slack(("127.0.0.1", 0))
    try:
        status, said = refusal(SLACK_PORT=str(occupied.server_port))
        assert status == 1 and "stack: slack" in said and "Traceback" not in said.splitlines()[-1]
    finally:
        occupied.server_close()
