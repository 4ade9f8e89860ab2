"""A worker that tries what serving does not take dies, and the service goes on."""

import os
import pathlib
import signal

import pytest

import conftest
from conftest import wait_for

pytestmark = pytest.mark.own_build

ESCAPE = """
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/counters.h"
#include "http/router.h"
#include "service.h"

static void
open_socket(int number)
{
	(void)number;
	socket(AF_INET, SOCK_STREAM, 0);
}

static void
handle_signal(int number)
{
	struct sigaction action = {.sa_handler = open_socket};

	sigaction(number, &action, NULL);
	raise(number);
}

static void
block_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	sigprocmask(SIG_BLOCK, &set, NULL);
	open_socket(0);
}

static void *
do_nothing(void *nothing)
{
	return nothing;
}

void
endpoint_escape(const struct request *request, struct response *response)
{
	char *const arguments[] = {"true", NULL};
	const struct counters *counters = request->service->counters;
	pid_t master = (pid_t)scoreboard_entry(
	    &counters->scoreboard, SLOT_MASTER)->pid;
	pthread_t thread;
	pid_t pid;

	switch (request->parameter[0]) {
	case 'e':
		execv("/bin/true", arguments);
		break;
	case 's':
		socket(AF_INET, SOCK_STREAM, 0);
		break;
	case 'd': /* duplicate this process, without the C library */
		syscall(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L);
		break;
	case 'f':
		fork();
		break;
	case 'w':
		open("/tmp/fcgi-webapp-escaped", O_WRONLY | O_CREAT, 0600);
		break;
	case 't':
		syscall(SYS_tgkill, master, master, SIGTERM);
		break;
	case 'k':
		kill(master, SIGTERM);
		break;
	case 'c':
		(void)!ftruncate(counters->fd, 0);
		break;
	case 'm':
		mount("none", "/mnt", "tmpfs", 0, NULL);
		break;
	case 'i': /* ignore the sandbox: its signal has the number 31 */
		handle_signal(SIGSYS);
		break;
	case 'o': /* the same number for the kernel, but not for a filter */
		syscall(SYS_rt_sigaction, (1L << 32) + SIGSYS, 0L, 0L, 8L);
		break;
	case 'h':
		handle_signal(SIGRTMAX);
		break;
	case 'g': /* give the master a signal when this descriptor has input */
		fcntl(counters->fd, F_SETOWN, master);
		break;
	case 'b':
		block_signal();
		break;
	case 'r':
		(void)!system("true");
		break;
	case 'l':
		posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, NULL);
		break;
	case 'p':
		pthread_create(&thread, NULL, do_nothing, NULL);
		break;
	case 'a':
		abort();
	default:
		break;
	}
	response_text(response, 200, "{\\"escaped\\": true}");
}
"""


