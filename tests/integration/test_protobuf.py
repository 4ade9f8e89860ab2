"""The protobuf format, by Google's library and the official schema."""

import contextlib
import gzip
import os
import pathlib
import signal
import subprocess
import time

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from conftest import parse, run_program, running_prometheus, total, wait_for
from protobuf_metrics import NATIVE, agreed_counts, decode, labels_of, native_buckets, samples_of

# As Prometheus 3 really sends it with scrape_native_histograms: scrape/scrape.go.
PROTOBUF_FIRST = ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
                  "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
                  "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1")


def scrape(service):
    answer = service.get("/metrics", port=service.metrics_port, headers={"Accept": PROTOBUF_FIRST})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    return decode(answer.body)


def printed(service, form):
    run = run_program("metrics", "--metrics-file", str(service.counters), "--format", form, text=False)
    assert run.returncode == 0 and run.stderr == b""
    return run.stdout


def without_kernel(samples):
    return {key: value for key, value in samples.items() if not key[0].startswith(("cgroup_", "process_"))}


def test_the_official_schema_decodes_every_family_and_reads_what_the_text_says(own_service):
    service = own_service(WORKERS=2)
    for path in ("/", "/bye", "/status/503", "/nope//", "/delay/0.02", "/block/0.02"):
        service.get(path)
    wait_for(lambda: sum(service.requests().values()) >= 6, what="the counts")
    text = parse(service.get("/metrics", port=service.metrics_port).body.decode())
    families = scrape(service)
    assert len({family.name for family in families}) == len(families)
    assert set(samples_of(families)) == set(text)
    service.stop()
    assert without_kernel(samples_of(decode(printed(service, "protobuf")))) == without_kernel(parse(printed(service, "text").decode()))


def test_what_the_counter_file_counts_has_its_birth_and_nothing_else_has(own_service):
    service = own_service(WORKERS=2)

    def births():
        of_file, of_others = set(), set()
        for family in scrape(service):
            for metric in family.metric:
                if metric.HasField("gauge"):
                    continue
                value = metric.counter if metric.HasField("counter") else metric.histogram
                birth = value.created_timestamp.ToNanoseconds() if value.HasField("created_timestamp") else None
                (of_others if family.name.startswith(("cgroup_", "process_")) else of_file).add(birth)
        return of_file, of_others

    (birth,), others = births()
    assert others <= {None}
    service.stop()
    assert 0 <= time.time_ns() - birth < 3600 * 10 ** 9
    # More workers: a new file, with the counts of the old one.
    service.environment["WORKERS"] = "7"
    service.start()
    assert births()[0] == {birth}


def test_buckets_have_the_exemplars_that_openmetrics_has(own_service):
    service = own_service(WORKERS=2)
    trace_id = service.get("/block/0.3").headers["X-Request-ID"]

    def of_openmetrics():
        text = service.get("/metrics", port=service.metrics_port, headers={"Accept": "application/openmetrics-text;version=1.0.0"}).body.decode()
        return {sample.exemplar.labels["trace_id"]: (float(sample.labels["le"]), sample.exemplar.value, round(float(sample.exemplar.timestamp), 3))
                for family in parse_openmetrics(text) for sample in family.samples
                if sample.exemplar and family.name == NATIVE[0]}

    def of_protobuf():
        found = {}
        for family in scrape(service):
            for metric in family.metric if family.name == NATIVE[0] else ():
                for bucket in metric.histogram.bucket:
                    if bucket.HasField("exemplar"):
                        (label,) = bucket.exemplar.label
                        assert label.name == "trace_id"
                        seconds = round(bucket.exemplar.timestamp.ToNanoseconds() / 1e9, 3)
                        found[label.value] = (bucket.upper_bound, bucket.exemplar.value, seconds)
        return found

    wait_for(lambda: trace_id in of_protobuf(), what="the exemplar")
    # One that is recorded between the two scrapes is in the next ones, too.
    wait_for(lambda: of_protobuf() == of_openmetrics(), what="the same exemplars")


def test_native_and_classic_buckets_agree_in_every_scrape_while_workers_are_killed(own_service):
    service = own_service(WORKERS=2)
    load = subprocess.Popen(["wrk", "-t1", "-c16", "-d4", f"http://127.0.0.1:{service.port}/"], stdout=subprocess.DEVNULL)
    kills = 0
    before = dict.fromkeys(NATIVE, 0)
    while load.poll() is None:
        counts = agreed_counts(scrape(service))
        assert all(counts[name] >= before[name] for name in NATIVE)
        before = counts
        for pid in service.workers[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                kills += 1
    assert kills
    service.stop()
    counts = agreed_counts(decode(printed(service, "protobuf")))
    text = parse(printed(service, "text").decode())
    for name in NATIVE:
        # A worker counts in a cell first, and may be killed before it counts for the text.
        assert 0 <= counts[name] - total(text, f"{name}_count") <= kills
    assert counts[NATIVE[0]] > 1000


def delays(service):
    """What /block has: {index: count} of its native buckets, and its sum."""
    (family,) = [family for family in scrape(service) if family.name == NATIVE[0]]
    (metric,) = [metric for metric in family.metric if ("endpoint", "block") in labels_of(metric)]
    return {index: count for index, count in native_buckets(metric.histogram).items() if count}, metric.histogram.sample_sum


def test_a_request_is_in_the_native_bucket_of_its_time(own_service):
    service = own_service(WORKERS=2)

    assert delays(service) == ({}, 0)
    service.get("/block/0.5")
    wait_for(lambda: delays(service)[0], what="the count")
    buckets, seconds = delays(service)
    (index,) = buckets
    assert buckets[index] == 1 and seconds >= 0.5
    assert 2 ** ((index - 1) / 8) < seconds <= 2 ** (index / 8)


def test_a_counter_file_of_0_1_0_has_the_same_counts_in_both_kinds(own_service):
    service = own_service(start=False)
    service.counters.parent.mkdir()
    service.counters.write_bytes(gzip.decompress((pathlib.Path(__file__).parent / "counters-0.1.0.gz").read_bytes()))
    service.start()
    counts = agreed_counts(scrape(service))
    assert counts[NATIVE[0]] >= 44


def test_a_prometheus_with_native_histograms_takes_them_and_answers_quantiles(own_service, tmp_path):
    service = own_service(WORKERS=2)
    with running_prometheus(service, tmp_path, "native-histograms") as ask:
        def value(query):
            samples = ask(query=query)
            return float(samples[0]["value"][1]) if samples else None

        wait_for(lambda: value("up") == 1, 30, (tmp_path / "log").read_text)
        # The first scrape found no such requests, so what a later one finds is an increase.
        for _ in range(10):
            service.get("/block/0.05")
        wait_for(lambda: value('histogram_count(http_request_duration_seconds{endpoint="block"})') == 10, 30, "the counts")
        quantile = wait_for(lambda: value('histogram_quantile(0.9, rate(http_request_duration_seconds{endpoint="block"}[1m]))'),
                            30, "two scrapes")
        buckets, _ = delays(service)
        assert 2 ** ((min(buckets) - 1) / 8) < quantile <= 2 ** (max(buckets) / 8)
        assert value("count(http_request_queue_seconds)") == 1
        # This version takes one kind or the other.
        assert ask(query="http_request_duration_seconds_bucket") == []
        assert value("fcgi_webapp_starts_total") == 1
