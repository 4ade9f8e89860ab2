"""The counter file of a running pool is truncated, deleted or replaced: the pool says so, counts it and goes on counting."""

import contextlib
import gzip
import os
import pathlib
import shutil
import signal
import threading

import pytest

from conftest import BLOCKING_WORKERS, run_program, total, wait_for

INCIDENTS = "fcgi_webapp_store_incidents_total"


class Load:
    """A client that asks for /version until it is stopped."""

    def __init__(self, service):
        self.service, self.answers, self.errors = service, 0, []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ended.wait(0.005):
            try:
                status = self.service.get("/version").status
                self.answers += 1
                if status != 200:
                    self.errors.append(status)
            except OSError as error:
                self.errors.append(repr(error))

    def __enter__(self):
        self.thread.start()
        wait_for(lambda: self.answers > 10, what="answers")
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def scrape(service):
    """All samples; asks again while the counts are being put back."""
    def whole():
        with contextlib.suppress(AssertionError):
            return service.scrape()
    return wait_for(whole, what="a scrape")


def incidents(service):
    return {dict(key[1:])["kind"]: int(value) for key, value in scrape(service).items() if key[0] == INCIDENTS}


def processes(service):
    return [service.supervisor, service.master, service.metrics_process, *sorted(service.workers)]


def bye(service, count):
    """So many requests for /bye, counted more than a second ago."""
    for _ in range(count):
        assert service.get("/bye").status == 200
    wait_for(lambda: byes(scrape(service)) == count, what="the counts")
    wait_for_a_second(service)


def wait_for_a_second(service):
    """A second of the service's own clock, and what its resolution hides."""
    uptime = service.get("/live").json["uptime_seconds"]
    wait_for(lambda: service.get("/live").json["uptime_seconds"] >= uptime + 2, what="two seconds")


def byes(samples):
    return samples.get(("http_requests_total", ("code", "200"), ("endpoint", "bye"), ("method", "GET")), 0)


def errors_logged(service, text):
    return [line for line in service.log_lines() if line["level"] == "error" and text in line["msg"]]


def printed(service):
    """What `fcgi-webapp metrics` prints of the file."""
    result = run_program("metrics", "--metrics-file", str(service.counters))
    return result.stdout if result.returncode == 0 else ""


@pytest.fixture
def counting(own_service):
    """A service that has counted 50 requests for /bye and some others."""
    service = own_service(WORKERS=3)
    bye(service, 50)
    return service


def assert_undisturbed(service, before, load):
    assert processes(service) == before, service.log.read_text()
    assert not load.errors
    assert not [line for line in service.log_lines() if line["msg"] == "ended"]


@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_a_truncated_file_is_made_whole_and_keeps_its_counts(counting, share):
    before, starts = processes(counting), total(scrape(counting), "fcgi_worker_starts_total")
    size = counting.counters.stat().st_size
    with Load(counting) as load:
        os.truncate(counting.counters, int(size * share))
        wait_for(lambda: errors_logged(counting, "was truncated"), what="a line in the log")
        wait_for(lambda: incidents(counting)["truncated"] == 1, what="the count")
        answers = load.answers
        wait_for(lambda: load.answers > answers + 20, what="more answers")
    assert_undisturbed(counting, before, load)
    samples = scrape(counting)
    assert byes(samples) == 50
    assert total(samples, "fcgi_worker_starts_total") == starts
    assert total(samples, "fcgi_workers") == 3 + BLOCKING_WORKERS
    assert counting.counters.stat().st_size == size
    assert len(errors_logged(counting, "was truncated")) == 1
    counting.stop()
    counting.start()
    assert byes(counting.scrape()) == 50
    assert incidents(counting) == {"truncated": 1, "overwritten": 0, "deleted": 0, "replaced": 0}


def test_a_file_truncated_again_and_again_loses_nothing_old_and_counts_nothing_twice(counting):
    before = processes(counting)
    with Load(counting) as load:
        for _ in range(300):
            os.truncate(counting.counters, 0)
            answers = load.answers
            if load.answers % 7 == 0:
                wait_for(lambda: load.answers > answers, what="an answer")
        wait_for(lambda: incidents(counting)["truncated"] >= 1, what="the count")
    assert_undisturbed(counting, before, load)
    wait_for(lambda: byes(scrape(counting)) == 50, what="the counts")
    samples = scrape(counting)
    version = samples["http_requests_total", ("code", "200"), ("endpoint", "version"), ("method", "GET")]
    assert version <= load.answers


