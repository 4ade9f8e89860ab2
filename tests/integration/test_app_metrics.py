"""The metrics of an application, in a copy of the tree that declares some: docs/adding-a-metric.md."""

import contextlib
import http.client
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

import conftest
from conftest import ROOT, exists, parse, wait_for

pytestmark = pytest.mark.own_build

SECONDS = float(os.environ.get("POOL_SECONDS", "5"))

# Names that no application has, so that these tests pass in a tree with metrics of its own.
METRICS = """
COUNTER_BY(sample_created_total, "Notes created.", "kind", VALUE(SAMPLE_short, "short") VALUE(SAMPLE_long, "long"))
COUNTER(sample_read_total, "Notes read.")
GAUGE(sample_open_files, "Files that workers have open.")
GAUGE_LAST(sample_stored, "Notes in the database.")
HISTOGRAM_BY(sample_query_seconds, "Time of a database query.", BUCKETS(0.001, 0.5, 2), "kind", VALUE(SAMPLE_read, "read"))
HISTOGRAM(sample_size_bytes, "Sizes of notes.", BUCKETS(100, 1000))
"""

# Each changes one metric by the number in the path; /kind/{text} counts a label.
HANDLERS = {
    "kind": "metric_add(service, sample_created_total, 1, metric_label(sample_created_total, text));",
    "read": "metric_add(service, sample_read_total, 1);",
    "long": "metric_add(service, sample_created_total, 1, SAMPLE_long);",
    "open": "metric_set(service, sample_open_files, number);",
    "more": "metric_add(service, sample_open_files, number);",
    "stored": "metric_set(service, sample_stored, number);",
    "query": "metric_observe(service, sample_query_seconds, number, SAMPLE_read);",
    "size": "metric_observe(service, sample_size_bytes, number);",
    "all": "metric_add(service, sample_read_total, 1); metric_add(service, sample_open_files, 1);"
           "metric_observe(service, sample_query_seconds, number, SAMPLE_read);",
}


def make_tree(folder, metrics=METRICS, handlers=True):
    conftest.copy_of_the_tree(folder)
    with (folder / "fcgi/app/metrics.def").open("a") as table:
        table.write(metrics)
    for name, call in HANDLERS.items() if handlers else ():
        with (folder / "fcgi/app/routes.def").open("a") as table:
            table.write(f'ROUTE(sample_{name}, "/sample/{name}/{{number}}", POST, NONBLOCKING)\n')
        (folder / f"fcgi/app/endpoints/sample_{name}.c").write_text(f"""
#include <stdlib.h>
#include "http/router.h"
#include "metric.h"
void
endpoint_sample_{name}(const struct request *request, struct response *response)
{{
	const struct service *service = request->service;
	const char *text = request->parameter;
	double number = strtod(text, NULL);

	(void)number;
	{call}
	response_text(response, 200, "{{}}");
}}
""")
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = make_tree(tmp_path_factory.mktemp("app") / "tree")
    conftest.build(folder)
    return folder


@pytest.fixture
def app(tree):
    with contextlib.ExitStack() as stack:
        yield lambda **arguments: stack.enter_context(
            conftest.running(PROGRAM=tree / "build/fcgi-webapp", **{"WORKERS": 2, **arguments}))


def post(service, path):
    assert service.request("POST", "/sample" + path).status == 200


def created(service):
    return {dict(key[1:])["kind"]: value for key, value in service.scrape().items() if key[0] == "sample_created_total"}


OPEN = ("sample_open_files",)
STORED = ("sample_stored",)
QUERIES = ("sample_query_seconds_count", ("kind", "read"))


