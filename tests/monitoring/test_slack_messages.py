"""The real Alertmanager renders the Slack template and sends it to a stand-in for Slack.

SLACK_MESSAGES=write writes the messages to docs/slack-messages.md.
"""

import datetime
import os
import re

import pytest

from conftest import RULES, alerts, inhibit_rules, slack, wait_for

FORMAT = "%Y-%m-%dT%H:%M:%SZ"
HEADINGS = ["1 firing", "1 resolved", "1 firing, 1 resolved", "Severity high", "30 firing", "30 resolved", "30 firing, 30 resolved"]
PAGE = {}


@pytest.fixture(autouse=True)
def started(alertmanager):
    """The start time of the alerts: now. Alertmanager sends a group with an old alert without waiting for the rest."""
    global STARTED
    STARTED = datetime.datetime.now(datetime.timezone.utc)


def alert(name, number=1, resolved=False, **labels):
    """An alert as Prometheus posts it: the shipped annotations with figures for the templates."""
    rule = next(rule for rule in alerts() if rule["alert"] == name)
    labels = {"alertname": name, "namespace": "fcgi-webapp", "pod": "fcgi-webapp-6d5f7b9c8-%05d" % number,
              "container": "app", **rule["labels"], **labels}

    def filled(text):
        text = re.sub(r"{{ \$labels\.(\w+) }}", lambda m: labels.get(m.group(1), ""), text)
        text = re.sub(r"{{ \$value \| humanizePercentage }}", "100%", text)
        text = re.sub(r" ?{{- with [^}]*{[^}]*}[^}]*}}(.*?) ?{{- end }}", r"\1", text)  # the query has its answer
        text = text.replace("{{ . | first | value | humanizePercentage }}", "97%")
        return re.sub(r"{{ \$value[^}]*}}", "3", text)
    now = datetime.datetime.now(datetime.timezone.utc)
    ends = now if resolved else now + datetime.timedelta(hours=1)
    expression = re.sub(r"[^\w]", lambda m: "%%%02X" % ord(m.group(0)), rule["expr"])
    return {"labels": labels, "annotations": {key: filled(text) for key, text in rule["annotations"].items()},
            "startsAt": STARTED.strftime(FORMAT), "endsAt": ends.strftime(FORMAT),
            "generatorURL": "http://prometheus.example:9090/graph?g0.expr=%s&g0.tab=1" % expression}


def arrive(stand_in, count):
    """Wait for message number `count` and return it. Fails if the stand-in refused a message."""
    wait_for(lambda: len(stand_in.messages) >= count or stand_in.refused, what="a message")
    assert not stand_in.refused, stand_in.refused[0]["faults"]
    message = stand_in.messages[count - 1]["message"]
    return dict(message["attachments"][0], icon_emoji=message["icon_emoji"], username=message["username"])


def keep(heading, message):
    """Keep a message for docs/slack-messages.md, with a fixed time, since each run has another."""
    PAGE[heading] = re.sub(r"\w{3} \d+ \d\d:\d\d:\d\d", "May 17 09:30:00", slack.as_text({"username": message["username"], "attachments": [message]}))
    print("\n## %s\n\n%s" % (heading, PAGE[heading]))


@pytest.mark.parametrize("count", [1, 30])
def test_a_group_that_fires_and_resolves_is_readable(alertmanager, stand_in, count):
    name = "ContainerCPUOverLimit"
    alertmanager.send(*(alert(name, number) for number in range(count)))
    firing = arrive(stand_in, 1)
    keep("%d firing" % count, firing)
    assert firing["title"].endswith("[FIRING %d] %s (critical)" % (count, name))
    assert firing["color"] == "#c62828"
    for part in ("wants more CPU than its limit", "uses 100% of its CPU limit and was throttled in 97% of the last periods.", "critical since <!date^%d^" % STARTED.timestamp(), "|Runbook>", "|Graph>", "|Silence>",
                 "/runbooks/ContainerCPUOverLimit.md"):
        assert part in firing["text"]

    alertmanager.send(*(alert(name, number, resolved=True) for number in range(count)))
    resolved = arrive(stand_in, 2)
    keep("%d resolved" % count, resolved)
    assert resolved["title"].endswith("[RESOLVED %d] %s (critical)" % (count, name))
    assert resolved["color"] == "#2eb886"
    assert "*Resolved: fcgi-webapp" in resolved["text"]


@pytest.mark.parametrize("count", [1, 30])
def test_a_group_that_is_half_resolved_separates_firing_and_resolved_alerts(alertmanager, stand_in, count):
    name = "ContainerCPUOverLimit"
    alertmanager.send(*(alert(name, number) for number in range(2 * count)))
    arrive(stand_in, 1)
    alertmanager.send(*(alert(name, number, resolved=number % 2 == 1) for number in range(2 * count)))
    both = arrive(stand_in, 2)
    keep("%d firing, %d resolved" % (count, count), both)
    assert "[FIRING %d, RESOLVED %d]" % (count, count) in both["title"]
    assert both["color"] == "#c62828"
    firing = re.findall(r"(?m)^\*fcgi-webapp-6d5f7b9c8-(\d+)", both["text"])
    resolved = re.findall(r"(?m)^\*Resolved: fcgi-webapp-6d5f7b9c8-(\d+)", both["text"])
    assert firing and all(int(number) % 2 == 0 for number in firing)
    assert resolved and all(int(number) % 2 == 1 for number in resolved)


