"""What the scripts do with arguments that are wrong, and with none."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(command, *arguments, **options):
    return subprocess.run([command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **options)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the scripts and of what they could change."""
    folder = tmp_path_factory.mktemp("usage") / "tree"
    for name in ("scripts", "k8s", "monitoring"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy2(ROOT / "Makefile", folder)
    return folder


def contents(tree):
    return {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def test_a_release_is_prepared_for_a_version_only(tree):
    before = contents(tree)
    for arguments in ([], ["--nosuch"], ["1.2"], ["v1.2.3"], ["01.2.3"], ["1.2.3+5"], ["1.2.3\n4"], ["1.2.3", "1.2.4"]):
        done = run(tree / "scripts/release-prepare", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert done.stderr == "usage: release-prepare VERSION (such as 1.2.3 or 1.2.3-rc.1)\n"
    assert contents(tree) == before
    for version in ("1.2.3", "1.2.3-rc.1"):
        assert run(tree / "scripts/release-prepare", version).returncode == 0
        assert f"\nVERSION := {version}\n" in (tree / "Makefile").read_text()
        assert f":{version}\n" in (tree / "build/release/assets/fcgi-webapp.yaml").read_text()


WITHOUT_ARGUMENTS = ("debug", "hooks", "install", "port-forward", "run", "stack", "watch")


@pytest.mark.parametrize("script", [*WITHOUT_ARGUMENTS, "layers", "manifests", "nginx", "run-workflow", "stress", "summary"])
def test_help_is_printed_and_nothing_else_is_done(tree, script):
    before = contents(tree)
    done = run(tree / "scripts" / script, "--help", cwd=tree)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.lower().startswith(f"usage: {script}") and len(done.stdout.splitlines()) > 2
    assert contents(tree) == before


@pytest.mark.parametrize("script", [*WITHOUT_ARGUMENTS, "layers", "manifests", "nginx", "run-workflow", "summary"])
def test_an_unknown_option_is_refused_and_nothing_else_is_done(tree, script):
    before = contents(tree)
    done = run(tree / "scripts" / script, "--nosuch", cwd=tree)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: {script}") and "Traceback" not in done.stderr
    assert contents(tree) == before


@pytest.mark.parametrize("script, arguments", [
    ("apt-sources", []), ("check-endpoints", []), ("coverage", []), ("fuzz", []), ("fuzz", ["build/fuzzed"]), ("libraries", []), ("release-build-args", []),
    ("release-tags", []), ("release-tags", ["refs/heads/main"]), ("run-workflow", []), ("sanitize", []), ("summary", []), ("version", [])])
def test_a_missing_argument_is_a_line_with_the_usage(tree, script, arguments):
    done = run(tree / "scripts" / script, *arguments, cwd=tree)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"usage: {script} " in done.stderr.splitlines()[0]


def test_a_folder_without_the_picture_of_layers_is_refused(tmp_path):
    done = run(ROOT / "scripts/layers", tmp_path / "none")
    assert done.returncode == 2 and done.stderr.endswith(f"layers: error: {tmp_path}/none has no docs/architecture.md\n")


def test_modules_that_only_the_lint_has_are_named(tree):
    done = run("/usr/bin/python3", "-S", tree / "scripts/schemas", "crds", "1.33.0", "k8s/00-namespace.yaml", cwd=tree)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "schemas: No module named 'jsonschema': scripts/lint-manifests runs this, and has its modules\n"


def test_stress_uses_the_program_of_the_build(tree):
    (tree / "build").mkdir(exist_ok=True)
    (tree / "build/fcgi-webapp").symlink_to(ROOT / "build/fcgi-webapp")
    done = run(tree / "scripts/stress", "--nosuch", env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stdout) == (2, "") and "'--nosuch'" in done.stderr
