"""A load of GET requests over kept connections, as clients of the Service send it."""

import http.client
import select
import threading
import time

PAUSE = 0.02  # of a client between two requests
BACK_OFF = 0.1  # after a failure


class Connection(http.client.HTTPConnection):
    """A kept connection. It opens again after the server has closed it between two requests (RFC 9112, 9.3.1 and 9.6)."""

    opened = 0

    def connect(self):
        super().connect()
        self.opened += 1

    def ask(self, path):
        """The status of a complete answer. Nothing is asked twice: all else is an OSError or an HTTPException."""
        if self.sock and select.select([self.sock], [], [], 0)[0]:
            self.close()
        self.request("GET", path)
        response = self.getresponse()
        response.read()
        return response.status


class Load:
    """Clients in threads, from `with` to its end. A failure is (seconds since the start, its kind)."""

    def __init__(self, address, clients=8, timeout=30):
        self.started = time.monotonic()
        self.stopping = threading.Event()
        self.connections = [Connection(*address, timeout=timeout) for _ in range(clients)]
        self.threads = [threading.Thread(target=self.client, args=(c,), daemon=True) for c in self.connections]
        self.answers = []  # the time of each
        self.failures = []

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"
        for connection in self.connections:
            connection.close()
        self.lasted = self.seconds()

    def client(self, connection):
        while not self.stopping.wait(PAUSE):
            try:
                status = connection.ask("/bye")
                kind = None if status == 200 else str(status)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                kind = type(error).__name__
            if kind is None:
                self.answers.append(self.seconds())
            else:
                self.failures.append((self.seconds(), kind))
                self.stopping.wait(BACK_OFF)

    def seconds(self):
        return time.monotonic() - self.started

    def kinds(self):
        """How many failures there were of each kind."""
        kinds = [kind for _, kind in self.failures]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    def __str__(self):
        opened = sum(c.opened for c in self.connections)
        requests = len(self.answers) + len(self.failures)
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds().items())
        failed = f"{len(self.failures)} failed" + (f" ({kinds})" if kinds else "")
        return f"{requests} requests over {opened} connections in {self.lasted:.1f} s, {failed}"
