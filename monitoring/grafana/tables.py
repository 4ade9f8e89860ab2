"""The tables of the application, fcgi/app/*.def, as the C preprocessor reads them."""

import ast
import os
import pathlib
import shlex
import subprocess
import sys
from typing import NamedTuple

FCGI = pathlib.Path(__file__).resolve().parents[2] / "fcgi"


class Route(NamedTuple):
    name: str  # the value of the label endpoint
    path: str
    methods: str  # as in the table: GET | POST


class Metric(NamedTuple):
    kind: str  # COUNTER, GAUGE, GAUGE_LAST or HISTOGRAM
    name: str
    help: str
    label: str | None

    @property
    def unit(self):
        """The last word of the name, before a counter's _total, if it is a unit."""
        word = self.name.removesuffix("_total").rpartition("_")[2]
        return word if word in ("seconds", "bytes", "ratio") else ""


def read(macro, table):
    """What a macro makes of the lines of a table: tuples of Python, with a comma after each."""
    compiler = shlex.split(os.environ.get("CC") or "cc")
    source = '#define NULL None\n#define %s\n#include "%s"\n' % (macro, table)
    run = subprocess.run([*compiler, "-E", "-P", "-I", FCGI, "-x", "c", "-"], input=source, text=True, capture_output=True, check=False)
    if run.returncode != 0:
        sys.exit("dashboard: the compiler does not read fcgi/%s: %s" % (table, run.stderr))
    return ast.literal_eval("[%s]" % run.stdout)


def routes():
    return [Route(*line) for line in read("ROUTE(name, path, methods, flags) (#name, path, #methods),", "app/routes.def")]


def metrics():
    lines = read("METRIC(kind, name, help, buckets, label, ...) (#kind, #name, help, label),", "metrics/app_metrics.def")
    return [Metric(*line) for line in lines]
