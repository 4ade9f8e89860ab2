"""The simulated part of docs/scaling.md: what the autoscaler does to a load.

    tests/bench/scaling.py LOAD...     print the pods over time, e.g. for 0:0.2 60:1.2 660:0.2
    tests/bench/scaling.py --record    update the simulated part of docs/scaling.md

A LOAD is SECOND:CORES: from then on all requests together need this much CPU time of the container app. SECOND:CORES~ reaches the
value by a straight line from the one before. --nginx=SHARE: nginx needs this share of it.
"""

import argparse
import dataclasses
import re
import sys

import record
import report
from autoscaler import Rules, line, read_settings, simulate

BASE = 0.2  # cores: two pods at 100 % of the request
END = 900  # when the load ends, in seconds
STEP_3 = [(0, BASE, False), (1, 3 * BASE, False), (END, BASE, False)]
STEP_6 = [(0, BASE, False), (1, 6 * BASE, False), (END, BASE, False)]
RAMP_6 = [(0, BASE, False), (600, 6 * BASE, True), (END, BASE, False)]
SECONDS = END + 900
FAST = {"type": "Percent", "value": 100, "periodSeconds": 30}


def timeline(moments):
    """The seconds at which the number of ready pods changed."""
    shown = [moments[0], *(now for before, now in zip(moments, moments[1:]) if before.ready != now.ready)]
    return report.table(
        ["second", "load, cores", "pods", "CPU seen, of the target", "served"],
        [[f"{m.time:,}", f"{m.load:.2f}", m.ready, f"{m.seen} %", f"{100 * m.served:.0f} %"] for m in shown],
    )


def outcome(settings, points):
    """Until a load ends: seconds until all of it is served for good, the part that was not served by then, and the most pods."""
    moments = [m for m in simulate(settings, line(points), END) if m.time > 0]
    lacking = [m for m in moments if m.served < 0.999]
    if not lacking:
        return ["0", "0 %", max(m.replicas for m in moments)]
    ends = lacking[-1].time + 1
    lost = sum(m.load * (1 - m.served) for m in lacking) / sum(m.load for m in moments if m.time < ends)
    return ["never" if ends >= END else f"{ends:,}", f"{100 * lost:.0f} %", max(m.replicas for m in moments)]


def changed(settings, target=1.0, limit=1.0):
    """With another target, or another limit of the pool, as a multiple."""
    metrics = [dataclasses.replace(m, target=round(m.target * target), limit=m.limit * limit) for m in settings.metrics]
    return dataclasses.replace(settings, metrics=metrics)


def variants(settings):
    many = dataclasses.replace(settings, most=12)
    fast = dataclasses.replace(settings.up, policies=[FAST])
    return [
        ("step to 3 times the load", settings, STEP_3),
        ("step to 6 times the load", settings, STEP_6),
        ("ramp to 6 times the load in 600 s", settings, RAMP_6),
        ("step to 6 times, `maxReplicas: 12`", many, STEP_6),
        ("step to 6 times, no stabilization window up", dataclasses.replace(settings, up=dataclasses.replace(settings.up, window=0)), STEP_6),
        ("step to 6 times, 100 % per 30 s instead of 2 pods", dataclasses.replace(settings, up=fast), STEP_6),
        ("step to 6 times, target at 50 % of the limit", changed(settings, target=2 / 3), STEP_6),
        ("step to 6 times, CPU limit of the pool 2.5 times", changed(settings, limit=2.5), STEP_6),
    ]


def fleets(settings):
    """Twice the load for many pods, by our policy and by one in per cent."""
    fast = Rules(settings.up.window, [FAST], "Max")
    for pods in (10, 100, 1000):
        load = pods * settings.metrics[0].request * settings.metrics[0].target / 100
        taken = []
        for up in (settings.up, fast):
            many = dataclasses.replace(settings, least=pods, most=3 * pods, up=up)
            moments = simulate(many, line([(0, load, False), (1, 2 * load, False)]), 60 + 8 * pods, begin=pods)
            taken.append(next(m.time for m in reversed(moments) if m.served < 0.999) + 1)
        yield [f"{pods:,}", *(f"{seconds:,}" for seconds in taken)]


def simulated(settings):
    parts = [
        "A step to 6 times the load at second 1, which ends at second 900:\n",
        timeline(simulate(settings, line(STEP_6), SECONDS)),
        "A ramp to 6 times the load in 600 seconds:\n",
        timeline(simulate(settings, line(RAMP_6), END)),
        "The same, and with other settings:\n",
        report.table(
            ["load", "served in full after, s", "not served until then", "pods"],
            [[what, *outcome(its, points)] for what, its, points in variants(settings)],
        ),
        "Twice the load for a fleet at its target, with a `maxReplicas` that does not limit it:\n",
        report.table(["pods before", "2 pods per 30 s: served after, s", "100 % per 30 s: served after, s"], fleets(settings)),
    ]
    return "\n".join(parts)


def point(text):
    match = re.fullmatch(r"(\d+):([\d.]+)(~?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is not SECOND:CORES")
    return int(match[1]), float(match[2]), bool(match[3])


def main():
    parser = argparse.ArgumentParser(prog="scaling", description=__doc__.partition("\n")[0])
    parser.add_argument("load", nargs="*", type=point, metavar="SECOND:CORES")
    parser.add_argument("--nginx", type=float, default=0.0, metavar="SHARE", help="of it, for nginx")
    parser.add_argument("--record", action="store_true", help="update docs/scaling.md")
    arguments = parser.parse_args()
    if arguments.record == bool(arguments.load):
        parser.error("give either a load or --record")
    if arguments.record:
        record.insert(record.SCALING, "simulated", simulated(read_settings()))
    else:
        print(timeline(simulate(read_settings(), line(arguments.load), arguments.load[-1][0] + 900, arguments.nginx)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
