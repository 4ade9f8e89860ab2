"""A peer for the benchmark's own tests: faulty_peer.py PORT FAULT. Answers and
counts as it should, but for its fault, which shows after a few answers."""

import itertools
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GOOD_ANSWERS = 20  # enough to start with
port, fault = int(sys.argv[1]), sys.argv[2]
answers = itertools.count(1)
counted = itertools.count(1)
last_counted = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        global last_counted
        if self.path == "/metrics":
            return self.answer(200, b'http_requests_total{endpoint="root"} %d\n' % last_counted)
        number = next(answers)
        late = number > GOOD_ANSWERS
        if fault != "counts nothing" and not (fault == "counts half" and number % 2):
            last_counted = next(counted)
        if fault == "wrong body" or fault == "wrong body later" and late:
            return self.answer(200, b'{"msg": "Hello"}')
        if fault == "error" and late:
            return self.answer(500, b'{"msg": "Hello World"}')
        if fault == "ends" and late:
            os._exit(1)
        return self.answer(200, b'{"msg": "Hello World"}')

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


ThreadingHTTPServer.request_queue_size = 64
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
