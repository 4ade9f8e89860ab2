"""From a bucket to a request in it: exemplars, in the scrape, in Prometheus and in the access log."""

import os
import signal
import subprocess
import threading
import time

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from conftest import run_program, wait_for

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
DURATION = "http_request_duration_seconds_bucket"
QUEUE = "http_request_queue_seconds_bucket"


def scrape(service, accept=OPENMETRICS):
    answer = service.get("/metrics", port=service.metrics_port, headers={"Accept": accept})
    assert answer.status == 200
    return answer.body.decode()


def exemplars(service, name=DURATION):
    """Of all buckets, as {trace id: (labels of the bucket, exemplar)}. The parser is as strict as the specification."""
    found = {}
    for family in text_string_to_metric_families(scrape(service)):
        below = 0
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                assert sample.exemplar is None
                continue
            bound = float(sample.labels["le"])
            if sample.exemplar:
                (trace_id,) = sample.exemplar.labels.values()
                assert below < sample.exemplar.value <= bound or sample.exemplar.value == below == 0
                if sample.name == name:
                    found[trace_id] = (sample.labels, sample.exemplar)
            below = 0 if bound == float("inf") else bound
    return found


def exemplar_of(service, trace_id):
    """It is recorded just after the response was sent."""
    return wait_for(lambda: exemplars(service).get(trace_id), what=f"the exemplar {trace_id}")


def in_access_log(service, trace_id):
    """The request's line; nginx writes it within a second."""
    return wait_for(lambda: [line for line in service.access_log() if line["request_id"] == trace_id],
                    what=f"{trace_id} in the access log")[0]


def test_the_exemplar_of_a_slow_bucket_names_the_request_in_the_access_log(service):
    before = time.time()
    trace_id = service.get("/delay/0.3").headers["X-Request-ID"]
    labels, exemplar = exemplar_of(service, trace_id)
    assert labels["endpoint"] == "delay" and exemplar.value >= 0.3
    assert before + 0.3 <= float(exemplar.timestamp) <= time.time()
    line = in_access_log(service, trace_id)
    assert line["uri"] == "/delay/0.3" and line["seconds"] >= 0.3


def test_every_exemplar_is_in_its_bucket_and_in_the_access_log(service):
    for path in ("/", "/bye", "/status/500", "/block/0.01", "/delay/0.02", "/nowhere"):
        for _ in range(10):
            service.get(path)
    for name in (DURATION, QUEUE):
        found = exemplars(service, name)
        assert found
        for trace_id, (_, exemplar) in found.items():
            assert list(exemplar.labels) == ["trace_id"]
            in_access_log(service, trace_id)


def test_only_openmetrics_has_exemplars(service):
    service.get("/bye")
    wait_for(lambda: "trace_id" in scrape(service), what="an exemplar")
    assert "trace_id" not in scrape(service, "text/plain;version=0.0.4")
    run = run_program("metrics", "--format", "openmetrics", "--metrics-file", str(service.counters))
    assert run.returncode == 0 and "trace_id" not in run.stdout  # they are in the pool's memory, not in the file


def test_promtool_accepts_the_text_beside_exemplars(service):
    service.get("/bye")
    run = subprocess.run(["promtool", "check", "metrics"], input=scrape(service, "text/plain"), capture_output=True, text=True)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


def test_what_nginx_answered_by_itself_has_an_exemplar_too(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_REQUEST_TIMEOUT=1)
    answer = service.request("POST", "/hang")
    assert answer.status == 502
    trace_id = answer.headers["X-Request-ID"]
    labels, exemplar = exemplar_of(service, trace_id)
    assert labels["endpoint"] == "hang" and exemplar.value >= 1
    line = in_access_log(service, trace_id)
    assert line["method"] == "POST" and line["uri"] == "/hang" and line["status"] == 502


def test_no_exemplar_is_torn_while_workers_are_killed_under_load(own_service):
    service = own_service(WORKERS=2)
    ending = threading.Event()

    def load():
        while not ending.is_set():
            service.get("/bye")

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen = {}
    for _ in range(5):
        os.kill(wait_for(lambda: service.workers)[0], signal.SIGKILL)
        seen.update((trace_id, exemplar.value) for trace_id, (_, exemplar) in exemplars(service).items())
    ending.set()
    for thread in threads:
        thread.join()
    logged = wait_for(lambda: (lines := {line["request_id"]: line for line in service.access_log()}).keys() >= seen.keys() and lines,
                      what="all of them in the access log")
    assert seen and all(value <= logged[trace_id]["seconds"] + 1 for trace_id, value in seen.items())


def test_prometheus_stores_the_exemplar_of_a_request_and_finds_it_by_its_trace_id(service, prometheus):
    trace_id = service.get("/delay/1.2").headers["X-Request-ID"]

    def find():
        series = prometheus(f"/api/v1/query_exemplars?query={DURATION}&start=0&end={time.time() + 60}") or []
        return [(of["seriesLabels"], exemplar) for of in series for exemplar in of["exemplars"]
                if exemplar["labels"]["trace_id"] == trace_id]

    ((labels, exemplar),) = wait_for(find, 30, what="the exemplar in Prometheus")
    assert labels["endpoint"] == "delay" and 1.2 <= float(exemplar["value"]) <= float(labels["le"])
    assert in_access_log(service, trace_id)["uri"] == "/delay/1.2"
