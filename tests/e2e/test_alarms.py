"""Triggers each alert up to the Slack message, with the shipped rules and intervals.

Every case has a stack of its own, so the cases run in parallel, and no other message may arrive in its Slack.
SILENCE_MINUTES (5): how long normal traffic must fire no alert. CASES=name,name: run only these cases.
"""

import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from conftest import ROOT, Stack, Traffic, get, wait_for

sys.path.insert(0, str(ROOT / "tests"))
from modules import load_module  # noqa: E402

script = load_module("stack", ROOT / "scripts" / "stack")

WITHIN = 120
QUIET = "SILENCE_MINUTES"


def settle(stack):
    """Until Prometheus has seen the service at rest for a whole rate window."""
    wait_for(lambda: stack.query('count_over_time(up{job="fcgi-webapp"}[1m]) >= 5 and up{job="fcgi-webapp"} == 1'), 90, "five scrapes")
    assert stack.slack() == {"taken": [], "refused": []}


# Figures out of increase() are a little higher than the truth while Prometheus is young.
def prove(stack, alert, cause, end, report, severity, value, within=WITHIN, resolved_within=150):
    """Cause, message, end, message; nothing else said meanwhile. resolved_within=None where the end takes longer than anybody waits."""
    settle(stack)
    caused = time.time()
    cause()
    said, message = wait_for(lambda: stack.told("FIRING", alert), within + 60, "%s in Slack" % alert)
    end()
    ended = time.time()
    assert message["title"].endswith("[FIRING 1] %s (%s)" % (alert, severity))
    assert re.search(value, message["text"]), message["text"]
    assert "/monitoring/runbooks/%s.md|Runbook>" % alert in message["text"]
    words = "its end not waited for"
    if resolved_within:
        resolved, _ = wait_for(lambda: stack.told("RESOLVED", alert), resolved_within, "%s resolved in Slack" % alert)
        words = "resolved %3d s after its end" % (resolved - ended)
    assert stack.told_of() == {alert}
    assert stack.slack()["refused"] == []
    report("%-26s message %3d s after the cause, %s" % (alert, said - caused, words))
    assert said - caused <= within, "%.0f s from the cause to Slack" % (said - caused)


def limited(stack):
    assert stack.limited, "no cgroup may be made here, so there is no limit to exceed; run this as root:\n" + stack.output()
    return stack


def accepted(answer):
    assert answer[0] in (200, 202), answer


def cpu_over_limit(stack, report):
    limited(stack)

    def end():
        """At five times the limit it waits as long as a starved container does. No neighbour may be blamed for it."""
        accepted(stack.request("/riseload", "DELETE"))
        if has_pressure(stack):
            accepted(stack.request("/riseload?seconds=600&load=5", "POST"))
            wait_for(lambda: stack.query("min_over_time(container:cpu_waiting:ratio[50s]) > 0.5"), 150, "a throttled container that waits")
            accepted(stack.request("/riseload", "DELETE"))
    prove(stack, "ContainerCPUOverLimit", lambda: accepted(stack.request("/riseload?seconds=600&load=1.5", "POST")), end, report, "critical",
          r"uses (9\d|10\d)(\.\d+)?% of its CPU limit and was throttled in \d+(\.\d+)?% of the last periods")


def has_pressure(stack):
    return 'cgroup_pressure_waiting_seconds_total{resource="cpu"}' in get(stack.url["metrics"] + "/metrics")[1]


@contextlib.contextmanager
def neighbour():
    """Three endless loops for each CPU, so that no CPU is ever without one, in a cgroup beside the pool's. On each CPU they have
    twenty times the weight that cpu_starved has."""
    cpus = len(os.sched_getaffinity(0))
    limits = script.Limits(str(cpus), "", str(min(100 * cpus, 10000)))
    enter = limits.prepare()
    loops = [subprocess.Popen(["sh", "-c", enter + " timeout 600 sh -c 'while :; do :; done'"]) for _ in range(3 * cpus)]
    try:
        yield
    finally:
        for process in loops:
            process.terminate()
            process.wait()
        limits.remove()


