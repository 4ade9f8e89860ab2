"""make hooks: the pre-push hook runs make check, and a hook of somebody else stays."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

MAKEFILE = """
hooks:
\t@scripts/hooks
check:
\t@echo checked >>calls; git status >/dev/null; test ! -e broken
"""


class Repository:
    """A repository with a remote on this disk; `make check` fails where there is a file named broken."""

    def __init__(self, folder):
        self.folder = folder / "tree"
        (self.folder / "scripts").mkdir(parents=True)
        shutil.copy2(ROOT / "scripts/hooks", self.folder / "scripts")
        (self.folder / "Makefile").write_text(MAKEFILE)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT", "MAKE", "MFLAGS"))}
        self.environment = {**kept, "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "init", "-q", "--bare", folder / "remote")
        self.run("git", "remote", "add", "origin", folder / "remote")
        self.commit()
        self.hook = self.folder / ".git/hooks/pre-push"

    def run(self, *command):
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=30, check=False)

    def commit(self):
        done = self.run("git", "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "x")
        assert done.returncode == 0, done.stderr

    def push(self):
        return self.run("git", "push", "-q", "origin", "main")

    def checks(self):
        calls = self.folder / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def test_a_push_is_checked_and_refused_where_the_check_fails(repository):
    assert repository.run("make", "hooks").returncode == 0
    assert repository.push().returncode == 0 and repository.checks() == 1
    repository.commit()
    (repository.folder / "broken").touch()
    assert repository.push().returncode != 0 and repository.checks() == 2
    assert len(set(repository.run("git", "rev-parse", "main", "origin/main").stdout.split())) == 2


def test_to_install_it_twice_is_to_install_it_once(repository):
    repository.run("make", "hooks")
    before = repository.hook.read_text()
    assert repository.run("make", "hooks").returncode == 0
    assert repository.hook.read_text() == before and os.access(repository.hook, os.X_OK)


def test_an_older_hook_of_ours_is_replaced(repository):
    repository.run("make", "hooks")
    new = repository.hook.read_text()
    repository.hook.write_text(new.replace("make check", "make something-else"))
    assert repository.run("make", "hooks").returncode == 0
    assert repository.hook.read_text() == new


def test_a_hook_of_somebody_else_stays(repository):
    repository.hook.parent.mkdir(exist_ok=True)
    repository.hook.write_text("#!/bin/sh\nexit 0\n")
    done = repository.run("make", "hooks")
    assert done.returncode != 0 and "pre-push is not ours" in done.stderr
    assert repository.hook.read_text() == "#!/bin/sh\nexit 0\n"


def test_the_folder_that_git_is_told_to_use_is_used(repository):
    repository.run("git", "config", "core.hooksPath", "shared")
    assert repository.run("make", "hooks").returncode == 0
    assert (repository.folder / "shared/pre-push").exists() and not repository.hook.exists()
