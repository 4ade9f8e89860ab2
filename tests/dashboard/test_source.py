"""The source of the dashboard, in a copy of the tree: it follows the tables and the rules, and drift is found."""

import json
import re
import shutil
import subprocess

import pytest

from conftest import DASHBOARD, FILE, ROOT, has_data, filled_in, tables, wait_for

ROUTES = [route.name for route in tables.routes()]
PARTS = ("monitoring", "fcgi/app", "fcgi/metrics", "scripts/dashboard")

# As in samples/application.txt.
METRICS = """
COUNTER_BY(sample_made_total, "Things made.", "kind",
    VALUE(KIND_short, "short") VALUE(KIND_long, "long"))
COUNTER(sample_sent_bytes_total, "Bytes sent.")
GAUGE(sample_open, "Things that workers have open.")
GAUGE_LAST_BY(sample_free_ratio, "Free space.", "disk", VALUE(DISK_first, "first"))
HISTOGRAM_BY(sample_query_seconds, "Time of " "a query.", BUCKETS(0.001, 0.5), "kind", VALUE(QUERY_read, "read"))
HISTOGRAM(sample_size_bytes, "Sizes of things.", BUCKETS(100, 1000))
"""
UNITS = {
    "sample_made_total": "cps",
    "sample_sent_bytes_total": "Bps",
    "sample_open": "short",
    "sample_free_ratio": "percentunit",
    "sample_query_seconds": "s",
    "sample_size_bytes": "bytes",
}


def program(tree, *arguments):
    return subprocess.run([tree / "scripts/dashboard", *arguments], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def check():
    """The check of this tree, which installs what the program needs."""
    run = program(ROOT, "--check")
    if "pip cannot install" in run.stderr:
        pytest.skip(run.stderr)
    return run


@pytest.fixture
def tree(tmp_path, check):
    """The source, the tables and the rules, to change at will."""
    for name in PARTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, tmp_path / name)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/lint").symlink_to(ROOT / "build/lint")
    return tmp_path


def change(path, *replacements):
    text = path.read_text()
    for pattern, replacement in replacements:
        text, count = re.subn(pattern, replacement, text, flags=re.M | re.S)
        assert count, pattern
    path.write_text(text)


def made(tree):
    run = program(tree)
    assert run.returncode == 0, run.stderr
    return json.loads((tree / FILE).read_text())


def panels_below(dashboard, row):
    """The panels of an open row."""
    titles = [panel["title"] for panel in dashboard["panels"]]
    rest = dashboard["panels"][titles.index(row) + 1:]
    end = next(i for i, panel in enumerate(rest) if panel["type"] == "row")
    return rest[:end]


def remove_route(tree, name):
    change(tree / "fcgi/app/routes.def", (r"^ROUTE\(%s,.*?\)\n" % name, ""))


def test_the_dashboard_is_what_its_source_makes(check):
    assert check.returncode == 0, check.stderr


def test_a_dashboard_that_was_edited_is_found_with_the_command_that_mends_it(tree):
    change(tree / FILE, ("Requests by route", "Requests"))
    run = program(tree, "--check")
    assert run.returncode == 1
    assert run.stderr == "%s does not follow its source and the tables: run `make dashboard`\n" % FILE
    assert made(tree) == DASHBOARD
    assert program(tree, "--check").returncode == 0


@pytest.mark.parametrize("name", ROUTES)
def test_a_removed_route_leaves_no_trace(tree, name):
    remove_route(tree, name)
    assert program(tree, "--check").returncode == 1
    dashboard = made(tree)
    text = re.sub(r"https?://[^\"]*", "", json.dumps(dashboard))
    assert 'endpoint=\\"%s\\"' % name not in text
    (path,) = [route.path for route in tables.routes() if route.name == name]
    if [route.path for route in tables.routes()].count(path) == 1:
        assert path not in [panel["title"] for panel in panels_below(dashboard, "Routes: requests in the last hour")]
        assert path == "/" or not re.search(re.escape(path) + r"(?![\w/{])", text)
    assert name != "riseload" or ("riseload" not in text and "Load raised" not in text)


def test_routes_with_the_same_path_are_told_apart_by_their_methods(tree):
    with (tree / "fcgi/app/routes.def").open("a") as table:
        table.write('ROUTE(things_list, "/things", GET, 0)\nROUTE(things_change, "/things", PUT | PATCH, NONBLOCKING)\n')
    tiles = {panel["title"]: panel["targets"][0]["expr"] for panel in panels_below(made(tree), "Routes: requests in the last hour")}
    assert 'endpoint="things_list"' in tiles["GET /things"]
    assert 'endpoint="things_change"' in tiles["PUT|PATCH /things"]
    assert len(tiles) == len(ROUTES) + 2


def test_each_metric_of_the_application_has_a_panel_with_data(tree, prometheus):
    (tree / "fcgi/app/metrics.def").write_text(METRICS)
    row = panels_below(made(tree), "Application")
    assert {panel["title"]: panel["fieldConfig"]["defaults"]["unit"] for panel in row} == UNITS
    legends = {panel["title"]: [target["legendFormat"] for target in panel["targets"]] for panel in row}
    assert legends["sample_made_total"] == ["{{kind}}"]
    assert legends["sample_free_ratio"] == ["{{pod}} {{disk}}"]
    assert legends["sample_query_seconds"] == ["p50 {{kind}}", "p95 {{kind}}"]
    assert legends["sample_size_bytes"] == ["p50", "p95"]
    for panel in row:
        assert panel["description"].endswith(".") and panel["title"].startswith("sample_")
        for target in panel["targets"]:
            wait_for(lambda query=filled_in(target["expr"]): has_data(prometheus.range(query)), 30, "data in " + panel["title"])


def test_without_metrics_of_the_application_there_is_no_row(tree):
    (tree / "fcgi/app/metrics.def").write_text("/* none */\n")
    assert "Application" not in [panel["title"] for panel in made(tree)["panels"]]


def test_a_threshold_follows_the_rule_of_its_alert(tree):
    change(tree / "monitoring/prometheus/rules/container.yml", (r"expr: container:cpu_usage:ratio > 0\.8$", "expr: container:cpu_usage:ratio > 0.7"))
    (panel,) = [panel for panel in made(tree)["panels"] if panel["title"] == "CPU, share of the limit"]
    assert [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [None, 0.7, 0.95]
    assert "over 70 %" in panel["description"]


def test_a_panel_of_an_alert_that_is_gone_is_refused(tree):
    change(tree / "monitoring/prometheus/rules/service.yml", ("alert: NginxDown", "alert: NginxGone"))
    run = program(tree)
    assert run.returncode == 1
    assert run.stderr == "dashboard: no rule in monitoring/prometheus/rules is named NginxDown\n"


def test_no_panel_covers_another_or_leaves_the_page():
    def check(panels):
        taken = set()
        for panel in panels:
            place = panel["gridPos"]
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
            taken |= cells

    check(DASHBOARD["panels"])
    for row in DASHBOARD["panels"]:
        check(row.get("panels", []))