def test_counters_gauges_and_histograms_are_in_both_formats(app):
    service = app()
    assert STORED not in service.scrape()  # nobody has set it
    for path in ("/kind/short", "/kind/long", "/kind/strange", "/long/1", "/stored/-7.5", "/query/0.25", "/query/3", "/size/100", "/size/101.4"):
        post(service, path)
    samples = service.scrape()
    assert created(service) == {"short": 1, "long": 2, "other": 1}
    assert samples[STORED] == -7.5
    assert samples[OPEN] == 0
    assert samples[QUERIES] == 2
    assert samples[("sample_query_seconds_count", ("kind", "other"))] == 0
    assert samples[("sample_query_seconds_sum", ("kind", "read"))] == 3.25
    assert samples[("sample_query_seconds_bucket", ("kind", "read"), ("le", "0.5"))] == 1
    assert samples[("sample_query_seconds_bucket", ("kind", "read"), ("le", "2.0"))] == 1
    assert samples[("sample_size_bytes_sum",)] == 201
    assert samples[("sample_size_bytes_bucket", ("le", "100.0"))] == 1
    headers = {"Accept": "application/openmetrics-text;version=1.0.0"}
    text = service.get("/metrics", port=service.metrics_port, headers=headers).body.decode()
    families = {family.name: family for family in parse_openmetrics(text)}
    assert (families["sample_created"].type, families["sample_created"].documentation) == ("counter", "Notes created.")
    assert (families["sample_query_seconds"].type, families["sample_query_seconds"].unit) == ("histogram", "seconds")
    assert families["sample_size_bytes"].unit == "bytes"
    assert families["sample_stored"].type == "gauge"
    plain = service.get("/metrics", port=service.metrics_port).body
    run = subprocess.run(["promtool", "check", "metrics"], input=plain, capture_output=True)
    assert (run.returncode, run.stdout + run.stderr) == (0, b"")
    printed = subprocess.run([service.environment["PROGRAM"], "metrics", "--metrics-file", service.counters],
                             capture_output=True, text=True, check=True).stdout
    assert parse(printed)[QUERIES] == 2 and parse(printed)[STORED] == -7.5


@pytest.mark.parametrize("number, reason", [("nan", "not a number"), ("-nan", "not a number"), ("-0.1", "negative"), ("inf", "too large"), ("1e11", "too large")])
def test_an_impossible_observation_is_counted_nowhere_and_logged_once(app, number, reason):
    service = app(WORKERS=1)
    for _ in range(3):
        post(service, f"/query/{number}")
    samples = service.scrape()
    assert {value for key, value in samples.items() if key[0].startswith("sample_query_seconds")} == {0}
    (line,) = [line for line in service.log_lines() if "refused" in line["msg"]]
    assert (line["metric"], line["reason"]) == ("sample_query_seconds", reason)


def test_a_gauge_that_is_not_finite_is_refused(app):
    service = app(WORKERS=1)
    post(service, "/open/3")
    for path in ("/open/nan", "/open/inf", "/more/-inf", "/stored/nan"):
        post(service, path)
    assert service.scrape()[OPEN] == 3
    assert STORED not in service.scrape()


def test_the_gauge_of_a_worker_that_died_does_not_count_and_the_last_one_stays(app):
    service = app(WORKERS=1)
    post(service, "/open/5")
    post(service, "/more/2")
    post(service, "/stored/12")
    assert service.scrape()[OPEN] == 7
    (victim,) = service.workers
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: service.workers and service.workers != [victim], what="a new worker")
    assert service.scrape()[OPEN] == 0
    assert service.scrape()[STORED] == 12
    post(service, "/more/4")
    assert service.scrape()[OPEN] == 4
    pool = [service.supervisor, service.master, *service.workers]
    os.kill(service.supervisor, signal.SIGKILL)
    wait_for(lambda: not any(exists(pid) for pid in pool), what="the end of all")
    service.process.wait(20)
    service.start()
    assert service.scrape()[OPEN] == 0
    assert service.scrape()[STORED] == 12


def test_gauges_survive_a_truncation_of_the_file(app):
    service = app(WORKERS=1)
    post(service, "/open/5")
    post(service, "/stored/12")
    uptime = service.get("/live").json["uptime_seconds"]
    wait_for(lambda: service.get("/live").json["uptime_seconds"] >= uptime + 2, what="a copy of the file")
    os.truncate(service.counters, 0)

    def found():
        with contextlib.suppress(AssertionError):
            return service.scrape()
    samples = wait_for(found, what="a scrape")
    assert (samples[OPEN], samples[STORED]) == (5, 12)