CRASHED = ("fcgi_worker_exits_total", ("reason", "crashed"))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The program without grants and with one endpoint more, which does what it should not."""
    tree = tmp_path_factory.mktemp("sandbox") / "tree"
    conftest.copy_of_the_tree(tree)
    (tree / "fcgi/app/sandbox.def").write_text("")
    (tree / "fcgi/app/endpoints/escape.c").write_text(ESCAPE)
    with (tree / "fcgi/app/routes.def").open("a") as table:
        table.write('ROUTE(escape, "/escape/{how}", POST, 0)\n')
    with conftest.running(PROGRAM=conftest.build(tree), WORKERS=2) as started:
        yield started


def kill_worker(service, how):
    """Let a worker make a system call that is refused. Return the answer and the new lines of the log."""
    before, master, logged = service.scrape()[CRASHED], service.master, len(service.log_lines())
    answer = service.request("POST", f"/escape/{how}")
    assert answer.status == 502
    wait_for(lambda: service.scrape()[CRASHED] == before + 1)
    assert service.master == master
    assert service.get("/health").status == 200
    return answer, service.log_lines()[logged:]


def refusals(lines):
    return [line for line in lines if "sandbox" in line["msg"]]


@pytest.mark.parametrize(("how", "call", "remedy"), [
    ("exec", "execve", "ALLOW_SYSCALL(execve)"),
    ("socket", "socket", "ALLOW_NETWORK"),
    ("duplicate", "clone", "ALLOW_SYSCALL(clone)"),
    ("write", "openat", "ALLOW_WRITE(folder)"),
    ("cut", "ftruncate", "ALLOW_WRITE(folder)"),
    ("mount", "mount", "ALLOW_SYSCALL(mount)"),
    ("tgkill", "tgkill", "ALLOW_SYSCALL(tgkill)"),
    ("kill", "kill", "ALLOW_SYSCALL(kill)"),
    ("ignore", "rt_sigaction", "ALLOW_SYSCALL(rt_sigaction)"),
    ("overflow", "rt_sigaction", "ALLOW_SYSCALL(rt_sigaction)"),
    ("handler", "socket", "ALLOW_NETWORK"),
    ("give", "fcntl", "ALLOW_SYSCALL(fcntl)"),
])
def test_a_worker_that_tries_to_escape_dies_and_the_log_names_call_and_remedy(service, how, call, remedy):
    answer, lines = kill_worker(service, how)
    [refusal] = refusals(lines)
    assert refusal["system_call"] == call
    assert f"add {remedy} to fcgi/app/sandbox.def" in refusal["msg"]
    assert refusal["level"] == "error" and refusal["role"] == "blocking worker" and refusal["endpoint"] == "escape"
    assert refusal["request_id"] == answer.headers["X-Request-ID"]
    [ended] = [line for line in lines if line["msg"] == "ended"]
    assert ended["signal"] == "Bad system call" and ended["reason"] == "crashed"
    [crashed] = [line for line in lines if line["msg"] == "crashed"]
    assert crashed["signal"] == "Bad system call" and crashed["request_id"] == refusal["request_id"]
    assert crashed["frames"].startswith("libc.so.6+0x") and "fcgi-webapp+0x" in crashed["frames"]
    assert not pathlib.Path("/tmp/fcgi-webapp-escaped").exists()


@pytest.mark.parametrize("how", ["block", "run", "launch", "pthread"])
def test_the_log_explains_a_refused_call_that_it_cannot_name(service, how):
    """The C library blocks all signals before it starts a program or a thread, so the handler of the sandbox does not run."""
    answer, lines = kill_worker(service, how)
    [ended] = [line for line in lines if line["msg"] == "ended"]
    assert ended["signal"] == "Bad system call" and ended["reason"] == "crashed"
    [refusal] = refusals(lines)
    assert "cannot name" in refusal["msg"] and "starts no process (fork(), system())" in refusal["msg"]
    assert refusal["level"] == "error" and refusal["role"] == "blocking worker" and refusal["endpoint"] == "escape"
    assert refusal["request_id"] == answer.headers["X-Request-ID"] and refusal["system_call"] == ""


def test_fork_ends_a_worker(service):
    """The fork() of newer C libraries blocks all signals, so the log does not always name the call."""
    _, lines = kill_worker(service, "fork")
    [refusal] = refusals(lines)
    assert refusal["system_call"] == "clone" or "cannot name" in refusal["msg"]


def test_a_signal_from_outside_is_not_taken_for_a_refused_call(service):
    logged = len(service.log_lines())
    os.kill(service.blocking_workers[0], signal.SIGSYS)
    [ended] = wait_for(lambda: [line for line in service.log_lines()[logged:] if line["msg"] == "ended"])
    assert ended["signal"] == "Bad system call"
    assert refusals(service.log_lines()[logged:]) == []


def test_a_worker_may_still_abort(service):
    assert service.request("POST", "/escape/abort").status == 502
    wait_for(lambda: any(line.get("signal") == "Aborted" for line in service.log_lines()))


def test_the_endpoint_itself_works(service):
    assert service.request("POST", "/escape/nothing").json == {"escaped": True}


def test_workers_and_the_metrics_process_can_gain_no_privileges(service):
    for pid in [*service.workers, service.metrics_process]:
        status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
