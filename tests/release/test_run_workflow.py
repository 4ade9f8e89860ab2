"""scripts/run-workflow, which runs the steps of a workflow on a clean clone."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

WORKFLOW = """
jobs:
  first:
    steps:
      - uses: somebody/something@0123456789012345678901234567890123456789 # v1.0.0
      - name: A good step
        run: |
          test -f committed
          test ! -e left-over
          echo "| a table |" >> "$GITHUB_STEP_SUMMARY"
  second:
    steps:
      - run: {second}
      - name: The last step
        env:
          WORD: said
        run: echo "$WORD"
  third:
    container: debian:13
    steps:
      - run: touch ran-on-the-wrong-system; exit 1
"""


@pytest.fixture
def run_workflow(tmp_path):
    def run(second):
        repository = tmp_path / "repository"
        (repository / "scripts").mkdir(parents=True)
        shutil.copy2(ROOT / "scripts/run-workflow", repository / "scripts")
        (repository / "workflow.yml").write_text(WORKFLOW.format(second=second))
        (repository / "committed").touch()
        git = ["git", "-C", repository, "-c", "user.name=t", "-c", "user.email=t@example.invalid"]
        for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "feat: it"]):
            subprocess.run([*git, *command], check=True)
        (repository / "left-over").touch()
        return subprocess.run(
            [repository / "scripts/run-workflow", "workflow.yml"], capture_output=True, text=True, check=False
        )

    return run


def test_every_step_runs_on_a_clean_clone_and_its_page_is_shown(run_workflow):
    done = run_workflow("'true'")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| a table |" in done.stdout
    assert "said\n" in done.stdout
    assert done.stdout.endswith("3 passed, 0 failed\n")


def test_a_job_for_another_system_is_left_out_and_named(run_workflow):
    done = run_workflow("'true'")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out: third" in done.stdout and "=== third" not in done.stdout


def test_a_step_that_fails_is_named_and_the_others_run_all_the_same(run_workflow):
    done = run_workflow("'false; true'")
    assert done.returncode == 1
    assert "FAIL" in done.stdout and "second: false; true" in done.stdout
    assert "said\n" in done.stdout
    assert done.stdout.endswith("2 passed, 1 failed\n")


def test_a_step_that_only_github_could_fill_in_is_refused(run_workflow):
    done = run_workflow("echo ${{{{ github.sha }}}}")
    assert done.returncode == 1
    assert "an expression in run" in done.stderr
