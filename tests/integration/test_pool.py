"""What happens when something dies, hangs or is replaced: clients do not notice."""

import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from conftest import BLOCKING_WORKERS, ROOT, children, exists, name_of, run_program, stat_of, wait_for

STARTS = ("fcgi_worker_starts_total",)
CRASHED = ("fcgi_worker_exits_total", ("reason", "crashed"))
SECONDS = float(os.environ.get("POOL_SECONDS", "5"))


@contextlib.contextmanager
def load_of(service, connections=64, paths=("/", "/health", "/ready", "/bye", "/version", "/nope//", "/status/204", "/delay/0.01", "/block/0.002")):
    """GETs over kept connections while the block runs; yields (answers, failures)."""
    answers, failures, stop = [0], [], threading.Event()
    expected = {"/nope//": (404,), "/status/204": (204,), "/ready": (200, 503)}

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        while not stop.is_set():
            path = paths[number % len(paths)]
            number += 1
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read()
                answers[0] += 1
                if answer.status not in expected.get(path, (200,)):
                    failures.append((path, answer.status, body[:200]))
            except (OSError, http.client.HTTPException) as error:
                failures.append((path, repr(error)))
                connection.close()
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield answers, failures
    finally:
        stop.set()
        for thread in threads:
            thread.join()


KILLER = """
import json, os, random, signal, sys, time
sys.path.insert(0, sys.argv[1])
from collections import Counter
from conftest import children, name_of
dice, kills, end = random.Random(1), Counter(), time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    pids = children(int(sys.argv[2]))
    pids += [worker for pid in pids for worker in children(pid)]
    try:
        pid = dice.choice(pids)
        name = name_of(pid)
        os.kill(pid, signal.SIGKILL)
        kills[name] += 1
    except (ProcessLookupError, IndexError):
        pass
    time.sleep(0.1)
print(json.dumps(kills))
"""


def test_no_get_fails_while_any_process_but_the_supervisor_is_killed(own_service):
    """By a process of its own, every 100 ms: the clients here are threads, which would hold it up."""
    service = own_service(WORKERS=4)
    with load_of(service) as (answers, failures):
        killer = subprocess.run([sys.executable, "-c", KILLER, os.path.dirname(__file__), str(service.supervisor), str(SECONDS)],
                                capture_output=True, text=True, check=True)
    kills = json.loads(killer.stdout)
    print(f"{answers[0]} answers, kills: {kills}, {len(failures)} failures")
    assert failures == []
    assert answers[0] > 1000 and sum(kills.values()) > 0


def test_hup_replaces_every_worker_and_no_request_fails(own_service):
    service = own_service(WORKERS=3)
    with load_of(service) as (answers, failures):
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            before = service.workers
            os.kill(service.master, signal.SIGHUP)
            wait_for(lambda: len(service.workers) == 3 and not set(before) & set(service.workers), 20, "new workers")
    print(f"{answers[0]} answers, {len(failures)} failures")
    assert failures == []
    assert service.scrape()[("fcgi_worker_exits_total", ("reason", "crashed"))] == 0
    assert service.scrape()[("fcgi_worker_exits_total", ("reason", "drained"))] >= 3


def test_recycling_after_max_requests_drains_first(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_MAX_REQUESTS=200)
    with load_of(service, connections=16) as (answers, failures):
        wait_for(lambda: service.scrape()[("fcgi_worker_exits_total", ("reason", "recycled"))] >= 5, 30)
    assert failures == []
    assert service.scrape()[("fcgi_worker_exits_total", ("reason", "crashed"))] == 0


