"""What a recorded run writes into the documentation: its tables and charts between
two markers of a page, and a line for its kind of processor."""

import re
import shutil

import capacity
import report
from peers import BUILD, ROOT

BENCHMARKS = ROOT / "docs" / "benchmarks.md"
SCALING = ROOT / "docs" / "scaling.md"
# The columns of the table of processors: title, and the figure's name in must_show.
PROCESSOR_FIGURES = (
    ("CPU: return 200", "cpu vs nginx return 200, 64 connections"),
    ("Go behind nginx", "cpu vs go behind nginx, 64 connections"),
    ("usual pool", "cpu vs usual pool, 64 connections"),
    ("73a4c55", "cpu vs revision 73a4c55, 64 connections"),
    ("requests/s: Go behind nginx", "rps vs go behind nginx, 64 connections"),
    ("in the pod: Go behind nginx", "in the limits of the pod: rps vs Go behind nginx"),
    ("in the pod: Go", "in the limits of the pod: rps vs Go net/http"),
)


def section(page, marker):
    """What stands between the two markers of a page in Markdown."""
    found = re.search(rf"<!-- {marker} -->\n(.*)<!-- /{marker} -->", page.read_text(), re.DOTALL)
    if not found:
        raise SystemExit(f"bench: {page} has lost its markers")
    return found[1]


def insert(page, marker, text):
    """Replace it."""
    old = f"<!-- {marker} -->\n{section(page, marker)}<!-- /{marker} -->"
    page.write_text(page.read_text().replace(old, f"<!-- {marker} -->\n\n{text}\n<!-- /{marker} -->"))


def processors(text, result):
    """The table of processors with the line of this run, instead of an earlier one of
    the same kind."""
    figures = {claim["what"]: f"{claim['figure']:.3g}" for claim in result["must_show"]}
    machine = result["machine"]
    line = [machine["cpu"], result["date"], machine["nginx"], *(figures.get(name, "") for _, name in PROCESSOR_FIGURES)]
    lines = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", text, re.MULTILINE)[2:]]
    others = [other for other in lines if other[0] != line[0]]
    return report.table(["processor", "run", "nginx", *(title for title, _ in PROCESSOR_FIGURES)], [*others, line])


def record(result, text):
    """Into docs/benchmarks.md, docs/scaling.md and README.md, with the charts. Of a run
    without the peers, only what the other pages show."""
    if result["rows"]:
        insert(BENCHMARKS, "measured", text)
        insert(BENCHMARKS, "processors", processors(section(BENCHMARKS, "processors"), result))
        shutil.copy(BUILD / "bench.svg", ROOT / "docs" / "benchmarks.svg")
    if "pod" in result:
        insert(ROOT / "README.md", "measured", report.readme(result))
        shutil.copy(BUILD / "pod.svg", ROOT / "docs" / "benchmarks-pod.svg")
        if any(row["peer"] == report.OURS for row in result["pod"]["rows"]):
            insert(SCALING, "measured", capacity.pods_table(result["pod"], result["machine"], result["date"]))
    if "prometheus" in result:
        insert(SCALING, "prometheus", capacity.tables(result["prometheus"], result["machine"], result["date"]))
