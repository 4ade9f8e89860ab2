"""What follows from the measurements for 10, 100 and 1,000 pods: the measured parts of docs/scaling.md."""

import report
from pod import containers, quantity

PODS = (10, 100, 1000)


def each(result):
    """What one pod takes: series, cores for its scrapes and for the rules, bytes of memory, and bytes of disk in a day."""
    most, least = result["sizes"][-1], result["sizes"][0]
    count = sum(result["series"].values())
    larger = count / (most["series"] / most["pods"])  # than what was scraped here
    past, every = result["history"], result["interval"]
    return {
        "series": count,
        "scrapes": larger * most["cpu_ms"] / 1000 / every,
        "rules": past["rules_cores"],
        "memory": larger * (most["memory"] - least["memory"]) / (most["pods"] - least["pods"]),
        "disk": count * (86400 / every * past["bytes_a_sample"] + 12 * past["bytes_a_series"]),
    }


def none_yet(result):
    """Memory of Prometheus without a pod."""
    most, least = result["sizes"][-1], result["sizes"][0]
    return least["memory"] - least["pods"] * (most["memory"] - least["memory"]) / (most["pods"] - least["pods"])


def prometheus_table(result):
    one, of = each(result), result["limits"]
    return report.table(
        ["pods", "series", "samples/s", "cores: scrapes", "cores: rules", "memory", "disk a day", f"days in {of['disk'] / 2**30:.0f} GiB"],
        [
            [f"{pods:,}", f"{pods * one['series']:,}", f"{pods * one['series'] / result['interval']:,.0f}"]
            + [f"{pods * one[what]:.2f}" for what in ("scrapes", "rules")]
            + [f"{(none_yet(result) + pods * one['memory']) / 2**30:.2f} GiB", f"{pods * one['disk'] / 2**30:.2f} GiB"]
            + [f"{of['disk'] / (pods * one['disk']):.1f}"]
            for pods in PODS
        ],
    )


def limits_table(result):
    one, of = each(result), result["limits"]
    reached = [
        (f"disk: {of['disk'] / 2**30:.0f} GiB for {of['days']} days", of["disk"] / (of["days"] * one["disk"])),
        (f"memory: {of['memory'] / 2**30:g} GiB", (of["memory"] - none_yet(result)) / one["memory"]),
        (f"CPU: {of['cores']:g} core", of["cores"] / (one["scrapes"] + one["rules"])),
    ]
    reached.sort(key=lambda row: row[1])
    return report.table(["limit of Prometheus", "reached at, pods"], [[what, f"{pods:,.0f}"] for what, pods in reached])


def tables(result, machine, date):
    """The part of docs/scaling.md about Prometheus."""
    parts = ", ".join(f"{count} of {source}" for source, count in result["series"].items())
    past, count = result["history"], sum(result["series"].values())
    return "\n".join(
        [
            f"Measured on {machine['cpu']}, {date}. A pod has {count} series: {parts}.",
            f"A sample takes {past['bytes_a_sample']:.2f} bytes on disk, and the index of each block of two hours "
            f"{past['bytes_a_series']:.0f} bytes for a series.\n",
            prometheus_table(result),
            limits_table(result),
        ]
    )


def requests():
    """What a pod reserves on its node: {"cpu": cores, "memory": bytes}."""
    of_each = [container["resources"]["requests"] for container in containers().values()]
    return {what: sum(quantity(of[what]) for of in of_each) for what in ("cpu", "memory")}


def pods_table(result, machine, date):
    """The part about what pods carry, from the part `pod` of the benchmark."""
    (row,) = [row for row in result["rows"] if row["peer"] == report.OURS]
    limits, used, reserved = result["limits"], row["used"], requests()
    said = ", ".join(f"{name} used {used[name]:.2f} of {limits[name]:g} cores" for name in ("app", "nginx"))
    return "\n".join(
        [
            f"`GET /` in the CPU limits of the pod, on {machine['cpu']}, {date}: {said}.\n",
            report.table(
                ["pods", "requests/s", "CPU requests, cores", "memory requests, GiB"],
                [
                    [f"{n:,}", f"{n * row['rps']:,.0f}", f"{n * reserved['cpu']:,.2f}", f"{n * reserved['memory'] / 2**30:,.1f}"]
                    for n in (1, *PODS)
                ],
            ),
        ]
    )
