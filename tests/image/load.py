"""A bounded load of GET requests, which tells an unanswered request from one that was never sent.

As a program: load.py PORT SECONDS KEPT FRESH FILE; prints what happened as JSON. KEPT clients keep their connection, FRESH ones open
one for each request. When FILE appears, no connection is opened any more: the endpoint was taken away.
"""

import collections
import itertools
import json
import socket
import sys
import threading
import time
from pathlib import Path


class Broken(Exception):
    """Half an answer."""


def ask(connection, path, keep):
    """One request: its status, or None for no answer at all; and whether the connection may be used again."""
    header = "keep-alive" if keep else "close"
    data = b""
    try:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: {header}\r\n\r\n".encode())
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                break
            data += more
    except ConnectionError:
        pass
    if not data:
        return None, False
    head, found, body = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while found and len(body) < int(fields[b"content-length"]):
        more = connection.recv(65536)
        if not more:
            raise Broken(path)
        body += more
    if not found:
        raise Broken(path)
    return int(head.split()[1]), fields[b"connection"] != b"close"


class Load:
    """Clients in threads. What happened is in `counts`, and the numbers of the unanswered requests in `unanswered`."""

    def __init__(self, port, seconds, kept, fresh):
        self.port = port
        self.deadline = time.monotonic() + seconds
        self.counts = collections.Counter(answered=0, wrong=0, kept_connection_closed=0, refused=0)
        self.slowest = 0.0
        self.unanswered = []
        self.numbers = itertools.count(1)
        self.retired = threading.Event()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(n < kept,), daemon=True) for n in range(kept + fresh)]
        for thread in self.threads:
            thread.start()

    def connect(self):
        """A connection, or None where there is none to be had."""
        try:
            return socket.create_connection(("127.0.0.1", self.port), timeout=30)
        except OSError:
            self.counts["refused"] += 1
            time.sleep(0.02)
            return None

    def client(self, keep):
        connection, used = None, False
        while time.monotonic() < self.deadline and not self.stopping.is_set():
            if connection is None:
                if self.retired.is_set():
                    return
                connection, used = self.connect(), False
                continue
            number, started = next(self.numbers), time.monotonic()
            try:
                status, again = ask(connection, f"/bye?n={number}", keep)
            except (Broken, OSError):
                status, again = -1, False
            if status == 200:
                self.counts["answered"] += 1
                self.slowest = max(self.slowest, time.monotonic() - started)
            elif status is not None:
                self.counts["wrong"] += 1
            else:
                self.unanswered.append(number)
                # A server may close a connection on which it has served; HTTP has the client ask again (RFC 9110, 9.2.2).
                self.counts["kept_connection_closed"] += used
            used = True
            if not (keep and again):
                connection.close()
                connection = None

    def finish(self):
        """Waits for the clients; what happened."""
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive(), "a client hangs"
        return {**self.counts, "unanswered": self.unanswered, "slowest": round(self.slowest, 3)}

    def stop(self):
        self.stopping.set()
        return self.finish()


def main():
    port, seconds, kept, fresh = (int(a) for a in sys.argv[1:5])
    load = Load(port, seconds, kept, fresh)
    while time.monotonic() < load.deadline and not Path(sys.argv[5]).exists():
        time.sleep(0.01)
    load.retired.set()
    print(json.dumps(load.finish()))


if __name__ == "__main__":
    main()
