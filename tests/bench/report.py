"""From runs to medians, ratios, and what is said about them."""

import statistics

import blocking

METRICS = ("rps", "p50_ms", "p99_ms", "p999_ms", "cpu_us", "pss_mib", "first_200_ms", "failures", "others")

# name, metric, connections, against whom, "most" or "least", how much
RATIOS = (
    ("cpu_vs_nginx_return_200", "cpu_us", 64, "nginx return 200", "most", 2.2),
    ("cpu_vs_go_behind_nginx", "cpu_us", 64, "Go behind nginx", "most", 0.45),
    ("cpu_vs_usual_pool", "cpu_us", 64, "usual libfcgi pool", "most", 0.38),
    ("cpu_vs_fastapi_on_hypercorn", "cpu_us", 64, "FastAPI on hypercorn", "most", 0.08),
    ("rps_vs_nginx_return_200", "rps", 64, "nginx return 200", "least", 0.55),
    ("rps_vs_go_behind_nginx", "rps", 64, "Go behind nginx", "least", 2),
    ("rps_vs_usual_pool", "rps", 64, "usual libfcgi pool", "least", 2.5),
    ("p99_vs_go", "p99_ms", 256, "Go net/http", "most", 1),
    ("p99_vs_go_behind_nginx", "p99_ms", 256, "Go behind nginx", "most", 1),
)
OURS = "fcgi-webapp"
CPU_VS_REVISION = 0.92
# In the limits of the pod: against whom, and how many times its requests/s.
POD_RPS = (("Go behind nginx", 3), ("Go net/http", 1))


def rows(runs):
    """One for each peer and number of connections, in the order of the runs."""
    taken = {}
    for run in runs:
        taken.setdefault((run["connections"], run["peer"]), []).append(run)
    return [
        {
            "peer": peer,
            "connections": connections,
            **{metric: statistics.median(run[metric] for run in of) for metric in METRICS},
            "spread": {metric: [f(run[metric] for run in of) for f in (min, max)] for metric in METRICS},
        }
        for (connections, peer), of in sorted(taken.items(), key=lambda item: item[0][0])
    ]


def ratios(runs):
    """Medians of the ratios within each round, where a drift hits both alike."""
    found = {}
    by_turn = {(run["round"], run["connections"], run["peer"]): run for run in runs}
    for name, metric, connections, other, _, _ in RATIOS:
        pairs = [
            (run[metric], by_turn[number, connections, other][metric])
            for (number, count, peer), run in by_turn.items()
            if count == connections and peer == OURS and (number, connections, other) in by_turn
        ]
        if pairs:
            found[name] = statistics.median(ours / theirs for ours, theirs in pairs)
    return found


def must_show(result):
    """What the figures are held against: {what, figure, most or least, met}."""
    growth = result.get("growth", {})
    claims = [
        (f"{name.replace('_', ' ')}, {connections} connections", result["ratios"].get(name), bound, limit)
        for name, _, connections, _, bound, limit in RATIOS
    ]
    if "instrumentation" in result:
        claims.append(("CPU that counting costs, of 1", result["instrumentation"]["cost"], "most", 0.03))
    alone = [m["figure"] / 1000 for m in result.get("metrics", []) if m["what"].startswith("a request's counts")]
    ours = [row["cpu_us"] for row in result["rows"] if row["peer"] == OURS and row["connections"] == 64]
    if alone and ours:
        claims.append(("CPU of the counts by themselves, of 1", alone[0] / ours[0], "most", 0.03))
    if "pool_of_four" in result:
        claims.append(("PSS of a pool of 4, MiB", result["pool_of_four"]["pss_mib"], "most", 6))
        claims.append(("first 200 of a pool of 4, ms", result["pool_of_four"]["first_200_ms"], "most", 100))
    if "routes" in growth:
        few, many = growth["routes"][0], growth["routes"][-1]
        claims.append((f"CPU with {many['of']} routes against {few['of']}", many["ratio"], "most", 1.05))
    if "scrapes" in growth:
        fresh, served = growth["scrapes"][:2]
        claims.append(("CPU of a scrape after load against before", served["cpu_ms"] / fresh["cpu_ms"], "most", 1.1))
    if "earlier" in result:
        claims.append((f"cpu vs revision {result['earlier']['of']}, 64 connections", result["earlier"]["ratio"], "most", CPU_VS_REVISION))
    in_pod = result.get("pod", {}).get("ratios", {})
    claims += [(f"in the limits of the pod: rps vs {other}", in_pod.get(other), "least", times) for other, times in POD_RPS]
    claims += [(claim, figure, *blocking.wanted(claim)) for claim, figure in result.get("blocking", {}).get("ratios", {}).items()]
    return [
        {"what": what, "figure": figure, bound: limit, "met": figure <= limit if bound == "most" else figure >= limit}
        for what, figure, bound, limit in claims
        if figure is not None
    ]