def cpu_starved(stack, report):
    """The pool wants all CPUs and has no lower limit, but a neighbour has them. It has three threads for each CPU: while a single
    one moves between two CPUs, the kernel shows half of its pressure."""
    limited(stack)
    if not has_pressure(stack):
        pytest.skip("the kernel does not tell the pressure here: it needs cgroup v2 and PSI")
    with contextlib.ExitStack() as while_starved:
        def cause():
            while_starved.enter_context(neighbour())
            accepted(stack.request("/riseload?seconds=600&load=3", "POST"))

        def end():
            # Without a neighbour the load would reach the limit.
            accepted(stack.request("/riseload", "DELETE"))
            while_starved.close()
        prove(stack, "ContainerCPUStarved", cause, end, report, "high", r"waits for a CPU ([5-9]\d|100)(\.\d+)?% of the time")


def cpu_near_limit(stack, report):
    limited(stack)
    prove(stack, "ContainerCPUNearLimit", lambda: accepted(stack.request("/riseload?seconds=600&load=0.9", "POST")),
          lambda: accepted(stack.request("/riseload", "DELETE")), report, "high", r"uses [89]\d(\.\d+)?% of its CPU limit")


def memory_near_limit(stack, report):
    limited(stack)
    prove(stack, "ContainerMemoryNearLimit", lambda: accepted(stack.request("/riseload?seconds=600&load=0&memory=93%25", "POST")),
          lambda: accepted(stack.request("/riseload", "DELETE")), report, "high", r"working set is 9[2-4](\.\d+)?% of its memory limit")


def memory_over_limit(stack, report):
    limited(stack)
    prove(stack, "ContainerMemoryOverLimit", lambda: accepted(stack.request("/riseload?seconds=600&load=0&memory=97%25", "POST")),
          lambda: accepted(stack.request("/riseload", "DELETE")), report, "critical", r"working set is 9[67](\.\d+)?% of its memory limit")


def killed_for_memory(stack, report):
    limited(stack)
    prove(stack, "ContainerOOMKilled", lambda: accepted(stack.request("/riseload?seconds=60&load=0&memory=120%25", "POST")),
          lambda: None, report, "critical", r"kernel killed \d+ process", resolved_within=420)


def errors(stack, report):
    with Traffic(stack, ["/", "/bye"], rate=5):
        failing = Traffic(stack, ["/status/503"], rate=5)
        prove(stack, "ErrorBudgetBurnFast", failing.__enter__, lambda: failing.__exit__(), report, "critical", r"fail: \d+(\.\d+)?%", resolved_within=480)


def latency(stack, report):
    with Traffic(stack, ["/", "/bye"], rate=5):
        slow = Traffic(stack, ["/delay/0.4"], rate=5, threads=4)
        prove(stack, "LatencyBurnFast", slow.__enter__, lambda: slow.__exit__(), report, "critical", r"slow: \d+(\.\d+)?%", resolved_within=480)


def pool_stopped(stack, report):
    prove(stack, "AppDown", lambda: stack.signal_service(signal.SIGSTOP),
          lambda: stack.signal_service(signal.SIGCONT), report, "critical", "for a minute")


def nginx_stopped(stack, report):
    """The metrics come through nginx, so the application seems down too; that is not said."""
    def end():
        wait_for(lambda: stack.in_alertmanager().get("AppDown") == "suppressed", 90, "AppDown, inhibited")
        stack.signal(signal.SIGCONT, "nginx:")
    prove(stack, "NginxDown", lambda: stack.signal(signal.SIGSTOP, "nginx:"), end, report, "critical", "status page")


def workers_crash(stack, report):
    def cause():
        for _ in range(3):
            assert stack.request("/crash", "POST")[0] == 502
    prove(stack, "WorkersCrashing", cause, lambda: None, report, "high", r"[34] workers crashed", resolved_within=420)


def worker_hangs(stack, report):
    def cause():
        assert stack.request("/hang", "POST", timeout=60)[0] in (502, 504)
    prove(stack, "WorkerDeadlines", cause, lambda: None, report, "high", r"[12] worker\(s\) were killed", resolved_within=420)


def requests_queue(stack, report):
    """All workers held for some seconds under eighty requests, which then are answered late."""
    def cause():
        supervisor = stack.service()[0]
        with Traffic(stack, ["/"], rate=400, threads=80):
            stack.signal_service(signal.SIGSTOP)
            os.kill(supervisor, signal.SIGCONT)
            stopped = time.time()
            try:
                wait_for(lambda: time.time() - stopped > 3, 10, "three seconds")
            finally:
                stack.signal_service(signal.SIGCONT)
    prove(stack, "RequestsQueueing", cause, lambda: None, report, "high", "wait", resolved_within=300)


