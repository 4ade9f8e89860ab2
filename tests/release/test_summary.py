"""What scripts/summary puts on a job's page."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

TRACEFILE = """TN:
SF:{place}/fcgi/http/router.c
FNF:4
FNH:3
LF:40
LH:30
end_of_record
SF:{place}/fcgi/base/log.c
FNF:1
FNH:1
LF:10
LH:10
end_of_record
"""


@pytest.fixture
def summary(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/summary").symlink_to(ROOT / "scripts/summary")
    environment = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}

    def run(what, page=None):
        return subprocess.run(
            [tmp_path / "scripts/summary", what],
            cwd=tmp_path,
            env=environment | ({"GITHUB_STEP_SUMMARY": str(page)} if page else {}),
            capture_output=True, text=True, check=False,
        )

    return run


def test_coverage_is_a_table_by_file_with_the_sum_first(summary, tmp_path):
    (tmp_path / "build/coverage").mkdir(parents=True)
    (tmp_path / "build/coverage/coverage.info").write_text(TRACEFILE.format(place=tmp_path))
    rows = [line for line in summary("coverage").stdout.splitlines() if line.startswith("|")]
    assert rows[2:] == [
        "| **all** | 80.0 % (40 of 50) | 80.0 % (4 of 5) |",
        "| fcgi/base/log.c | 100.0 % (10 of 10) | 100.0 % (1 of 1) |",
        "| fcgi/http/router.c | 75.0 % (30 of 40) | 75.0 % (3 of 4) |",
    ]


def test_a_job_s_page_is_added_to_and_nothing_goes_to_the_log(summary, tmp_path):
    (tmp_path / "build/coverage").mkdir(parents=True)
    (tmp_path / "build/coverage/coverage.info").write_text(TRACEFILE.format(place=tmp_path))
    page = tmp_path / "page"
    page.write_text("before\n")
    assert summary("coverage", page).stdout == ""
    assert page.read_text().startswith("before\n## Coverage\n")


def test_the_benchmark_is_the_table_that_it_prints(summary, tmp_path):
    metrics = dict.fromkeys(["rps", "p50_ms", "p99_ms", "p999_ms", "cpu_us", "pss_mib", "first_200_ms", "failures", "others"], 17)
    result = {
        "date": "2026-01-02",
        "revision": "0123456",
        "machine": dict.fromkeys(["cpu", "cpus", "kernel", "system", "nginx", "go", "python"], "any"),
        "settings": {"rounds": 1, "seconds": 3},
        "rows": [{"peer": "fcgi-webapp", "connections": 64, **metrics, "spread": {name: [17, 17] for name in metrics}}],
        "ratios": {},
        "must_show": [],
    }
    (tmp_path / "build/bench").mkdir(parents=True)
    (tmp_path / "build/bench/bench.json").write_text(json.dumps(result))
    page = tmp_path / "page"
    assert summary("bench", page).returncode == 0
    (row,) = [line for line in page.read_text().splitlines() if line.startswith("| fcgi-webapp")]
    assert [cell.strip() for cell in row.split("|")][2:4] == ["64", "17"]


@pytest.mark.parametrize("what", ["coverage", "bench"])
def test_no_result_is_an_error_and_no_empty_table(summary, what):
    done = summary(what)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