def test_term_under_load_answers_every_accepted_request(own_service):
    service = own_service(WORKERS=2)
    slow = []
    clients = [threading.Thread(target=lambda: slow.append(service.get("/delay/1.5").status)) for _ in range(20)]
    for thread in clients:
        thread.start()
    wait_for(lambda: service.get("/live").json["workers"]["connections"] >= 20)
    outcomes, refused, stop = [], [], threading.Event()

    def client():
        while not stop.is_set():
            try:
                outcomes.append(service.get("/bye").status)
            except ConnectionRefusedError:
                refused.append(1)
                return
            except (OSError, http.client.HTTPException) as error:
                # A client nginx had not accepted yet when it closed its port.
                refused.append(error)
                return

    more = [threading.Thread(target=client) for _ in range(8)]
    for thread in more:
        thread.start()
    started = time.monotonic()
    status = service.stop(signal.SIGTERM)
    stop.set()
    for thread in clients + more:
        thread.join()
    assert status == 0
    assert slow == [200] * 20
    assert set(outcomes) == {200}
    assert time.monotonic() - started < 30


def test_the_pool_alone_finishes_what_runs_and_answers_ready_with_503(own_service):
    service = own_service(WORKERS=2)
    slow = []
    thread = threading.Thread(target=lambda: slow.append(service.get("/delay/1").status))
    thread.start()
    wait_for(lambda: service.get("/live").json["workers"]["connections"] >= 2)
    os.kill(service.master, signal.SIGTERM)
    thread.join()
    assert slow == [200]
    service.process.wait(40)
    assert not (service.run_dir / "app.sock").exists()


def test_a_drain_ends_at_its_time_out_and_says_so_once(own_service):
    """One worker is traced, and the master can reap it only after its tracer: so it wakes up more than once until all have ended.
    That worker is stopped, so that it ends by SIGKILL: the leak check at an exit does not work under ptrace."""
    service = own_service(WORKERS=2, FCGI_WEBAPP_DRAIN_TIMEOUT=1)

    def cut_off():
        with contextlib.suppress(OSError, http.client.HTTPException):
            service.get("/delay/30")

    thread = threading.Thread(target=cut_off)
    thread.start()
    wait_for(lambda: service.get("/live").json["workers"]["connections"] >= 2)
    started = time.monotonic()
    master, victim = service.master, service.blocking_workers[0]
    is_traced = ctypes.CDLL(None).ptrace(0x4206, victim, None, None) == 0  # PTRACE_SEIZE
    if is_traced:
        os.kill(victim, signal.SIGSTOP)
        os.waitpid(victim, 0)
    os.kill(master, signal.SIGTERM)
    if is_traced:
        wait_for(lambda: children(master) == [victim] and not exists(victim), 10, "the other workers' end")
        os.waitpid(victim, 0)
    wait_for(lambda: not exists(master), 10, "the master's end")
    assert time.monotonic() - started < 5
    thread.join()
    if not is_traced:
        pytest.skip("ptrace is refused, so all workers end at once")
    assert len([line for line in service.log_lines() if line["msg"].startswith("drain time-out")]) == 1


def test_a_hung_request_is_killed_at_its_deadline_and_only_its_caller_sees_it(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_REQUEST_TIMEOUT=1)
    hung = []
    with load_of(service, connections=16) as (answers, failures):
        thread = threading.Thread(target=lambda: hung.append(service.request("POST", "/hang")))
        thread.start()
        thread.join()
    assert hung[0].status in (502, 504)
    assert hung[0].headers["Content-Type"] == "application/problem+json"
    assert failures == []
    wait_for(lambda: service.scrape()[("fcgi_worker_exits_total", ("reason", "deadline"))] == 1)
    (line,) = [line for line in service.log_lines() if line["msg"] == "over its deadline: killed"]
    assert line["endpoint"] == "hang"
    assert line["request_id"] == hung[0].headers["X-Request-ID"]


def test_a_stopped_worker_is_killed_at_the_deadline_and_no_get_fails(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_REQUEST_TIMEOUT=1)
    with load_of(service, connections=16) as (answers, failures):
        victim = service.workers[0]
        os.kill(victim, signal.SIGSTOP)
        wait_for(lambda: not exists(victim), 10, "the end of the stopped worker")
        wait_for(lambda: len(service.workers) == 2)
    assert failures == []