def test_thirty_firing_and_resolved_alerts_of_each_kind_fit_into_a_message(alertmanager, stand_in):
    """The longest expression and the longest labels too."""
    inhibited = {matcher for rule in inhibit_rules() for matcher in rule["target_matchers"]}
    sent = [rule["alert"] for rule in alerts()
            if rule["labels"]["severity"] != "none" and "alertname = " + rule["alert"] not in inhibited]
    assert len(sent) > 10
    alertmanager.send(*(alert(name, number, job="fcgi-webapp", instance="10.244.111.222:8000", deployment="fcgi-webapp",
                              horizontalpodautoscaler="fcgi-webapp", missing="cgroup_memory_limit_bytes")
                        for name in sent for number in range(30)))
    arrive(stand_in, len(sent))
    alertmanager.send(*(alert(name, number, resolved=number < 15, job="fcgi-webapp", instance="10.244.111.222:8000", deployment="fcgi-webapp",
                              horizontalpodautoscaler="fcgi-webapp", missing="cgroup_memory_limit_bytes")
                        for name in sent for number in range(30)))
    arrive(stand_in, 2 * len(sent))
    longest = max(len(entry["message"]["attachments"][0]["text"]) for entry in stand_in.messages)
    print("longest text: %d of %d characters" % (longest, slack.LIMITS["text"]))


def test_high_looks_different_from_critical(alertmanager, stand_in):
    alertmanager.send(alert("WorkersCrashing"))
    message = arrive(stand_in, 1)
    keep("Severity high", message)
    assert message["color"] == "#f2a60d"
    assert message["icon_emoji"] == ":large_orange_circle:"


def test_slack_markup_characters_are_escaped(alertmanager, stand_in):
    hostile = alert("AppDown", pod="a<b>&c|d \"e\"", instance="<!channel>")
    hostile["annotations"]["summary"] = "5 < 6 & 7 > 3 <!channel>"
    alertmanager.send(hostile)
    text = arrive(stand_in, 1)["text"]
    assert "*5 &lt; 6 &amp; 7 &gt; 3 &lt;!channel&gt;*" in text
    assert "5 < 6 & 7 > 3 <!channel>" in slack.as_text(stand_in.messages[0]["message"])


@pytest.mark.parametrize("status", [429, 500])
def test_alertmanager_tries_again_when_slack_refuses(alertmanager, stand_in, status):
    stand_in.answer = status
    alertmanager.send(alert("WorkersCrashing"))
    wait_for(lambda: len(stand_in.refused) >= 2, what="a second try")
    assert stand_in.messages == []
    stand_in.answer = 200
    wait_for(lambda: stand_in.messages, what="the message")
    assert all(entry["faults"] == [] for entry in stand_in.refused)


def test_the_heartbeat_stops_while_slack_fails(alertmanager, stand_in):
    alertmanager.send(alert("Watchdog"))
    wait_for(lambda: stand_in.heartbeats, what="a heartbeat")
    assert stand_in.messages == []
    alertmanager.send(alert("SlackSendFailing"))
    wait_for(lambda: stand_in.messages, what="the message")
    muted = alertmanager.alerts(inhibited="true")
    assert [entry["labels"]["alertname"] for entry in muted if entry["status"]["state"] == "suppressed"] == ["Watchdog"]


def test_an_alert_near_the_limit_is_silent_while_the_one_over_it_fires(alertmanager, stand_in):
    alertmanager.send(alert("ContainerCPUNearLimit"), alert("ContainerCPUOverLimit"), alert("ContainerCPUNearLimit", number=2))
    wait_for(lambda: len(stand_in.messages) >= 2, what="two messages")
    titles = sorted(entry["message"]["attachments"][0]["title"].split("] ")[1] for entry in stand_in.messages)
    assert titles == ["ContainerCPUNearLimit (high)", "ContainerCPUOverLimit (critical)"]
    near = next(entry for entry in stand_in.messages if "Near" in entry["message"]["attachments"][0]["title"])
    assert "FIRING 1" in near["message"]["attachments"][0]["title"]


def test_the_stand_in_refuses_what_slack_would_change():
    good = {"attachments": [{"text": "a &amp; b <https://x.example/?a=1&amp;b=2|link>", "fallback": "a", "color": "good"}]}
    assert slack.faults_of(good) == []
    for change in ({"text": "a & b"}, {"text": "a < b"}, {"text": "<!channel>"}, {"text": "x" * 8001}, {"title": "x" * 1025},
                   {"fallback": ""}, {"color": "red"}, {"text": "<no value>"}):
        bad = {"attachments": [dict(good["attachments"][0], **change)]}
        assert slack.faults_of(bad), change
    assert slack.faults_of({"attachments": []})
    assert slack.faults_of(None)


def test_the_page_in_docs_shows_the_current_messages():
    """This test must be last: it compares the messages of the other tests."""
    path = RULES[0].parents[3] / "docs" / "slack-messages.md"
    page = "# Slack messages\n\n`tests/monitoring/test_slack_messages.py` renders these messages with the real Alertmanager. `[...]` is a link.\n"
    for heading in HEADINGS:
        page += "\n## %s\n\n```text\n%s\n```\n" % (heading, PAGE.get(heading))
    if os.environ.get("SLACK_MESSAGES") == "write":
        path.write_text(page)
    if set(PAGE) == set(HEADINGS):
        assert path.read_text() == page, "docs/slack-messages.md is out of date: run with SLACK_MESSAGES=write"
