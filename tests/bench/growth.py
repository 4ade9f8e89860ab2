"""What fcgi-webapp costs as it grows: with workers, connections, routes, with
how much was served, and with series; what counting costs at all, and whether it
costs less than an earlier revision."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import statistics
import time

import peers
from load import begin_wrk, check_answer, start, turn, wrk
from optional_peers import Revision
from peers import BUILD, ROOT, FcgiWebapp, Uncounted
from processes import SanityError, fetch

WORKERS = (1, 2, 4, 8)
CONNECTIONS = (1, 8, 64, 256, 512)
ROUTES = (10, 100, 1000)
SCRAPES = 200


def in_turns(things, rounds, connections, seconds):
    """{label: its runs} of {label: a peer} or {label: (a peer, connections)}."""
    runs = {label: [] for label in things}
    for _ in range(rounds):
        for label, thing in things.items():
            peer, count = thing if isinstance(thing, tuple) else (thing, connections)
            runs[label].append(turn(peer, count, seconds))
    return [
        {"of": label, **{key: statistics.median(run[key] for run in taken) for key in ("rps", "cpu_us", "p99_ms")}}
        for label, taken in runs.items()
    ]


def workers(rounds, seconds):
    return in_turns({count: FcgiWebapp(f"{count} workers", workers=count) for count in WORKERS}, rounds, 64, seconds)


def connections(rounds, seconds):
    return in_turns({count: (FcgiWebapp(f"{count} connections"), count) for count in CONNECTIONS}, rounds, 64, seconds)


# --- side by side -----------------------------------------------------------


def slices(peers, count):
    """CPU time a request of each peer, in slices of half a second in turns, on
    connections that stay: only what differs between the peers differs."""
    taken = {peer: [] for peer in peers}
    loads = {}
    try:
        for peer in peers:
            start(peer)
            loads[peer] = begin_wrk(peer.port, peer.path, 64)
            time.sleep(0.5)
            loads[peer].send_signal(signal.SIGSTOP)
        for number in range(count):
            for peer in peers if number % 2 else reversed(peers):
                loads[peer].send_signal(signal.SIGCONT)
                time.sleep(0.1)
                served, cpu = peer.answered(), peer.processes.cpu_seconds()
                time.sleep(0.4)
                served, cpu = peer.answered() - served, peer.processes.cpu_seconds() - cpu
                loads[peer].send_signal(signal.SIGSTOP)
                peer.forget_log()
                if served < 100:
                    raise SanityError(f"{peer.name} answered {served} requests in 0.4 s")
                taken[peer].append(1e6 * cpu / served)
    finally:
        for load in loads.values():
            load.kill()
            load.wait()
    return {peer: statistics.median(costs) for peer, costs in taken.items()}


def side_by_side(make, rounds):
    """{label: CPU time a request} for each round, of the peers that make() gives
    by label: started afresh, one process of nginx and one worker each, since how
    connections fall on several differs from start to start, and costs more than
    what is looked for here."""
    for number in range(rounds):
        peers = make()
        with contextlib.ExitStack() as running:
            for peer in peers.values():
                peer.nginx_workers = peer.workers = 1
                running.enter_context(peer)
            order = list(peers.values())
            cost = slices(order if number % 2 else order[::-1], 8)
            for peer in order:
                if (peer.counted() > 1000) != peer.counts:
                    raise SanityError(f"{peer.name} counted {peer.counted()} requests")
        yield {label: cost[peer] for label, peer in peers.items()}


# --- routes -----------------------------------------------------------------


def write(path, text):
    """Leave a file alone that says so already, and make need not build it."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def copy_newer(source, target):
    if not os.path.exists(target) or os.stat(source).st_mtime_ns != os.stat(target).st_mtime_ns:
        shutil.copy2(source, target)


def build_with_routes(count):
    """A copy of the program with so many lines in its route table, and the last
    one's name, which is as long for each."""
    tree = BUILD / f"routes-{count}"
    for part in ("fcgi", "scripts"):
        shutil.copytree(
            ROOT / part,
            tree / part,
            dirs_exist_ok=True,
            copy_function=copy_newer,
            ignore=shutil.ignore_patterns("routes.def", "__pycache__"),
        )
    copy_newer(ROOT / "Makefile", tree / "Makefile")
    lines = re.findall(r"^ROUTE\([^)]*\)\n", (ROOT / "fcgi" / "app" / "routes.def").read_text(), re.MULTILINE)[: count - 1]
    names = [f"extra{number:04}" for number in range(len(lines), count)]
    lines += [f'ROUTE({name}, "/{name}", GET, NONBLOCKING)\n' for name in names]
    write(tree / "fcgi" / "app" / "routes.def", "".join(lines))
    write(
        tree / "fcgi" / "app" / "endpoints" / "extra.c",
        '#include "http/router.h"\n#define EXTRA(name) void endpoint_##name(const struct request *request, '
        "struct response *response) { (void)request; response_text(response, 200, "
        '"{\\"msg\\": \\"Hello World\\"}"); }\n' + "".join(f"EXTRA({name})\n" for name in names),
    )
    program = tree / "build" / "fcgi-webapp"
    peers.build(program, "nice", "make", "-s", "-j2", "-C", tree, "BUILD=build", "build/fcgi-webapp")
    return program, names[-1]


