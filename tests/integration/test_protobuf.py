"""The protobuf format, by Google's library and the official schema."""

import time

from conftest import parse, run_program, wait_for
from protobuf_metrics import decode, samples_of

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
