"""What /metrics says, by those who read it: promtool, the official parser, a real Prometheus."""

import http.client
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from conftest import Answer, parse, run_program, wait_for
from descriptors import no_more_files

# As they really send it: scrape/scrape.go of the versions named.
PROMETHEUS_2_42 = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                   "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
PROMETHEUS_2_53 = ("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
                   "text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
PROMETHEUS_3 = ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
                "application/openmetrics-text;version=0.0.1;q=0.5,"
                "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("accept, content_type", [
    (PROMETHEUS_2_42, OPENMETRICS), (PROMETHEUS_2_53, OPENMETRICS), (PROMETHEUS_3, OPENMETRICS),
    ("*/*", TEXT), ("text/html", TEXT), ("", TEXT), ("text/plain;version=0.0.4", TEXT),
    ("application/openmetrics-text;version=0.0.1", TEXT), (";;;,,q=", TEXT),
])
def test_the_format_is_the_one_asked_for(service, accept, content_type):
    answer = service.get("/metrics", port=service.metrics_port, headers={"Accept": accept})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == content_type


def test_promtool_finds_nothing_to_complain_about(service):
    text = service.get("/metrics", port=service.metrics_port).body
    run = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout + run.stderr == b""


def test_the_official_parser_accepts_both_formats_and_reads_the_same(service):
    service.get("/bye")
    text = service.get("/metrics", port=service.metrics_port).body.decode()
    openmetrics = service.get("/metrics", port=service.metrics_port, headers={"Accept": PROMETHEUS_2_42}).body.decode()

    def samples(families):
        return {(s.name, *sorted(s.labels.items())) for family in families for s in family.samples}

    assert samples(parse_openmetrics(openmetrics)) == samples(parse_text(text))
    families = {family.name: family for family in parse_openmetrics(openmetrics)}
    assert families["http_request_duration_seconds"].unit == "seconds"
    assert families["http_requests"].type == "counter"


def test_every_route_has_its_first_error_as_an_increase(service):
    """Declared combinations exist as 0 from the start."""
    text = service.get("/metrics", port=service.metrics_port).body.decode()
    for endpoint in ("root", "health", "ready", "bye", "version", "live", "status", "delay"):
        for code in (200, 500, 502, 503, 504):
            assert f'http_requests_total{{endpoint="{endpoint}",method="GET",code="{code}"}}' in text


def test_what_cannot_be_read_is_left_out_of_the_scrape_and_comes_back(own_service):
    service = own_service(WORKERS=2)
    client = http.client.HTTPConnection("127.0.0.1", service.metrics_port, timeout=30)

    def scrape():
        """Over the same connections each time: no process has to accept one."""
        client.request("GET", "/metrics")
        return parse(Answer(client.getresponse()).body.decode())

    def from_files(samples):
        return {key for key in samples if key[0].startswith(("cgroup_", "process_"))}

    def success(samples, collector):
        return samples[("fcgi_collector_success", ("collector", collector))]

    before = scrape()
    assert from_files(before)
    with no_more_files(service.metrics_process):
        during = scrape()
    after = scrape()
    assert from_files(during) == set()
    for collector in ("cgroup_cpu", "cgroup_memory", "cgroup_pressure", "process"):
        assert [success(samples, collector) for samples in (before, during, after)] == [1, 0, 1]
    assert success(during, "listen_queue") == 1  # it opens nothing
    assert during[("fcgi_webapp_starts_total",)] == 1
    assert from_files(after) == from_files(before)
    for name in ("cgroup_cpu_usage_seconds_total", "process_cpu_seconds_total"):
        assert after[(name,)] >= before[(name,)]
    assert any("collector process: cannot read: Too many open files" in line["msg"] for line in service.log_lines())
    client.close()


def test_without_a_pool_the_metrics_have_no_process_and_no_queue(own_service):
    service = own_service(WORKERS=2)
    service.stop()
    run = run_program("metrics", "--metrics-file", str(service.counters))
    assert run.returncode == 0 and run.stderr == ""
    assert "process_" not in run.stdout and "fcgi_listen_queue" not in run.stdout
    assert "fcgi_webapp_starts_total 1\n" in run.stdout


def test_a_real_prometheus_scrapes_it_as_openmetrics(prometheus):
    def query(expression):
        return (prometheus(f"/api/v1/query?query={expression}") or {"result": []})["result"]

    wait_for(lambda: any(sample["value"][1] == "1" for sample in query("up")), 30, what="the first scrape")
    assert query("fcgi_webapp_starts_total")[0]["value"][1] == "1"
    metadata = prometheus("/api/v1/targets/metadata?metric=http_request_duration_seconds")[0]
    assert metadata["type"] == "histogram"
    assert metadata["unit"] == "seconds"  # only OpenMetrics has units: that is what it negotiated
