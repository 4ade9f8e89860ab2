"""The original's stack: FastAPI with prometheus_client, a counter and a
histogram in each endpoint. Several processes share PROMETHEUS_MULTIPROC_DIR."""

import time

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

app = FastAPI()
REQUESTS = Counter("http_requests_total", "Requests answered.", ["endpoint", "method", "code"])
DURATION = Histogram("http_request_duration_seconds", "Time to answer.", ["endpoint"])


@app.get("/")
async def root(request: Request):
    start = time.perf_counter()
    # Debian 12's hypercorn closes a connection whose request was not read.
    await request.body()
    REQUESTS.labels("root", "GET", "200").inc()
    DURATION.labels("root").observe(time.perf_counter() - start)
    return {"msg": "Hello World"}


@app.get("/metrics")
async def metrics():
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
