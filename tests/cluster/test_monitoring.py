"""Prometheus counts what clients ask, and alerts."""

import http.client
import subprocess
import time

from kubernetes import APPLICATION, MONITORING, kubectl, wait_for

VERSION = 'sum(http_requests_total{endpoint="version",code="200"})'  # for which no other test asks

ALERT = 'count(ALERTS{alertname="ContainerCPUOverLimit",alertstate="firing"})'


def query(expression):
    """The value of an expression that gives one sample, or None."""
    command = ["exec", "deployment/prometheus", "--container=prometheus", "--", "promtool", "query", "instant", "http://127.0.0.1:9090"]
    answer = kubectl(*command, expression, namespace=MONITORING)
    return float(answer.partition("=> ")[2].split()[0]) if "=> " in answer else None


def test_ten_requests_are_counted(pods, address, say):
    wait_for(lambda: query(VERSION) is not None, "a count in Prometheus", 120)
    before = query(VERSION)
    for _ in range(10):
        connection = http.client.HTTPConnection(*address, timeout=10)
        connection.request("GET", "/version")
        assert connection.getresponse().status == 200
        connection.close()
    wait_for(lambda: (query(VERSION) or 0) >= before + 10, "ten more requests", 90)
    say("monitoring: Prometheus counts ten more requests")


def test_the_cpu_alert_fires_under_load(pods, say):
    """With the command of docs/kubernetes.md. The last test, since the load may outlive it."""
    command = ["kubectl", "-n", APPLICATION, "exec", f"deploy/{APPLICATION}", "-c", "app", "--", "stress", "--cpu", "1.5", "--seconds", "180"]
    wait_for(lambda: not query(ALERT), "the end of an earlier alert", 300)
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as stress:
        try:
            wait_for(lambda: query(ALERT), "the alert", 150)
        finally:
            stress.kill()
    say(f"monitoring: ContainerCPUOverLimit fires {time.monotonic() - started:.0f} s after the load has begun")