def test_a_worker_that_is_stopped_and_goes_on_in_time_lives(own_service):
    service = own_service(WORKERS=2, FCGI_WEBAPP_REQUEST_TIMEOUT=3)
    victim = service.workers[0]
    os.kill(victim, signal.SIGSTOP)
    wait_for(lambda: service.scrape()[("fcgi_workers", ("kind", "nonblocking"), ("state", "stopped"))] == 1)
    os.kill(victim, signal.SIGCONT)
    wait_for(lambda: service.scrape()[("fcgi_workers", ("kind", "nonblocking"), ("state", "stopped"))] == 0)
    assert victim in service.workers


def test_a_crash_is_a_502_for_its_caller_alone(own_service):
    service = own_service(WORKERS=2)
    # One crash fewer than a GET has tries (@again in nginx.conf): with these one after another, and each worker that comes
    # up the only one, the same GET may meet them all.
    before = service.scrape()[STARTS]
    with load_of(service, connections=16) as (answers, failures):
        for crash in range(4):
            answer = service.request("POST", "/crash")
            wait_for(lambda: service.scrape()[STARTS] > before + crash)
            assert answer.status == 502
            assert answer.headers["Content-Type"] == "application/problem+json"
    assert failures == []
    assert service.scrape()[("fcgi_worker_exits_total", ("reason", "crashed"))] == 4


def test_a_post_is_not_sent_twice(own_service):
    service = own_service(WORKERS=2)
    before = service.scrape()
    assert service.request("POST", "/crash").status == 502
    after = wait_for(lambda: (found := service.scrape())[STARTS] > before[STARTS] and found)
    assert after[STARTS] == before[STARTS] + 1
    assert after[CRASHED] == before[CRASHED] + 1


def test_a_post_to_a_path_that_only_answers_get_survives_the_death_of_its_worker(own_service):
    """It goes over a kept connection, like a GET, and its 405 has no effect."""
    service = own_service(WORKERS=1, NGINX_WORKERS=1)
    assert service.get("/").status == 200
    (victim,) = service.workers
    os.kill(victim, signal.SIGSTOP)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(service.request("POST", "/")))
    thread.start()
    wait_for(lambda: b"Writing: 2" in service.get("/nginx_status", port=service.metrics_port).body, what="the request in the worker")
    os.kill(victim, signal.SIGKILL)
    thread.join()
    assert answers[0].status == 405
    assert service.requests().get(("root", "POST", "502")) is None