def counter_file_damaged(stack, report):
    def cause():
        os.truncate(stack.folder / "counters", 0)
    prove(stack, "CounterStoreRecovered", cause, lambda: None, report, "high", "damaged", resolved_within=None)


def service_restarts(stack, report):
    def is_back(killed):
        """A worker of the killed service may answer once more before it dies, while no new service has started."""
        return stack.service()[:1] not in ([], killed) and stack.request("/health")[0] == 200

    def cause():
        for _ in range(5):
            killed = wait_for(stack.service, 20, "the service")[:1]
            os.kill(killed[0], signal.SIGKILL)
            wait_for(lambda: is_back(killed), 20, "the service again")
            again = time.time()
            wait_for(lambda: time.time() - again > 6, 10, "a while, since one that cannot stay up is given up")
    prove(stack, "ContainerRestarting", cause, lambda: None, report, "high", r"[56] restarts", resolved_within=None)


def exporter_stopped(stack, report):
    prove(stack, "TargetDown", lambda: stack.signal(signal.SIGSTOP, "nginx-exporter"), lambda: stack.signal(signal.SIGCONT, "nginx-exporter"),
          report, "high", "nginx: no metrics from", within=180)


def configuration_refused(stack, report):
    undo = []
    prove(stack, "ConfigReloadFailed", lambda: undo.append(stack.reconfigure(r"(?m)^scrape_configs:$", "scrape_config:")), lambda: undo[0](),
          report, "high", "prometheus could not load")


def targets_gone(stack, report):
    undo = []
    prove(stack, "MetricsMissing", lambda: undo.append(stack.reconfigure(r'"[0-9.:]+"(?=\]\n +labels: .*container: app)', "")), lambda: undo[0](),
          report, "high", "every target of the application", within=180)


def alertmanager_unknown(stack, report):
    """What cannot be sent is noticed by whoever hears the heartbeat stop."""
    def silent():
        beats = stack.heartbeats()
        since = time.time()
        while stack.heartbeats() == beats:
            if time.time() - since > 100:
                return True
            time.sleep(1)
        return False

    settle(stack)
    wait_for(stack.heartbeats, 30, "a heartbeat")
    caused = time.time()
    undo = stack.reconfigure(r"(?s)alerting:\n.*?\n\n", "")
    wait_for(lambda: stack.query('ALERTS{alertname="NotConnectedToAlertmanager", alertstate="firing"}'), WITHIN, "NotConnectedToAlertmanager")
    known = time.time()
    wait_for(silent, 500, "the heartbeat's silence")
    undo()
    undone, beats = time.time(), stack.heartbeats()
    wait_for(lambda: stack.heartbeats() > beats, 120, "the heartbeat again")
    assert stack.told_of() <= {"NotConnectedToAlertmanager"}
    report("%-26s fires   %3d s after the cause, and the heartbeat stops; it beats again %d s after its end" % (
        "NotConnectedToAlertmanager", known - caused, time.time() - undone))


def slack_fails(stack, report):
    """A message that Slack refuses; the alarm about that is not lost but said as soon as Slack takes it, and until then
    the heartbeat stops, so that somebody else notices."""
    def silent():
        before = stack.heartbeats()
        return stack.in_alertmanager().get("Watchdog") == "suppressed" and (time.sleep(1) or stack.heartbeats() == before)

    settle(stack)
    wait_for(stack.heartbeats, 30, "a heartbeat")
    assert get(stack.url["slack"] + "/answer/500", "PUT")[0] == 200
    caused = time.time()
    for _ in range(3):
        assert stack.request("/crash", "POST")[0] == 502
    wait_for(lambda: stack.in_alertmanager().get("SlackSendFailing") == "active", 180, "SlackSendFailing")
    known = time.time()
    wait_for(silent, 60, "the heartbeat's silence")
    tries = len(stack.slack()["refused"])
    assert tries >= 3 and stack.slack()["taken"] == []
    assert get(stack.url["slack"] + "/answer/200", "PUT")[0] == 200
    healed = time.time()
    said, message = wait_for(lambda: stack.told("FIRING", "SlackSendFailing"), 60, "SlackSendFailing in Slack")
    assert "cannot send to Slack" in message["text"]
    late, _ = wait_for(lambda: stack.told("FIRING", "WorkersCrashing"), 60, "what Slack had refused")
    resolved, _ = wait_for(lambda: stack.told("RESOLVED", "SlackSendFailing"), 240, "SlackSendFailing resolved in Slack")
    beats = stack.heartbeats()
    wait_for(lambda: stack.heartbeats() > beats, 120, "the heartbeat again")
    assert stack.told_of() == {"SlackSendFailing", "WorkersCrashing"}
    report("%-26s fires   %3d s after the cause (%d tries refused), message %d s after Slack's recovery, resolved %3d s after it" % (
        "SlackSendFailing", known - caused, tries, said - healed, resolved - healed))
    assert known - caused <= WITHIN