def table(head, lines):
    """Columns as wide as need be; Markdown, which a terminal shows well too."""
    cells = [[str(cell) for cell in line] for line in [head, *lines]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]

    def draw(line):
        return "| " + " | ".join([line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:])]) + " |"

    return "\n".join(map(draw, [cells[0], rule, *cells[1:]])) + "\n"


def spread(row, metric):
    """Half of what lies between the least and the most, of the median."""
    low, high = row["spread"][metric]
    return f"±{50 * (high - low) / row[metric]:.0f} %" if row[metric] else ""


def peers_table(result):
    head = ["peer", "conn.", "requests/s", "", "CPU µs/request", "", "p50 ms", "p99 ms", "p99.9 ms"]
    return table(
        [*head, "PSS MiB", "first 200 ms", "failures", "others"],
        [
            [row["peer"], row["connections"], f"{row['rps']:,.0f}", spread(row, "rps")]
            + [f"{row['cpu_us']:.1f}", spread(row, "cpu_us")]
            + [f"{row[metric]:.2f}" for metric in ("p50_ms", "p99_ms", "p999_ms")]
            + [f"{row['pss_mib']:.1f}", f"{row['first_200_ms']:.0f}", f"{row['failures']:.0f}", f"{100 * row['others']:.0f} %"]
            for row in result["rows"]
        ],
    )


def growth_table(lines, what):
    return table(
        [what, "requests/s", "CPU µs/request", "p99 ms"],
        [[line["of"], f"{line['rps']:,.0f}", f"{line['cpu_us']:.1f}", f"{line['p99_ms']:.2f}"] for line in lines],
    )


def routes_table(lines):
    return table(
        ["routes", "CPU µs/request", f"against {lines[0]['of']}"],
        [[line["of"], f"{line['cpu_us']:.2f}", f"{line['ratio']:.3f}"] for line in lines],
    )


def scrapes_table(lines):
    return table(
        ["a scrape", "workers", "served", "series", "CPU ms", "took ms"],
        [
            [line["of"], line["workers"], f"{line['served']:,}", f"{line['series']:,}"]
            + [f"{line['cpu_ms']:.3f}", f"{line['median_ms']:.2f}"]
            for line in lines
        ],
    )


def cores(limits, behind_nginx):
    """The limits of a peer in the pod."""
    app, nginx = limits["app"], limits["nginx"]
    return f"{app:g} + {nginx:g} nginx" if behind_nginx else f"{app + nginx:g}"


def pod_table(result):
    return table(
        ["in the limits of the pod", "cores", "requests/s", "", "CPU µs/request", "p50 ms", "p99 ms", "used: app", "used: nginx"],
        [
            [row["peer"], cores(result["limits"], row["nginx"]), f"{row['rps']:,.0f}", spread(row, "rps"), f"{row['cpu_us']:.1f}"]
            + [f"{row[metric]:.2f}" for metric in ("p50_ms", "p99_ms")]
            + [f"{row['used'][name]:.2f}" if name in row["used"] else "" for name in ("app", "nginx")]
            for row in result["rows"]
        ],
    )


def costs_table(lines):
    return table(
        ["peer", "processes", "user µs/request", "kernel µs/request", "system calls/request"],
        [
            [line["peer"], line["part"], f"{line['user_us']:.2f}", f"{line['kernel_us']:.2f}"]
            + [f"{sum(line['calls'].values()):.2f}" if "calls" in line else ""]
            for line in lines
        ],
    )