def test_with_the_pool_gone_it_is_a_502_problem_at_once(own_service):
    service = own_service(start=False)
    service.process = subprocess.Popen([ROOT / "scripts/nginx"], env=service.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answer():
        with contextlib.suppress(OSError):
            return service.get("/bye", timeout=5)

    first = wait_for(answer)
    assert first.status == 502
    assert first.headers["Content-Type"] == "application/problem+json"
    assert first.json["status"] == 502


def test_kill_of_the_supervisor_leaves_no_process_and_a_new_start_works_at_once(own_service):
    service = own_service(WORKERS=4)
    pool = [service.supervisor, *children(service.supervisor), *children(service.master)]
    assert len(pool) == 3 + 4 + BLOCKING_WORKERS
    started = time.monotonic()
    os.kill(service.supervisor, signal.SIGKILL)
    wait_for(lambda: not any(exists(pid) for pid in pool), 2, "the end of all")
    assert time.monotonic() - started < 1
    service.process.wait(20)
    service.start()
    assert service.get("/health").status == 200


def test_workers_that_die_before_they_serve_make_the_master_give_up(tmp_path):
    from conftest import PROGRAM, short_folder
    folder = short_folder()
    pool = subprocess.Popen([PROGRAM, "serve", "--workers", "4", "--socket", f"{folder}/a", "--metrics-socket", f"{folder}/m",
                             "--metrics-file", f"{folder}/c"], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while pool.poll() is None and time.monotonic() < deadline:
            for pid in [worker for master in children(pool.pid) for worker in children(master)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        assert pool.wait(10) == 1
        lines = pool.stderr.read().splitlines()
        assert any("giving up" in line for line in lines) and "ended in failure" in lines[-1]
        assert not os.path.exists(f"{folder}/a")
    finally:
        if pool.poll() is None:
            pool.kill()
            pool.wait()


# --- untrusted bytes on the FastCGI socket ------------------------------------------------------------------------


def record(kind, content=b"", request_id=1, version=1, padding=0, length=None):
    return struct.pack("!BBHHBB", version, kind, request_id, len(content) if length is None else length, padding, 0) + content + b"\0" * padding


BEGIN = record(1, b"\0\1\1\0\0\0\0\0")
PARAMS = record(4, b"\x0e\x03REQUEST_METHODGET" + b"\x09\x04PATH_INFO/bye") + record(4)
DELAY = record(4, b"\x0e\x03REQUEST_METHODGET" + b"\x09\x0aPATH_INFO/delay/0.2") + record(4)
STDIN = record(5)
GET_VALUES = record(9, b"".join(b"\x0f\x00FCGI_MPXS_CONNS" for _ in range(200)), request_id=0)


@pytest.mark.parametrize("data", [
    os.urandom(4096), b"\0" * 4096, GET_VALUES, BEGIN + GET_VALUES, BEGIN + PARAMS + GET_VALUES,
    *[record(kind, b"x" * 100, request_id) for kind in range(0, 13) for request_id in (0, 1)],
    *[BEGIN + record(kind, b"x" * 100) for kind in range(0, 13)],
    BEGIN + record(4, b"\xff\xff\xff\xff\xff\xff\xff\xffx"), BEGIN + record(4, b"\x7f\x7fx"), BEGIN + record(2) + PARAMS,
    record(1, b"\0\2\1\0\0\0\0\0") + PARAMS, BEGIN + PARAMS + record(5, b"x", request_id=7),
    BEGIN + record(4, b"\x01\x01ab" * 16000) * 3,
])
def test_bytes_that_nginx_never_sends_close_the_connection_and_harm_nobody(service, data):
    workers = service.workers
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(service.run_dir / "app.sock"))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(65536):
                pass
    assert service.get("/bye").status == 200
    assert service.workers == workers


def test_a_whole_request_from_a_peer_that_then_leaves_is_answered(service):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(service.run_dir / "app.sock"))
        peer.sendall(BEGIN + PARAMS + STDIN)
        answer = peer.recv(65536)
    assert b'{"msg": "Bye Bye"}' in answer


def test_thousands_of_half_open_connections_do_not_keep_an_honest_one_out(own_service):
    service = own_service(WORKERS=2)
    peers = []
    try:
        for number in range(3000):
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(5)
            try:
                peer.connect(str(service.run_dir / "app.sock"))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    peer.sendall(BEGIN[: 1 + number % 15])
            except OSError:
                peer.close()
                break
            peers.append(peer)
        assert len(peers) > 2000
        for _ in range(20):
            assert service.get("/bye").status == 200
        assert resident(service.workers) < 64 << 20
    finally:
        for peer in peers:
            peer.close()


def test_params_that_never_stop_are_cut_off(service):
    sent = 0
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(service.run_dir / "app.sock"))
        peer.sendall(BEGIN)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 16 << 20:
                sent += peer.send(record(4, b"\x01\x01ab" * 8000))
    assert sent < 16 << 20
    assert service.get("/bye").status == 200


def resident(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as status:
            total += int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) * 1024
    return total