def test_a_file_that_another_is_copied_over_keeps_its_counts(counting, tmp_path):
    before = processes(counting)
    copy = tmp_path / "copy"
    shutil.copy(counting.counters, copy)
    for _ in range(20):
        counting.get("/bye")
    wait_for_a_second(counting)
    with Load(counting) as load:
        with copy.open("rb") as source, counting.counters.open("r+b") as target:
            target.write(source.read())
        wait_for(lambda: incidents(counting)["overwritten"] == 1, what="the count")
    assert_undisturbed(counting, before, load)
    assert byes(scrape(counting)) == 70
    assert errors_logged(counting, "was written over")


def test_a_request_that_hangs_while_the_file_is_truncated_still_meets_its_deadline(own_service):
    service = own_service(WORKERS=3, FCGI_WEBAPP_REQUEST_TIMEOUT=2)
    statuses = []
    hanging = threading.Thread(target=lambda: statuses.append(service.request("POST", "/hang").status))
    hanging.start()
    wait_for(lambda: total(scrape(service), "fcgi_workers") == 3 + BLOCKING_WORKERS
             and scrape(service)["fcgi_workers", ("kind", "blocking"), ("state", "busy")] == 1, what="a busy worker")
    os.truncate(service.counters, 0)
    hanging.join(30)
    assert statuses in ([502], [504])
    wait_for(lambda: scrape(service)["fcgi_worker_exits_total", ("reason", "deadline")] == 1, what="the count")


