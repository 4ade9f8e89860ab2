"""scripts/test, on suites made up for it: one that passes, fails, crashes, is empty, and so on."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

REPORT = """<?xml version="1.0" encoding="UTF-8" ?>
<testsuites><testsuite name="tests" tests="{count}">{cases}</testsuite></testsuites>
"""
PASSED = '<testcase name="works"></testcase>'
FAILED = '<testcase name="breaks"><failure><![CDATA[1 != 2]]></failure></testcase>'
SKIPPED = '<testcase name="waits"><skipped/></testcase>'


def report(*cases):
    return REPORT.format(count=len(cases), cases="".join(cases))


class Tree:
    """A folder with tests/ and build/tests/, as scripts/test expects them."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, path, text, mode=0o644):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def program(self, name, text, then="exit 0"):
        """A program like one of cmocka's: like cmocka, it does not overwrite a report (set -C)."""
        self.write(f"tests/unit/{name}.c", "")
        write = f"set -eC\ncat >\"$CMOCKA_XML_FILE\" <<'XML'\n{text}XML\n" if text else ""
        self.write(f"build/tests/{name}", f"#!/bin/sh\n[ $CMOCKA_MESSAGE_OUTPUT = XML ]\n{write}{then}\n", 0o755)

    def run(self, *suites, **environment):
        kept = {name: value for name, value in os.environ.items() if name not in ("BUILD", "PYTEST_OPTIONS")}
        return subprocess.run([ROOT / "scripts/test", *suites], cwd=self.folder, env={**kept, **environment},
                              capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def last_line(done):
    return done.stdout.splitlines()[-1]


def test_a_program_and_a_suite_that_pass_are_added_up(tree):
    tree.program("test_a", report(PASSED, PASSED))
    tree.program("test_b", report(PASSED, SKIPPED))
    tree.write("tests/web/test_web.py", "import pytest\ndef test_one(): pass\n"
                                        "def test_two(): pytest.skip('no web here')\n")
    done = tree.run("unit", "web")
    assert (last_line(done), done.returncode) == ("4 passed, 0 failed, 2 skipped", 0), done.stderr
    assert "no web here" in done.stdout


@pytest.mark.parametrize("text, then, result, says", [
    (report(PASSED, FAILED), "exit 1", "1 passed, 1 failed", ""),
    (report(PASSED), "exit 23", "1 passed, 1 failed", "exit status 23"),
    (None, "kill -SEGV $$", "0 passed, 1 failed", "killed by signal 11"),
    (None, "exit 0", "0 passed, 1 failed", "no report"),
    (report(), "exit 0", "0 passed, 1 failed", "no test ran"),
    (report(SKIPPED), "exit 0", "0 passed, 1 failed, 1 skipped", "no test ran"),
    (report(PASSED)[:80] + "\n", "exit 0", "0 passed, 1 failed", "cannot be read"),
], ids=["fails", "exits_non_zero", "crashes", "writes_no_report", "is_empty", "skips_all", "breaks_off"])
def test_a_program_that_does_not_pass_is_one_failed_test(tree, text, then, result, says):
    tree.program("test_a", text, then)
    done = tree.run("unit")
    assert (last_line(done), done.returncode) == (result, 1), done.stderr
    assert says in done.stderr


def test_a_failed_test_is_printed_with_its_reason(tree):
    tree.program("test_a", report(FAILED), "exit 1")
    assert "test_a: breaks: 1 != 2" in tree.run("unit").stdout


def test_a_crash_does_not_count_the_report_of_the_run_before(tree):
    tree.program("test_a", report(PASSED))
    assert tree.run("unit").returncode == 0
    assert tree.run("unit").returncode == 0
    tree.program("test_a", None, "kill -SEGV $$")
    assert last_line(tree.run("unit")) == "0 passed, 1 failed"


def test_a_program_without_a_source_is_not_run(tree):
    tree.program("test_a", report(PASSED))
    tree.program("test_old", report(FAILED), "exit 1")
    (tree.folder / "tests/unit/test_old.c").unlink()
    assert last_line(tree.run("unit")) == "1 passed, 0 failed"


@pytest.mark.parametrize("text, result", [
    ("def test_a(): assert 0\ndef test_b(): pass\n", "1 passed, 1 failed"),
    ("import pytest\n@pytest.fixture\ndef x():\n    yield\n    assert 0\ndef test_a(x): pass\ndef test_b(): pass\n", "1 passed, 1 failed"),
    ("import nothing_of_this_name\n", "0 passed, 1 failed"),
    ("import os\ndef test_a(): os.abort()\n", "0 passed, 1 failed"),
    ("def helper(): pass\n", "0 passed, 1 failed"),
], ids=["fails", "fails_at_the_end", "cannot_be_loaded", "crashes", "is_empty"])
def test_a_suite_that_does_not_pass_is_counted_as_failed(tree, text, result):
    tree.write("tests/web/test_web.py", text)
    done = tree.run("web")
    assert (last_line(done), done.returncode) == (result, 1), done.stdout + done.stderr


def test_options_for_pytest_are_passed_on(tree):
    tree.write("tests/web/test_web.py", "def test_a(): pass\ndef test_b(): assert 0\n")
    assert last_line(tree.run("web", PYTEST_OPTIONS="-k test_a")) == "1 passed, 0 failed"


def test_no_program_at_all_is_a_failure(tree):
    (tree.folder / "tests/unit").mkdir(parents=True)
    assert last_line(tree.run("unit")) == "0 passed, 1 failed"


def test_an_unknown_suite_is_named_before_anything_runs(tree):
    tree.program("test_a", report(PASSED))
    done = tree.run("unit", "wbe")
    assert (done.returncode, done.stdout) == (2, "") and "tests/wbe" in done.stderr
    assert tree.run().returncode == 2


def test_build_names_another_build_folder(tree):
    tree.program("test_a", report(PASSED))
    (tree.folder / "build").rename(tree.folder / "other")
    assert last_line(tree.run("unit", BUILD="other")) == "1 passed, 0 failed"
    assert (tree.folder / "other/reports/test_a.xml").exists()