def test_another_user_cannot_connect(own_service):
    service = own_service(WORKERS=2)
    mode = os.stat(service.run_dir / "app.sock").st_mode & 0o777
    assert mode == 0o660
    if os.geteuid() != 0:
        pytest.skip("only root can become another user to try")
    # Past the mode (as a member of the group would be), the peer's credentials are still checked.
    os.chmod(service.folder, 0o755)
    os.chmod(service.run_dir, 0o755)
    os.chmod(service.run_dir / "app.sock", 0o666)
    script = ("import os, socket, sys\nos.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
              "s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1])\n"
              "try:\n    s.sendall(b'x'); print('closed' if s.recv(1) == b'' else 'open')\nexcept OSError: print('closed')\n")
    run = subprocess.run(["/usr/bin/python3", "-c", script, str(service.run_dir / "app.sock")], capture_output=True, text=True, timeout=20)
    assert run.stdout.strip() == "closed", run.stderr
    wait_for(lambda: any("another user" in line["msg"] for line in service.log_lines()))


def test_an_event_of_a_connection_that_made_room_does_not_end_the_one_in_its_place(own_service):
    """A worker with all its connections in use finds a new one and, behind it, the end of the one that it then takes the place of."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (160, hard))
    try:
        service = own_service(WORKERS=1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with contextlib.ExitStack() as stack:
        def connect(data):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(10)
            client.connect(str(service.run_dir / "app.sock"))
            client.sendall(data)
            return client

        clients = [connect(BEGIN + PARAMS + STDIN) for _ in range(160)]
        for client in clients:
            assert b"application/json" in client.recv(4096)
        made_room = [client for client in clients if ended(client)]
        assert 0 < len(made_room) < 160
        worker = service.workers[0]
        os.kill(worker, signal.SIGSTOP)
        wait_for(lambda: stat_of(worker)[0] == "T")
        parked = connect(BEGIN + DELAY + STDIN)
        clients[len(made_room)].close()
        os.kill(worker, signal.SIGCONT)
        assert b"application/json" in parked.recv(4096)


def test_a_worker_without_descriptors_waits_for_some_and_loses_no_request(own_service):
    service = own_service(WORKERS=1)
    worker = service.workers[0]
    soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    used = {int(number) for number in os.listdir(f"/proc/{worker}/fd")}
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (min(set(range(soft)) - used), hard))
    answers = []
    # A connection of its own, as each request has that must not be sent twice.
    client = threading.Thread(target=lambda: answers.append(service.request("DELETE", "/riseload").status))
    client.start()
    slept = naps(worker)
    wait_for(lambda: naps(worker) > slept + 20, what="it to pause between its tries")
    assert answers == []
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (soft, hard))
    client.join()
    assert answers == [404]


def naps(pid):
    """How often a process has gone to sleep by itself."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.MULTILINE).group(1))


def test_a_connection_that_is_open_elsewhere_too_ends_all_the_same(own_service):
    """Who gave it to this worker closes it when it gets to that (channel.h): until then it is not counted and wakes nobody."""
    service = own_service(WORKERS=1, NGINX_WORKERS=1)
    worker = service.workers[0]
    descriptors = pathlib.Path(f"/proc/{worker}/fd")
    connections = service.scrape()[("fcgi_connections",)]
    before = set(os.listdir(descriptors))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(service.run_dir / "app.sock"))
        peer.sendall(BEGIN + PARAMS + STDIN)
        assert b"Bye" in peer.recv(65536)
        (number,) = set(os.listdir(descriptors)) - before
        elsewhere = duplicate(worker, int(number))
    wait_for(lambda: number not in os.listdir(descriptors), what="the worker to close it")
    slept = naps(worker)
    for _ in range(10):
        assert service.get("/bye").status == 200
    assert naps(worker) > slept
    assert service.scrape()[("fcgi_connections",)] == connections
    os.close(elsewhere)


