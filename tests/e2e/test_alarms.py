"""Each alarm set off for real, up to the Slack message, with the shipped rules and intervals.

Every case has a stack of its own, so they run side by side, and "nothing else was said" is what its Slack shows.
SILENCE_MINUTES (5) is how long normal traffic has to go by without an alarm; CASES=name,name runs only those.
"""

import concurrent.futures
import os
import re
import signal
import time

import pytest

from conftest import Stack, Traffic, get, wait_for

WITHIN = 120
QUIET = "SILENCE_MINUTES"


def settle(stack):
    """Until Prometheus has seen the service at rest for a whole rate window."""
    wait_for(lambda: stack.query('count_over_time(up{job="fcgi-webapp"}[1m]) >= 5 and up{job="fcgi-webapp"} == 1'), 90, "five scrapes")
    assert stack.slack() == {"taken": [], "refused": []}


def prove(stack, alert, cause, end, report, severity, value, resolved_within=150, others=()):
    """Cause, message, end, message; nothing else said meanwhile."""
    settle(stack)
    caused = time.time()
    cause()
    said, message = wait_for(lambda: stack.told("FIRING", alert), WITHIN + 60, "%s in Slack" % alert)
    end()
    ended = time.time()
    assert message["title"].endswith("[FIRING 1] %s (%s)" % (alert, severity))
    assert re.search(value, message["text"]), message["text"]
    assert "/monitoring/runbooks/%s.md|Runbook>" % alert in message["text"]
    resolved, _ = wait_for(lambda: stack.told("RESOLVED", alert), resolved_within, "%s resolved in Slack" % alert)
    assert stack.told_of() == {alert, *others}
    assert stack.slack()["refused"] == [] or others
    report("%-26s message %3d s after the cause, resolved %3d s after its end" % (alert, said - caused, resolved - ended))
    assert said - caused <= WITHIN, "%.0f s from the cause to Slack" % (said - caused)


def limited(stack):
    assert stack.limited, "no cgroup may be made here, so there is no limit to exceed; run this as root:\n" + stack.output()
    return stack


def accepted(answer):
    assert answer[0] in (200, 202), answer


def cpu_over_limit(stack, report):
    limited(stack)
    prove(stack, "ContainerCPUOverLimit", lambda: accepted(stack.request("/riseload?seconds=600&load=1.5", "POST")),
          lambda: accepted(stack.request("/riseload", "DELETE")), report, "critical", r"wants up to \d{3}(\.\d+)?% of its CPU limit")


def cpu_near_limit(stack, report):
    limited(stack)
    prove(stack, "ContainerCPUNearLimit", lambda: accepted(stack.request("/riseload?seconds=600&load=0.9", "POST")),
          lambda: accepted(stack.request("/riseload", "DELETE")), report, "high", r"uses [89]\d(\.\d+)?% of its CPU limit")


def memory_near_limit(stack, report):
    limited(stack)
    prove(stack, "ContainerMemoryNearLimit", lambda: accepted(stack.request("/riseload?seconds=600&load=0&memory=93%25", "POST")),
          lambda: accepted(stack.request("/riseload", "DELETE")), report, "high", r"working set is 9[2-4](\.\d+)?% of its memory limit")


def errors(stack, report):
    with Traffic(stack, ["/", "/bye"], rate=5):
        failing = Traffic(stack, ["/status/503"], rate=5)
        prove(stack, "ErrorBudgetBurnFast", failing.__enter__, lambda: failing.__exit__(), report, "critical", r"fail: \d+(\.\d+)?%", resolved_within=480)


def latency(stack, report):
    with Traffic(stack, ["/", "/bye"], rate=5):
        slow = Traffic(stack, ["/delay/0.4"], rate=5, threads=4)
        prove(stack, "LatencyBurnFast", slow.__enter__, lambda: slow.__exit__(), report, "critical", r"slow: \d+(\.\d+)?%", resolved_within=480)


def pool_stopped(stack, report):
    prove(stack, "AppDown", lambda: stack.signal(signal.SIGSTOP, "fcgi-webapp", "serve"),
          lambda: stack.signal(signal.SIGCONT, "fcgi-webapp", "serve"), report, "critical", "for a minute")


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
    prove(stack, "WorkersCrashing", cause, lambda: None, report, "high", r"3 workers died", resolved_within=420)


def worker_hangs(stack, report):
    def cause():
        assert stack.request("/hang", "POST", timeout=60)[0] in (502, 504)
    prove(stack, "WorkerDeadlines", cause, lambda: None, report, "high", r"1 workers were killed", resolved_within=420)


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
        stack.signal(signal.SIGTERM, "scripts/run")
        wait_for(lambda: stack.request("/ready")[0] == 0, 20, "the service's end")
        wait_for(lambda: stack.request("/ready")[0] == 200, 60, "the service after a restart")

    def reload():
        # The master is the oldest of the pool.
        os.kill(stack.processes("fcgi-webapp", "serve")[0], signal.SIGHUP)

    def kill():
        # The youngest is a worker, or the observer; either is replaced.
        os.kill(stack.processes("fcgi-webapp", "serve")[-1], signal.SIGKILL)

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
    assert stack.heartbeats() >= minutes * 0.8
    assert answered.get(200, 0) > 0.8 * minutes * 60 * 20 * 0.8, answered
    report("%-26s none but Watchdog in %g minutes: %d requests, %d bursts, %d restarts, a HUP, a worker killed (pending for a while: %s)" % (
        "(normal traffic)", minutes, served, events.count("burst"), events.count("restart"), ", ".join(sorted(pending)) or "none"))


CASES = [cpu_over_limit, cpu_near_limit, memory_near_limit, errors, latency, pool_stopped, nginx_stopped, workers_crash, worker_hangs, slack_fails, normal_traffic]
CHOSEN = [case for case in CASES if case.__name__ in os.environ.get("CASES", ",".join(each.__name__ for each in CASES)).split(",")]


def in_its_own_stack(case, report):
    stack = Stack(case.__name__)
    try:
        case(stack, report)
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def outcomes(report):
    """All cases at once: most of the time each only waits for a clock of its own."""
    with concurrent.futures.ThreadPoolExecutor(len(CHOSEN)) as pool:
        yield {case: pool.submit(in_its_own_stack, case, report) for case in CHOSEN}


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.__name__)
def test_in_slack(case, outcomes):
    outcomes[case].result()
