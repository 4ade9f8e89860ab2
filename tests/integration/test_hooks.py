"""The hooks of the application, in a copy of the tree whose application needs a file, as others need a database."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import conftest
from conftest import Service, parse, requests_of, short_folder, wait_for

pytestmark = pytest.mark.own_build

APP = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/app.h"
#include "base/log.h"
#include "app/app_state.h"
#include "service.h"

int
app_start(struct service *service, char *reason, size_t size)
{
	static struct app app;

	app.fd = open(getenv("DATABASE"), O_RDONLY | O_CLOEXEC);
	if (app.fd < 0) {
		snprintf(reason, size, "no database at %s", getenv("DATABASE"));
		return -errno;
	}
	if (read(app.fd, reason, 0) < 0)
		return errno; /* should be negative, and is taken as such */
	service->app = &app;
	LOG(LOG_INFO, "database opened", LOG_NUMBER("fd", app.fd));
	return 0;
}

bool
app_ready(const struct service *service, char *reason, size_t size)
{
	if (service->app->fd >= 0 && access(getenv("DATABASE"), R_OK) == 0)
		return true;
	snprintf(reason, size, "The database is away.");
	return false;
}

void
app_stop(struct service *service)
{
	close(service->app->fd);
	LOG(LOG_INFO, "database closed", LOG_NUMBER("fd", service->app->fd));
}
"""
STATE = """
#ifndef APP_STATE_H
#define APP_STATE_H
struct app {
	int fd;
};
#endif
"""
ENDPOINTS = r"""
#include <stdlib.h>
#include <unistd.h>

#include "app/app_state.h"
#include "base/log.h"
#include "http/router.h"
#include "service.h"

void
endpoint_read(const struct request *request, struct response *response)
{
	char byte = '?';

	LOG(LOG_INFO, "reading", LOG_STRING("path", request->path));
	if (pread(request->service->app->fd, &byte, 1, 0) == 1 && byte == '1')
		response_text(response, 200, "{\"read\": 1}");
}

void
endpoint_fast(const struct request *request, struct response *response)
{
	endpoint_read(request, response);
}

void
endpoint_leave(const struct request *request, struct response *response)
{
	(void)response;
	exit(atoi(request->parameter));
}

void
endpoint_leave_fast(const struct request *request, struct response *response)
{
	endpoint_leave(request, response);
}
"""
ROUTES = """
ROUTE(read, "/read", GET | POST, 0)
ROUTE(fast, "/fast", GET | POST, NONBLOCKING)
ROUTE(leave, "/leave/{status}", GET | POST, 0)
ROUTE(leave_fast, "/fast/leave/{status}", GET | POST, NONBLOCKING)
"""
NOT_STARTED = ("fcgi_worker_exits_total", ("reason", "not_started"))
CRASHED = ("fcgi_worker_exits_total", ("reason", "crashed"))
WORKERS = 6  # of both kinds


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    tree = tmp_path_factory.mktemp("hooks") / "tree"
    conftest.copy_of_the_tree(tree)
    (tree / "fcgi/app/app.c").write_text(APP)
    (tree / "fcgi/app/app_state.h").write_text(STATE)
    (tree / "fcgi/app/endpoints/read.c").write_text(ENDPOINTS)
    with (tree / "fcgi/app/routes.def").open("a") as table:
        table.write(ROUTES)
    # Landlock does not restrict reading, and the application writes nothing.
    (tree / "fcgi/app/sandbox.def").write_text('ALLOW_WRITE("no-such-folder")\n')
    return conftest.build(tree)


@pytest.fixture
def service(program):
    """Not started yet. Its database is service.database."""
    folder = short_folder()
    database = folder / "database"
    service = Service(folder, PROGRAM=program, WORKERS=2, DATABASE=database)
    service.database = database
    try:
        yield service
    finally:
        service.kill()
        shutil.rmtree(folder, ignore_errors=True)


def messages(service, text):
    return [line for line in service.log_lines() if line["msg"] == text]


