"""Prometheus counts what clients ask, and alerts."""

import http.client
import subprocess

from kubernetes import APPLICATION, MONITORING, kubectl, wait_for

BYE = 'sum(http_requests_total{endpoint="bye",code="200"})'


def query(expression):
    """The value of an expression that gives one sample, or None."""
    command = ["exec", "deployment/prometheus", "--container=prometheus", "--", "promtool", "query", "instant", "http://127.0.0.1:9090"]
    answer = kubectl(*command, expression, namespace=MONITORING)
    return float(answer.partition("=> ")[2].split()[0]) if "=> " in answer else None


def test_ten_requests_are_counted(pods, address):
    before = wait_for(lambda: query(BYE), "a count in Prometheus", 120)
    for _ in range(10):
        connection = http.client.HTTPConnection(*address, timeout=10)
        connection.request("GET", "/bye")
        assert connection.getresponse().status == 200
        connection.close()
    wait_for(lambda: query(BYE) >= before + 10, "ten more requests", 90)


def test_the_cpu_alert_fires_under_load(pods):
    """With the command of docs/kubernetes.md. The last test, since the load may outlive it."""
    command = ["kubectl", "-n", APPLICATION, "exec", f"deploy/{APPLICATION}", "-c", "app", "--", "stress", "--cpu", "1.5", "--seconds", "180"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as stress:
        try:
            wait_for(lambda: query('ALERTS{alertname="ContainerCPUOverLimit",alertstate="firing"}'), "the alert", 150)
        finally:
            stress.kill()