def test_what_nginx_answered_by_itself_is_counted_once_over_a_truncation(counting):
    def refuse(count):
        for _ in range(count):
            assert b" 414 " in counting.raw(b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\n\r\n").split(b"\r\n")[0]

    def refused():
        return sum(value for key, value in scrape(counting).items() if key[0] == "http_requests_total" and ("code", "414") in key)
    refuse(20)
    wait_for(lambda: refused() == 20, what="the counts")
    wait_for_a_second(counting)
    os.truncate(counting.counters, 0)
    wait_for(lambda: incidents(counting)["truncated"] == 1, what="the count")
    assert refused() == 20
    wait_for_a_second(counting)
    refuse(5)
    wait_for(lambda: refused() >= 25, what="the new counts")
    wait_for_a_second(counting)
    assert refused() == 25


def test_a_deleted_file_is_saved_again_and_keeps_its_counts(counting):
    before = processes(counting)
    with Load(counting) as load:
        counting.counters.unlink()
        wait_for(lambda: errors_logged(counting, "was deleted"), what="a line in the log")
        wait_for(counting.counters.exists, what="the copy")
        assert counting.get("/bye").status == 200
    assert_undisturbed(counting, before, load)
    assert incidents(counting) == {"truncated": 0, "overwritten": 0, "deleted": 1, "replaced": 0}
    wait_for(lambda: 'endpoint="bye",method="GET",code="200"} 51' in printed(counting), what="the copy with the last count")
    for _ in range(9):
        counting.get("/bye")
    exact = counting.requests()["bye", "GET", "200"]
    assert counting.stop() == 0
    counting.start()
    assert counting.requests()["bye", "GET", "200"] == exact == 60
    assert incidents(counting)["deleted"] == 1
    assert len(errors_logged(counting, "was deleted")) == 1
    assert [path.name for path in counting.counters.parent.glob("counters*")] == ["counters"]


def test_the_copy_of_a_deleted_file_survives_that_all_are_killed(counting):
    counting.counters.unlink()
    wait_for(lambda: 'endpoint="bye",method="GET",code="200"} 50' in printed(counting), what="the copy")
    for pid in processes(counting):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    counting.stop()
    counting.start()
    assert counting.requests()["bye", "GET", "200"] == 50


def test_a_second_pool_is_refused_the_copy_of_a_deleted_file(counting, tmp_path):
    counting.counters.unlink()
    wait_for(counting.counters.exists, what="the copy")
    result = run_program("serve", "--socket", str(tmp_path / "a"), "--metrics-socket", str(tmp_path / "b"),
                         "--metrics-file", str(counting.counters))
    assert result.returncode == 1 and "another pool holds it" in result.stderr


def test_a_file_whose_folder_is_deleted_goes_on_and_is_saved_once_there_is_one(counting):
    before = processes(counting)
    with Load(counting) as load:
        shutil.rmtree(counting.counters.parent)
        wait_for(lambda: errors_logged(counting, "was deleted"), what="a line in the log")
        wait_for(lambda: errors_logged(counting, "cannot save the counts"), what="another")
        answers = load.answers
        wait_for(lambda: load.answers > answers + 20, what="more answers")
        counting.counters.parent.mkdir()
        wait_for(counting.counters.exists, what="the copy")
    assert_undisturbed(counting, before, load)
    assert len(errors_logged(counting, "cannot save the counts")) == 1
    assert byes(scrape(counting)) == 50
    counting.stop()
    counting.start()
    assert counting.requests()["bye", "GET", "200"] == 50


def test_a_file_that_replaces_it_is_left_alone_and_counting_goes_on(counting):
    before = processes(counting)
    other = counting.counters.with_name("other")
    other.write_text("precious")
    with Load(counting) as load:
        other.rename(counting.counters)
        wait_for(lambda: errors_logged(counting, "was replaced"), what="a line in the log")
        counting.get("/bye")
        wait_for_a_second(counting)
    assert_undisturbed(counting, before, load)
    assert counting.counters.read_text() == "precious"
    assert incidents(counting) == {"truncated": 0, "overwritten": 0, "deleted": 0, "replaced": 1}
    assert byes(scrape(counting)) == 51
    lines = errors_logged(counting, "was replaced")
    assert len(lines) == 1 and "the next start uses what is at the path now" in lines[0]["msg"]
    # What the line says to do.
    counting.counters.unlink()
    wait_for(lambda: 'endpoint="bye",method="GET",code="200"} 51' in printed(counting), what="the copy")


def test_a_file_that_is_moved_away_and_back_is_used_as_before(counting):
    before = processes(counting)
    away = counting.counters.with_name("away")
    counting.counters.rename(away)
    wait_for(counting.counters.exists, what="the copy")
    counting.get("/bye")
    away.rename(counting.counters)
    wait_for(lambda: [line for line in counting.log_lines() if "at its path again" in line["msg"]], what="a line in the log")
    assert processes(counting) == before
    inode = counting.counters.stat().st_ino
    wait_for_a_second(counting)
    assert counting.counters.stat().st_ino == inode
    counting.stop()
    counting.start()
    assert counting.requests()["bye", "GET", "200"] == 51


def test_a_bus_error_that_is_not_the_files_still_ends_the_process(counting):
    victim = counting.workers[0]
    os.kill(victim, signal.SIGBUS)
    wait_for(lambda: [line for line in counting.log_lines() if line.get("signal") == "Bus error"], what="its end")
    assert counting.get("/health").status == 200


def test_a_counter_file_of_0_1_0_is_taken_over_with_all_counts(own_service):
    service = own_service(start=False)
    service.counters.parent.mkdir()
    old = gzip.decompress((pathlib.Path(__file__).parent / "counters-0.1.0.gz").read_bytes())
    service.counters.write_bytes(old)
    service.start()
    samples = service.scrape()
    counts = {key: count for key, count in service.requests().items() if key[0] != "health"}
    assert counts == {
        ("root", "GET", "200"): 7, ("bye", "GET", "200"): 7, ("bye", "PUT", "405"): 1, ("version", "GET", "200"): 25,
        ("status", "GET", "418"): 1, ("delay", "GET", "200"): 1, ("crash", "POST", "502"): 1, ("other", "GET", "404"): 1}
    # Counts are found by name. The file has the name that the service had in 0.1.0, and scripts/rename may have changed it since.
    assert samples[("fcgi_webapp_starts_total",)] == 1 + (b"fcgi_webapp_starts_total" in old)
    assert samples["fcgi_worker_exits_total", ("reason", "drained")] == 2
    assert samples["fcgi_worker_exits_total", ("reason", "crashed")] == 1
    # 44 requests in 0.1.0 without /health, of which one took 0.3 s.
    assert total({key: value for key, value in samples.items() if ("endpoint", "health") not in key},
                 "http_request_duration_seconds_count") == sum(counts.values())
    assert samples[("fcgi_webapp_store_recoveries_total",)] == 0
    assert not [line for line in service.log_lines() if line["level"] == "error"]