def test_plain_cgi_counts_too_and_has_no_gauge_of_a_worker(tree, tmp_path):
    program = tree / "build/fcgi-webapp"
    for path in ("/long/1", "/open/3", "/stored/4", "/query/0.1", "/read/1"):
        run = subprocess.run([program], capture_output=True, text=True, env={
            "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "POST", "PATH_INFO": "/sample" + path, "FCGI_WEBAPP_METRICS_FILE": str(tmp_path / "counters")})
        assert "Status: 200" in run.stdout or "{}" in run.stdout, run
    samples = parse(subprocess.run([program, "metrics", "--metrics-file", tmp_path / "counters"], capture_output=True, text=True, check=True).stdout)
    assert samples[("sample_created_total", ("kind", "long"))] == 1
    assert samples[("sample_read_total",)] == 1
    assert samples[QUERIES] == 1
    assert (samples[OPEN], samples[STORED]) == (0, 4)


def test_all_are_exact_while_processes_are_killed(app):
    """nginx sends a POST once, so a count lies between the answers and the attempts; killed ones may or may not count."""
    service = app(WORKERS=4)
    answered, failed, stop, low = [0] * 8, [0] * 8, threading.Event(), []

    def client(number):
        while not stop.is_set():
            try:
                good = service.request("POST", "/sample/all/0.25").status == 200
            except (OSError, http.client.HTTPException):
                good = False
            (answered if good else failed)[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    dice, kills, end, last = random.Random(1), 0, time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        pids = service.workers + ([service.master] if dice.random() < 0.1 else [])
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(pids), signal.SIGKILL)
                kills += 1
        with contextlib.suppress(AssertionError):
            now = service.scrape()[("sample_read_total",)]
            low += [(last, now)] if now < last else []
            last = now
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    wait_for(lambda: len(service.workers) == 4, what="all workers")
    samples = service.scrape()
    read, queries, total = samples[("sample_read_total",)], samples[QUERIES], samples[("sample_query_seconds_sum", ("kind", "read"))]
    print(f"{sum(answered)} answers, {sum(failed)} failures, {kills} kills; counter {read}, histogram {queries}, sum {total}")
    assert low == []
    assert kills > 0 and sum(answered) > 100
    for count in (read, queries, total / 0.25):
        assert sum(answered) <= count <= sum(answered) + sum(failed)
    # Nothing of the dead is in the gauge: after each worker has died once more it is 0.
    old = service.workers
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(service.workers) == 4 and not set(old) & set(service.workers), what="new workers")
    assert service.scrape()[OPEN] == 0
    before = service.scrape()
    for _ in range(50):
        post(service, "/all/0.25")
    after = service.scrape()
    assert after[OPEN] == 50
    assert after[QUERIES] - before[QUERIES] == after[("sample_read_total",)] - before[("sample_read_total",)] == 50


def test_a_change_of_labels_keeps_the_counts_of_those_that_stay(app, tree, tmp_path):
    changed = METRICS.replace('VALUE(SAMPLE_short, "short")', 'VALUE(SAMPLE_tiny, "tiny")').replace("BUCKETS(0.001, 0.5, 2)", "BUCKETS(0.01, 1)")
    other = make_tree(tmp_path / "other", changed)
    new_program = conftest.build(other)
    service = app()
    old_program = service.environment["PROGRAM"]
    for path in ("/kind/short", "/kind/long", "/kind/long", "/kind/what", "/query/0.25", "/stored/9", "/open/2"):
        post(service, path)
    assert service.stop() == 0
    service.environment["PROGRAM"] = str(new_program)
    service.start()
    samples = service.scrape()
    assert created(service) == {"tiny": 0, "long": 2, "other": 1}
    assert samples[("sample_query_seconds_bucket", ("kind", "read"), ("le", "1.0"))] == 1
    assert samples[("sample_query_seconds_bucket", ("kind", "read"), ("le", "0.01"))] == 0
    assert (samples[QUERIES], samples[STORED], samples[OPEN]) == (1, 9, 0)
    post(service, "/kind/tiny")
    assert service.stop() == 0
    service.environment["PROGRAM"] = old_program
    service.start()
    assert created(service) == {"short": 0, "long": 2, "other": 1}


@pytest.mark.parametrize("call", [
    "metric_add(service, sample_created_total, 1);",
    "metric_add(service, sample_created_total, 1, SAMPLE_read);",
    "metric_add(service, sample_read_total, 1, SAMPLE_long);",
    "metric_add(service, sample_raed_total, 1);",
    "metric_add(service, sample_read_total, -1);",
    "metric_set(service, sample_read_total, 1);",
    "metric_observe(service, sample_stored, 1);",
])
def test_a_call_that_does_not_fit_its_metric_does_not_compile(tree, tmp_path, call):
    source = tmp_path / "call.c"
    for statement, compiles in ((call, False), ("metric_add(service, sample_created_total, 1, SAMPLE_long);", True)):
        source.write_text(f'#include "metric.h"\nvoid f(const struct service *service);\nvoid f(const struct service *service) {{ {statement} }}\n')
        run = subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", f"-I{tree}/fcgi", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion",
                              "-Werror", "-c", "-o", tmp_path / "call.o", source], capture_output=True, text=True)
        assert (run.returncode == 0) == compiles, run.stderr