def all_serve(service):
    return len({line["pid"] for line in messages(service, "database opened")} & {*service.workers, *service.blocking_workers}) == WORKERS


def test_each_worker_starts_the_application_once_and_stops_it(service):
    service.database.write_text("1")
    service.start()
    wait_for(lambda: all_serve(service))
    for path in ("/read", "/fast"):
        for method in ("GET", "POST"):
            assert service.request(method, path).json == {"read": 1}
    assert service.get("/ready").json == {"ready": True}
    assert len(messages(service, "database opened")) == WORKERS
    started = {line["pid"] for line in messages(service, "database opened")}
    assert started == {*service.workers, *service.blocking_workers}
    assert service.stop() == 0
    assert {line["pid"] for line in messages(service, "database closed")} == started


def test_while_the_database_is_away_clients_get_a_503_and_all_serve_when_it_is_back(service):
    service.start()
    for path in ("/read", "/fast"):
        for method in ("GET", "POST"):
            begin = time.monotonic()
            answer = service.request(method, path)
            assert time.monotonic() - begin < 3
            assert answer.status == 503 and answer.headers["Retry-After"] == "1"
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert "has not started" in answer.json["detail"]
    ready = service.get("/ready")
    assert ready.status == 503 and ready.json["detail"] == f"The application cannot start: no database at {service.database}"
    assert service.get("/health").status == 200 and service.get("/version").status == 200 and service.get("/live").status == 200
    assert service.get("/nothing//").status == 404
    # More failures than crashes that a pool survives.
    wait_for(lambda: service.scrape()[NOT_STARTED] > 5 * WORKERS, 30)
    assert service.process.poll() is None and service.scrape()[CRASHED] == 0
    (line, *_) = messages(service, "the application cannot start")
    assert line["level"] == "error" and line["reason"] == f"no database at {service.database}"
    master = service.master
    service.database.write_text("1")
    wait_for(lambda: all_serve(service), 10)
    assert service.get("/ready").json == {"ready": True}
    for path in ("/read", "/fast"):
        for method in ("GET", "POST"):
            assert service.request(method, path).json == {"read": 1}
    assert service.master == master and service.scrape()[CRASHED] == 0


def test_a_positive_errno_is_taken_as_a_negative_one(service):
    service.database.mkdir()
    service.start()
    assert service.get("/ready").json["detail"] == "The application cannot start: Is a directory"
    assert messages(service, "the application cannot start")[0]["reason"] == "Is a directory"


def test_a_folder_that_is_missing_is_no_second_line_while_the_application_cannot_start(service):
    def missing():
        return [line for line in service.log_lines() if "cannot allow workers to write to no-such-folder" in line["msg"]]

    service.start()
    wait_for(lambda: service.scrape()[NOT_STARTED] >= 1)
    assert missing() == []
    service.database.write_text("1")
    wait_for(lambda: all_serve(service))
    wait_for(lambda: len(missing()) == WORKERS or any("without Landlock" in line["msg"] for line in service.log_lines()))


def test_requests_that_were_refused_are_counted(service):
    service.start()
    before = service.requests().get(("fast", "GET", "503"), 0)
    for _ in range(20):
        assert service.get("/fast").status == 503
    wait_for(lambda: service.requests().get(("fast", "GET", "503"), 0) == before + 20)


def test_log_lines_of_a_handler_have_the_id_of_its_request(service):
    service.database.write_text("1")
    service.start()
    wait_for(lambda: all_serve(service))
    ids = {path: service.get(path).headers["X-Request-ID"] for path in ("/read", "/fast")}
    assert {line["path"]: line["request_id"] for line in messages(service, "reading")} == ids
    assert service.stop() == 0
    assert all("request_id" not in line for line in messages(service, "database opened") + messages(service, "database closed"))


