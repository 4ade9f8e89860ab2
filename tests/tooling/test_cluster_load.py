"""The load of tests/cluster counts what a client notices, and only that."""

import socketserver
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from modules import load_module

Load = load_module("cluster_load", Path(__file__).resolve().parents[1] / "cluster/load.py").Load
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
CLOSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@pytest.fixture
def serve():
    """serve(ANSWERS): the address of a server that gives each connection these answers, and closes it."""
    servers = []

    def serve_answers(answers):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                for answer in answers:
                    while (line := self.rfile.readline()) != b"\r\n":
                        if not line:
                            return
                    self.wfile.write(answer)

        servers.append(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return servers[-1].server_address

    yield serve_answers
    for server in servers:
        server.shutdown()
        server.server_close()


def sent(address, requests=5):
    with Load(address, clients=1, timeout=5) as load:
        deadline = time.monotonic() + 10
        while len(load.answers) + len(load.failures) < requests and time.monotonic() < deadline:
            time.sleep(0.01)
    return load


@pytest.mark.parametrize("answers", [[OK] * 100, [OK], [CLOSE]], ids=["kept", "closed between requests", "Connection: close"])
def test_a_connection_that_ends_between_two_requests_is_no_failure(serve, answers):
    load = sent(serve(answers))
    assert len(load.answers) >= 5 and not load.failures
    assert (load.connections[0].opened == 1) == (len(answers) > 1)


@pytest.mark.parametrize(("answer", "kind"), [(b"", "RemoteDisconnected"), (OK[:-1], "IncompleteRead"), (BUSY, "503")])
def test_all_but_a_full_answer_is_a_failure(serve, answer, kind):
    load = sent(serve([OK, answer]), 6)
    assert load.answers and set(load.kinds()) == {kind}
    assert f"{len(load.failures)} failed ({len(load.failures)} {kind})" in str(load)