def calls_list(lines):
    """Each system call with how often a request makes it."""
    texts = (
        f"- {line['peer']}, {line['part']}: " + ", ".join(f"{name} {count:.2f}" for name, count in line["calls"].items())
        for line in lines
        if "calls" in line
    )
    return "\n".join(texts) + "\n"


def readme(result):
    """What README.md says: the chart, and the table behind it."""
    limits, rows = result["pod"]["limits"], result["pod"]["rows"]
    head = ["peer", "cores", "requests/s", "p99 ms"]
    return "\n".join(
        [
            "![Requests per second in the CPU limits of the pod](docs/benchmarks-pod.svg)\n",
            f"Each peer answers `GET /` in the CPU limits of the pod: {limits['app']:g} cores for the application and "
            f"{limits['nginx']:g} for nginx,\nor both together without nginx.\nAll peers except the usual libfcgi pool count their requests. "
            f"Measured on {result['machine']['cpu']}, {result['date']}.\n",
            table(head, [[r["peer"], cores(limits, r["nginx"]), f"{r['rps']:,.0f}", f"{r['p99_ms']:.1f}"] for r in rows]),
        ]
    )


def blocking_table(lines):
    return table(
        ["handlers that block", "peer", "requests/s", "p50 ms", "p90 ms", "p99 ms"],
        [
            [line["case"], line["peer"], f"{line['rps']:,.0f}"] + [f"{line[metric]:.2f}" for metric in ("p50_ms", "p90_ms", "p99_ms")]
            for line in lines
        ],
    )


def must_show_table(claims):
    return table(
        ["figure", "measured", "wanted", ""],
        [
            [claim["what"], f"{claim['figure']:.3g}"]
            + [f"≤ {claim['most']}" if "most" in claim else f"≥ {claim['least']}", "met" if claim["met"] else "missed"]
            for claim in claims
        ],
    )


def text(result):
    """All tables, as Markdown."""
    machine = result["machine"]
    parts = [
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['system']}, Linux {machine['kernel']}, "
        f"nginx {machine['nginx']}, {machine['go']}, Python {machine['python']}"
        + "".join(f", {title} {machine[name]}" for title, name in (("PHP", "php"), ("Rust", "rust")) if machine.get(name))
        + (f"; mitigations: {', '.join(machine['mitigations']) or 'none'}" if "mitigations" in machine else "")
        + f"; revision {result['revision']}, "
        f"{result['date']}; {result['settings']['rounds']} rounds of {result['settings']['seconds']} s, medians.\n"
    ]
    parts += [f"Skipped: {reason}.\n" for reason in result.get("skipped", [])]
    if result["rows"]:
        parts.append(peers_table(result))
    if result["must_show"]:
        parts.append(must_show_table(result["must_show"]))
    if "pod" in result:
        parts.append(pod_table(result["pod"]))
    if "costs" in result:
        parts += [costs_table(result["costs"]), calls_list(result["costs"])]
    growth = result.get("growth", {})
    parts += [growth_table(growth[what], what) for what in ("workers", "connections") if what in growth]
    if "routes" in growth:
        parts.append(routes_table(growth["routes"]))
    if "scrapes" in growth:
        parts.append(scrapes_table(growth["scrapes"]))
    if "instrumentation" in result:
        cost = result["instrumentation"]
        parts.append(
            f"Counting: {100 * cost['cost']:.1f} % of CPU time a request (quartiles "
            f"{100 * cost['quartiles'][0]:.1f} and {100 * cost['quartiles'][1]:.1f} % of {cost['pairs']} pairs; "
            f"{cost['cpu_us_counted']:.2f} µs with it, {cost['cpu_us_uncounted']:.2f} µs without).\n"
        )
    if "earlier" in result:
        then = result["earlier"]
        parts.append(
            f"Revision {then['of']}: {then['cpu_us_then']:.2f} µs of CPU time a request, this one {then['cpu_us_now']:.2f} µs, "
            f"ratio {then['ratio']:.3f}.\n"
        )
    if "blocking" in result:
        parts.append(blocking_table(result["blocking"]["rows"]))
    if "metrics" in result:
        parts.append(
            table(["in the program", "figure", ""], [[m["what"], m["figure"], m["unit"]] for m in result["metrics"]])
        )
    return "\n".join(parts)
