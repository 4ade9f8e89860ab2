"""What the scripts do with arguments that are wrong, and with none."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(command, *arguments, **options):
    return subprocess.run([command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def tree(tmp_path):
    """A copy of what the release changes."""
    for name in ("scripts", "k8s", "monitoring"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy2(ROOT / "Makefile", tmp_path)
    return tmp_path


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