def routes(rounds):
    """The last route of each table, where a search in turn would be slowest."""
    built = {count: build_with_routes(count) for count in ROUTES}

    def make():
        return {
            count: FcgiWebapp(f"{count} routes", program, path=f"/{last}", endpoint=last)
            for count, (program, last) in built.items()
        }

    taken = list(side_by_side(make, rounds))
    return [
        {
            "of": count,
            "cpu_us": statistics.median(cost[count] for cost in taken),
            "ratio": statistics.median(cost[count] / cost[ROUTES[0]] for cost in taken),
        }
        for count in ROUTES
    ]


# --- counting ---------------------------------------------------------------


def build_uncounted():
    directory = BUILD / "uncounted"
    stub = peers.build(
        directory / "uncounted.o", "cc", "-c", "-fPIE", "-o", directory / "uncounted.o", peers.HERE / "uncounted.c"
    )
    program = directory / "fcgi-webapp"
    flags = f"LDFLAGS=-Wl,--wrap=request_metrics_add {stub}"
    return peers.build(program, "nice", "make", "-s", "-j2", f"BUILD={directory}", flags, program)


def instrumentation(pairs):
    """The same build with counting and without."""
    program = build_uncounted()
    taken = list(side_by_side(lambda: {"with": FcgiWebapp("counted"), "without": Uncounted("uncounted", program)}, pairs))
    ratios = [cost["with"] / cost["without"] for cost in taken]
    quarter, _, three_quarters = statistics.quantiles(ratios, n=4)
    return {
        "cost": statistics.median(ratios) - 1,
        "quartiles": [quarter - 1, three_quarters - 1],
        "cpu_us_counted": statistics.median(cost["with"] for cost in taken),
        "cpu_us_uncounted": statistics.median(cost["without"] for cost in taken),
        "pairs": pairs,
    }


def revision(rounds):
    """Against an earlier revision with its own nginx configuration."""
    taken = list(side_by_side(lambda: {"now": FcgiWebapp("now"), "then": Revision()}, rounds))
    found = {f"cpu_us_{label}": statistics.median(cost[label] for cost in taken) for label in ("now", "then")}
    return {**found, "of": Revision.revision, "ratio": statistics.median(cost["now"] / cost["then"] for cost in taken)}


# --- scrapes ----------------------------------------------------------------


def scrape(peer, connection):
    """(CPU ms of one process, the metrics process; ms it took; series) of one scrape."""
    pids = peer.processes.pids(peer.pool)
    cpu, began = peer.processes.cpu_seconds(pids), time.monotonic()
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    body = response.read()
    took, cpu = time.monotonic() - began, peer.processes.cpu_seconds(pids) - cpu
    if response.status != 200:
        raise SanityError(f"a scrape answered {response.status}")
    return 1000 * cpu, 1000 * took, sum(not line.startswith(b"#") for line in body.splitlines())


def scraped(*things):
    """Of (what, peer, workers): a line each, from scrapes in turns."""
    connections = [http.client.HTTPConnection("127.0.0.1", peer.private_port, timeout=5) for _, peer, _ in things]
    taken = [[] for _ in things]
    for _ in range(SCRAPES):
        for (_, peer, _), connection, scrapes_of_it in zip(things, connections, taken):
            scrapes_of_it.append(scrape(peer, connection))
    for connection in connections:
        connection.close()
    for (what, peer, workers), scrapes_of_it in zip(things, taken):
        cpu, took, series = (statistics.median(column) for column in zip(*scrapes_of_it))
        served = int(peer.counted())
        yield {"of": what, "workers": workers, "served": served, "series": int(series), "cpu_ms": cpu, "median_ms": took}


def ask_for_every_status(peer):
    """Two series for each status there is."""
    connection = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=5)
    for method in ("GET", "HEAD"):
        for status in range(200, 600):
            connection.request(method, f"/status/{status}")
            connection.getresponse().read()
    connection.close()


def scrapes(seconds):
    with (fresh := FcgiWebapp("not loaded", workers=2)), (loaded := FcgiWebapp("loaded", workers=2)):
        start(fresh)
        start(loaded)
        wrk(loaded.port, "/", 64, seconds)
        yield from scraped(("nothing served", fresh, 2), ("much served", loaded, 2))
        ask_for_every_status(loaded)
        yield from scraped(("more series", loaded, 2))
    with (peer := FcgiWebapp("scraped", workers=16)):
        start(peer)
        ask_for_every_status(peer)
        yield from scraped(("more series, more workers", peer, 16))
    program, _ = build_with_routes(1000)
    with (peer := FcgiWebapp("scraped", program, workers=2)):
        start(peer)
        yield from scraped(("1000 routes", peer, 2))


# --- a pool of four ---------------------------------------------------------


def pool_of_four(rounds, seconds):
    """Memory of the pool alone, without nginx, after load."""
    sizes, first = [], []
    for _ in range(rounds):
        with (peer := FcgiWebapp("pool of 4", workers=4)):
            first.append(start(peer))
            wrk(peer.port, "/", 64, seconds)
            check_answer(*fetch(peer.port))
            sizes.append(peer.processes.pss(peer.processes.pids(peer.pool)))
    return {"pss_mib": statistics.median(sizes) / 2**20, "first_200_ms": 1000 * statistics.median(first)}
