"""A worker that tries what serving does not take dies, and the service goes on."""

import pathlib
import shutil
import subprocess

import pytest

from conftest import ROOT, Service, short_folder, wait_for

ESCAPE = """
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/counters.h"
#include "http/router.h"
#include "service.h"

void
endpoint_escape(const struct request *request, struct response *response)
{
	char *const arguments[] = {"true", NULL};

	switch (request->parameter[0]) {
	case 'e':
		execv("/bin/true", arguments);
		break;
	case 's':
		socket(AF_INET, SOCK_STREAM, 0);
		break;
	case 'f':
		fork();
		break;
	case 'w':
		open("/tmp/fcgi-webapp-escaped", O_WRONLY | O_CREAT, 0600);
		break;
	case 't':
		syscall(SYS_tgkill, getppid(), getppid(), SIGTERM);
		break;
	case 'k':
		kill(getppid(), SIGTERM);
		break;
	case 'c':
		(void)!ftruncate(request->service->counters->fd, 0);
		break;
	case 'a':
		abort();
	default:
		break;
	}
	response_text(response, 200, "{\\"escaped\\": true}");
}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The program with one endpoint more, which does what it should not."""
    tree = tmp_path_factory.mktemp("sandbox") / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    (tree / "fcgi/app/endpoints/escape.c").write_text(ESCAPE)
    with (tree / "fcgi/app/routes.def").open("a") as table:
        table.write('ROUTE(escape, "/escape/{how}", POST, 0)\n')
    subprocess.run(["make", "-s", "-j2", "build/fcgi-webapp", "BUILD=build"], cwd=tree, check=True, timeout=300)
    folder = short_folder()
    started = Service(folder, PROGRAM=tree / "build/fcgi-webapp", WORKERS=2)
    try:
        yield started.start()
    finally:
        started.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("how", ["exec", "socket", "fork", "write", "tgkill", "kill", "cut"])
def test_a_worker_that_tries_to_escape_dies_and_the_service_goes_on(service, how):
    crashed = ("fcgi_worker_exits_total", ("reason", "crashed"))
    before, master = service.scrape()[crashed], service.master
    assert service.request("POST", f"/escape/{how}").status == 502
    wait_for(lambda: service.scrape()[crashed] == before + 1)
    assert any(line.get("signal") == "Bad system call" for line in service.log_lines())
    assert not pathlib.Path("/tmp/fcgi-webapp-escaped").exists()
    assert service.master == master
    assert service.get("/health").status == 200


def test_a_worker_may_still_abort(service):
    assert service.request("POST", "/escape/abort").status == 502
    wait_for(lambda: any(line.get("signal") == "Aborted" for line in service.log_lines()))


def test_the_endpoint_itself_works(service):
    assert service.request("POST", "/escape/nothing").json == {"escaped": True}


def test_workers_and_the_metrics_process_can_gain_no_privileges(service):
    for pid in [*service.workers, service.metrics_process]:
        status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