def test_a_tree_with_metrics_of_its_own_passes_the_unit_tests_and_those_of_the_docs(tmp_path):
    folder = make_tree(tmp_path / "tree", handlers=False)
    run = conftest.make_in(folder, "unit")
    assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]
    conftest.build(folder)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    run = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/docs/test_reference.py", "-k", "metric"],
                         cwd=folder, capture_output=True, text=True, timeout=300, env={**os.environ, "BUILD": "build"})
    assert run.returncode == 0, run.stdout[-3000:]


def check(tree, line, program=None):
    """The number of a line at the end of the table, and the check of the table; as after a rename if a program is named."""
    for name in ("Makefile", "scripts", "fcgi"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tree / name)
    table = tree / "fcgi/app/metrics.def"
    table.write_text(table.read_text() + line + "\n")
    if program:
        engine = tree / "fcgi/metrics/metrics.def"
        engine.write_text(re.sub(r'((STARTS|build_info), ")\w+?(_starts|_build_info)"', rf'\1{program}\3"', engine.read_text()))
    return len(table.read_text().splitlines()), conftest.make_in(tree, "build/check-metrics")


@pytest.mark.parametrize("line, fault", [
    ('COUNTER(sample_created, "Notes.")', "the names of counters end in _total"),
    ('GAUGE(sample_total, "Notes.")', "the names of counters end in _total"),
    ('COUNTER(http_sample_total, "Notes.")', "the engine's metrics"),
    ('GAUGE(sample_open, "")', "a help is one line"),
    ('GAUGE(sample_open, "A \\"note\\".")', "a help is one line"),
    ('GAUGE_BY(sample_open, "Notes.", "a-b", VALUE(A, "a"))', "a label has"),
    ('HISTOGRAM_BY(sample_seconds, "Time.", BUCKETS(1), "le", VALUE(A, "a"))', "that of buckets"),
    ('GAUGE_BY(sample_open, "Notes.", "kind", VALUE(A, "a b"))', "no space"),
    ('GAUGE_BY(sample_open, "Notes.", "kind", VALUE(A, "other"))', "without a VALUE"),
    ('GAUGE_BY(sample_open, "Notes.", "kind", VALUE(A, "a") VALUE(B, "a"))', "same value twice"),
    ('HISTOGRAM(sample_seconds, "Time.", BUCKETS(1, 0.5))', "that increase"),
    ('HISTOGRAM(sample_seconds, "Time.", BUCKETS(-1, 0.5))', "numbers from 0"),
    ('HISTOGRAM(sample_seconds, "Time.", BUCKETS(1)) GAUGE(sample_seconds_sum, "Sum.")', "sample_seconds_sum: sample_seconds in line"),
    ('COUNTER(sample_total, "Notes.") GAUGE(sample_created, "Time.")', "sample_created: sample_total in line"),
    ('GAUGE_BY(sample_open, "Notes.", "kind", )', "a label has at least one VALUE"),
    ('GAUGE_BY(sample_open, "Notes.", "kind", VALUE(A, "a") VALUE(A, "b"))', "the symbol A is taken by a VALUE in line"),
    ('GAUGE_BY(sample_open, "Notes.", "kind", VALUE(A, "a")) GAUGE_BY(sample_shut, "Notes.", "kind", VALUE(A, "a"))',
     "sample_shut: the symbol A is taken by a VALUE in line"),
    ('GAUGE_BY(sample_open, "Notes.", "kind", VALUE(a-b, "a"))', "the symbol of a VALUE has"),
    ('GAUGE_BY(sample_open, "Notes.", "type", VALUE(int, "int"))', "the symbol int is a word of C"),
    ('GAUGE_BY(sample_open, "Notes.", "system", VALUE(linux, "linux"))', "the symbol linux is a word of C"),
])
def test_a_line_that_prometheus_would_not_accept_fails_the_build(tmp_path, line, fault):
    number, run = check(tmp_path, line)
    assert run.returncode != 0 and fault in run.stderr, run.stderr
    assert run.stderr.startswith(f"fcgi/app/metrics.def:{number}: " + ("http_" if "http_" in line else "sample_"))


@pytest.mark.parametrize("name, is_taken", [("sample_starts_total", True), ("sample_build_info", True), ("sample_made_total", False)])
def test_the_engine_s_metrics_with_the_name_of_a_renamed_service_cannot_be_declared_again(tmp_path, name, is_taken):
    _, run = check(tmp_path, f'{"COUNTER" if name.endswith("_total") else "GAUGE"}({name}, "Notes.")', program="sample")
    assert ("the engine has a metric of this name" in run.stderr, run.returncode != 0) == (is_taken, is_taken), run.stderr