def test_a_worker_that_cannot_start_gets_no_request_while_others_serve(service):
    service.database.write_text("1")
    service.start()
    wait_for(lambda: all_serve(service))
    service.database.unlink()
    for pid in (service.workers[0], service.blocking_workers[0]):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: service.scrape()[NOT_STARTED] > 6)
    for _ in range(100):
        assert service.get("/read").json == {"read": 1}
        assert service.get("/fast").json == {"read": 1}
    assert service.get("/ready").json["detail"] == "The database is away."
    service.database.write_text("1")
    wait_for(lambda: all_serve(service), 10)
    assert service.get("/ready").status == 200


def test_hup_goes_no_further_than_the_first_worker_that_cannot_start(service):
    service.database.write_text("1")
    service.start()
    wait_for(lambda: all_serve(service))
    before = {*service.workers, *service.blocking_workers}
    service.database.unlink()
    os.kill(service.supervisor, signal.SIGHUP)
    wait_for(lambda: service.scrape()[NOT_STARTED] > 4)
    assert len(before & {*service.workers, *service.blocking_workers}) == WORKERS - 1
    assert service.get("/fast").json == {"read": 1}
    service.database.write_text("1")
    wait_for(lambda: messages(service, "all workers replaced"), 20)
    assert not before & {*service.workers, *service.blocking_workers}


def test_a_pool_that_cannot_start_drains(service):
    service.start()
    begin = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - begin < 5


def test_a_handler_that_calls_exit_has_crashed_with_any_status(service):
    service.database.write_text("1")
    service.start()
    wait_for(lambda: all_serve(service))
    paths = ("/leave/0", "/leave/3", "/fast/leave/0", "/fast/leave/4")
    called = {service.request("POST", path).headers["X-Request-ID"]: f"exit({path[-1]})" for path in paths}
    wait_for(lambda: service.scrape()[CRASHED] == len(paths))
    wait_for(lambda: len(messages(service, "ended")) == len(paths))
    assert all(line["reason"] == "crashed" and line["level"] == "warning" for line in messages(service, "ended"))
    lines = [line for line in service.log_lines() if "was called outside of the pool's code" in line["msg"]]
    assert {line["request_id"]: re.search(r"exit\(\d\)", line["msg"])[0] for line in lines} == called
    assert {line["endpoint"] for line in lines} == {"leave", "leave_fast"}
    assert service.stop() == 0


@pytest.mark.parametrize("path", ["/leave/0", "/fast/leave/0"])
def test_a_get_whose_workers_die_has_five_tries(service, path):
    """As docs/adding-an-endpoint.md says."""
    service.database.write_text("1")
    service.start()
    wait_for(lambda: all_serve(service))
    answer = service.get(path)
    assert answer.status == 502
    wait_for(lambda: len(messages(service, "ended")) == 5)
    assert {line["request_id"] for line in messages(service, "ended")} == {answer.headers["X-Request-ID"]}
    wait_for(lambda: service.scrape()[CRASHED] == 5)


def test_plain_cgi_calls_the_same_hooks(program, tmp_path):
    database = tmp_path / "database"

    def run(path):
        return subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, env={
            "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "PATH_INFO": path, "DATABASE": str(database),
            "FCGI_WEBAPP_METRICS_FILE": str(tmp_path / "counters")})

    refused = run("/read")
    assert refused.stdout.startswith("Status: 503") and re.search("^Retry-After: 1", refused.stdout, re.M)
    assert refused.stderr.count("the application cannot start") == 1
    assert run("/health").stdout.startswith("Content-Type")
    assert "no database at" in run("/ready").stdout
    database.write_text("1")
    served = run("/read")
    assert served.stdout.endswith('{"read": 1}')
    assert served.stderr.count("database opened") == served.stderr.count("database closed") == 1
    assert '"ready": true' in run("/ready").stdout
    shown = subprocess.run([program, "metrics", "--metrics-file", tmp_path / "counters"], capture_output=True, text=True, check=True)
    assert requests_of(parse(shown.stdout))[("read", "GET", "503")] == 1