def normal_traffic(stack, report):
    """Bursts, restarts, a HUP, a killed worker, a failed and a slow request now and then: none of it is an alarm."""
    minutes = float(os.environ.get(QUIET, 5))
    paths = ["/", "/bye", "/health", "/version", "/live", "/", "/no-such-page", "/bye", "/ready", "/"]
    events = []

    def burst():
        with Traffic(stack, ["/", "/bye"], rate=400, threads=8) as many:
            wait_for(lambda: sum(many.statuses.values()) > 1500, 30, "a burst of 1,500 requests")

    def restart():
        before = stack.service()[:1]
        stack.signal(signal.SIGTERM, "scripts/run")
        wait_for(lambda: stack.service()[:1] not in ([], before) and stack.request("/ready")[0] == 200, 60, "the service after a restart")

    def reload():
        before = stack.service()
        os.kill(before[0], signal.SIGHUP)
        wait_for(lambda: stack.service()[:1] == before[:1] and not set(before[3:]) & set(stack.service()), 30, "new workers")

    def kill():
        os.kill(stack.service()[-1], signal.SIGKILL)

    # Each event at its share of the time; bursts in every tenth.
    plan = sorted([(share / 20, burst) for share in range(1, 20, 2)] + [(0.22, restart), (0.5, restart), (0.78, restart), (0.34, reload), (0.64, kill)],
                  key=lambda event: event[0])
    started = time.time()
    with Traffic(stack, paths, rate=20, threads=4) as usual, Traffic(stack, ["/status/500", "/delay/1"], rate=1 / 60, threads=1):
        for share, event in plan:
            wait_for(lambda: time.time() - started >= share * minutes * 60, minutes * 60, event.__name__)
            event()
            events.append(event.__name__)
        wait_for(lambda: time.time() - started >= minutes * 60, minutes * 60, "the end")
        answered = dict(usual.statuses)
    window = "[%ds]" % (time.time() - started + 30)
    fired = {labels["alertname"] for labels, _ in stack.query('count by (alertname) (count_over_time(ALERTS{alertstate="firing"}%s))' % window)}
    pending = {labels["alertname"] for labels, _ in stack.query('count by (alertname) (count_over_time(ALERTS{alertstate="pending"}%s))' % window)}
    served = sum(value for _, value in stack.query("sum(http_requests_total)"))
    assert fired == {"Watchdog"}
    assert stack.slack() == {"taken": [], "refused": []}
    assert stack.heartbeats() >= minutes // 2
    assert answered.get(200, 0) > 0.8 * minutes * 60 * 20 * 0.8, answered
    report("%-26s none but Watchdog in %g minutes: %d requests, %d bursts, %d restarts, a HUP, a worker killed (pending for a while: %s)" % (
        "(normal traffic)", minutes, served, events.count("burst"), events.count("restart"), ", ".join(sorted(pending)) or "none"))


# The longest first; the others follow as the places become free.
CASES = [normal_traffic, errors, latency, alertmanager_unknown, worker_hangs, workers_crash, killed_for_memory, cpu_over_limit, cpu_starved, cpu_near_limit, slack_fails,
         pool_stopped, nginx_stopped, memory_near_limit, memory_over_limit, requests_queue, targets_gone, exporter_stopped, configuration_refused,
         counter_file_damaged, service_restarts]
# What the stack of a case is started with.
ENVIRONMENT = {cpu_starved: {"CPU_LIMIT": str(len(os.sched_getaffinity(0))), "CPU_WEIGHT": "5"}}
AT_ONCE = 10
CHOSEN = [case for case in CASES if case.__name__ in os.environ.get("CASES", ",".join(each.__name__ for each in CASES)).split(",")]


def in_its_own_stack(case, report):
    stack = Stack(case.__name__, **ENVIRONMENT.get(case, {}))
    try:
        case(stack, report)
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def outcomes(report):
    """All cases at once: most of the time each only waits for a clock of its own."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(in_its_own_stack, case, report) for case in CHOSEN}


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.__name__)
def test_in_slack(case, outcomes):
    outcomes[case].result()