def duplicate(pid, number):
    """A descriptor of our own for what is behind one of that process (pidfd_getfd(2))."""
    pidfd = os.pidfd_open(pid)
    copy = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, number, 0)
    os.close(pidfd)
    if copy < 0:
        pytest.skip(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
    return copy


def ended(client):
    """Whether the other side has closed a connection on which nothing is to come."""
    return bool(select.select([client], [], [], 0)[0]) and client.recv(1) == b""


# --- clients ------------------------------------------------------------------------------------------------------


def test_slow_clients_hold_up_nobody(own_service):
    service = own_service(WORKERS=2)
    clients = []
    try:
        for number in range(500):
            client = socket.create_connection(("127.0.0.1", service.port))
            client.sendall([b"GET / HTTP/1.1\r\nHo", b"POST /bye HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc",
                            b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"][number % 3])
            clients.append(client)
        for _ in range(50):
            assert service.get("/health", timeout=5).status == 200
    finally:
        for client in clients:
            client.close()


def test_10000_connections_keep_nobody_out(own_service, tmp_path):
    """As many as this machine lets a process open: silent ones, kept ones, slow headers, slow bodies, slow readers.
    None ends before the last is there, however slow this machine is and whichever process of nginx takes them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    template = (ROOT / "nginx/nginx.conf.template").read_text()
    patient = tmp_path / "template"
    patient.write_text(template.replace("_timeout 10s;", "_timeout 600s;").replace("@NGINX_CONNECTIONS@", "20000"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    slow = [b"GET / HTTP/1.1\r\nHo", b"POST /bye HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc",
            b"GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n" * 20]
    clients = []
    try:
        service = own_service(WORKERS=2, NGINX_TEMPLATE=patient)
        for number in range(min(10000, hard - 1000)):
            client = socket.create_connection(("127.0.0.1", service.port), timeout=30)
            clients.append(client)
            if number % 20 == 0:
                client.sendall(slow[number // 20 % 3])
            elif number % 2 == 0:
                client.sendall(b"GET /bye HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        for _ in range(50):
            assert service.get("/health", timeout=10).status == 200
        active = int(re.search(r"Active connections: (\d+)", service.get("/nginx_status", port=service.metrics_port).body.decode())[1])
        print(f"{len(clients)} connections, {active} of them open at the end")
        assert active > 0.9 * len(clients)
        assert resident(service.workers) < 64 << 20
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_client_that_vanishes_while_its_request_is_parked_leaves_nothing(own_service):
    service = own_service(WORKERS=2)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(b"GET /delay/30 HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: service.get("/live").json["workers"]["connections"] >= 2)
    wait_for(lambda: service.get("/live").json["workers"]["connections"] <= 4, what="the parked ones to be dropped")


def test_the_workers_and_nginx_are_batch_processes(service):
    nginx = [pid for pid in service.all_pids() if name_of(pid) == "nginx"]
    assert len(nginx) > 1
    assert {os.sched_getscheduler(pid) for pid in nginx + service.workers} == {os.SCHED_BATCH}
    assert os.sched_getscheduler(service.master) == os.SCHED_OTHER


def sockets(service):
    """How many sockets each worker has."""
    def count(folder):
        found = 0
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found += os.readlink(f"{folder}/{fd}").startswith("socket:")
        return found
    return [count(f"/proc/{pid}/fd") for pid in service.workers]


def grown(service, before):
    """How many sockets each worker has more than before."""
    return [now - then for now, then in zip(sockets(service), before)]


def test_connections_of_one_nginx_process_are_gathered(own_service):
    """The requests wait for a moment, so all connections are in use at once."""
    service = own_service(WORKERS=4, NGINX_WORKERS=1)
    before = sockets(service)
    with load_of(service, connections=32, paths=("/delay/0.001",)) as (answers, failures):
        def gathered():
            more = grown(service, before)
            return more if sum(more) >= 8 and max(more) >= 0.9 * sum(more) else None
        print(wait_for(gathered, seconds=60, what="one worker to have nine in ten connections"))
    assert answers[0] > 0
    assert failures == []


def test_the_program_cannot_be_started_twice_by_accident(own_service):
    service = own_service(WORKERS=2)
    run = run_program("serve", environment={name: value for name, value in service.environment.items() if name.startswith("FCGI")} | {
        "FCGI_WEBAPP_SOCKET": str(service.run_dir / "app.sock"), "FCGI_WEBAPP_METRICS_SOCKET": str(service.run_dir / "metrics.sock")})
    assert run.returncode == 1
    assert service.get("/health").status == 200
