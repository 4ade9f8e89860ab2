"""scripts/rename and scripts/update, on clones of this tree as it is now."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHORT, LONG = "notes", "inventory-service"


def run(tree, *command, status=0, **environment):
    """Runs a command in a tree; returns what it printed."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "MAKE", "MFLAGS", "BUILD"))}
    done = subprocess.run(command, cwd=tree, env={**kept, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return (done.stdout + done.stderr).strip()


def git(tree, *arguments, status=0):
    return run(tree, "git", *arguments, status=status)


def rename(tree, name, owner="acme", status=0):
    return run(tree, "scripts/rename", name, "--owner", owner, status=status)


def commit(tree, subject):
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", subject)


def tree_id(tree):
    return git(tree, "rev-parse", "HEAD^{tree}")


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def identity(tree):
    """Owner and name."""
    text = (tree / "scripts/rename").read_text()
    return re.search(r'^REPOSITORY = ".*/(.*)/(.*)"$', text, re.M).groups()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A clone of this tree, changes included. If it was renamed, it is renamed back."""
    tree = tmp_path_factory.mktemp("original") / "tree"
    if (ROOT / ".git").exists():
        git(ROOT, "clone", "--quiet", "--no-checkout", str(ROOT), str(tree))
    else:
        git(ROOT, "init", "--quiet", str(tree))
    shutil.copytree(ROOT, tree, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build", ".git", "__pycache__", ".pytest_cache"))
    if subprocess.run(["grep", "-qrwE", f"{SHORT}|{LONG}", "--include=*.c", "fcgi/app"], cwd=tree, check=False).returncode == 0:
        pytest.skip(f"the application has its own meaning for {SHORT} or {LONG}")
    git(tree, "config", "user.name", "Test")
    git(tree, "config", "user.email", "test@test.invalid")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--allow-empty", "--message", "test: the tree as it is")
    record = tree / ".upstream.json"
    if record.exists():
        upstream = json.loads(record.read_text())
        known = subprocess.run(["git", "cat-file", "-e", upstream["revision"]], cwd=tree, check=False, capture_output=True)
        if known.returncode:
            pytest.skip("this clone is without the history of the original")
        rename(tree, upstream["name"], upstream["owner"])
    return tree


@pytest.fixture
def clone(original, tmp_path):
    """Makes a clone, renamed if a name is given."""
    def make(name=None, folder="clone"):
        tree = tmp_path / folder
        git(original, "clone", "--quiet", str(original), str(tree))
        git(tree, "config", "user.name", "Test")
        git(tree, "config", "user.email", "test@test.invalid")
        if name:
            rename(tree, name)
        return tree
    return make


def traces(tree, name):
    """The paths of files with the name in any spelling, in their text or in their own name."""
    pattern = name.replace("-", ".?")
    return set(git(tree, "ls-files", f":(icase)*{name.replace('-', '?')}*").splitlines()
               + subprocess.run(["git", "grep", "-ilaE", pattern], cwd=tree, capture_output=True, text=True, check=False).stdout.splitlines())


@pytest.mark.parametrize("name", [SHORT, LONG])
def test_a_renamed_tree_has_no_trace_of_the_old_name_and_is_the_same_when_renamed_back(original, clone, name):
    owner, old = identity(original)
    tree = clone(name)
    assert traces(tree, old) == {".upstream.json"}
    record = json.loads((tree / ".upstream.json").read_text())
    assert (record["name"], record["owner"], record["revision"]) == (old, owner, git(original, "rev-parse", "HEAD"))
    assert identity(tree) == ("acme", name)
    assert f"github.com/acme/{name}/" in (tree / "fcgi/app/endpoints/page/page.js").read_text()
    assert f"ghcr.io/acme/{name}:" in (tree / f"k8s/10-{name}.yaml").read_text()
    assert f".Dt {name.upper()} 1" in (tree / f"docs/man/{name}.1").read_text()
    assert not run(tree, "scripts/manifests", "--check")
    rename(tree, old, owner)
    assert tree_id(tree) == tree_id(original)


def test_a_service_renamed_twice_is_renamed_from_the_original(original, clone):
    tree = clone(SHORT)
    rename(tree, LONG)
    assert traces(tree, identity(original)[1]) == {".upstream.json"}
    assert f"namespace: {LONG}\n" in (tree / f"k8s/10-{LONG}.yaml").read_text()
    assert tree_id(tree) == tree_id(clone(LONG, "at-once"))


def test_own_lines_are_renamed_back_too(original, clone):
    _, old = identity(original)
    tree = clone(SHORT)
    (tree / "docs/own.md").write_text("notes counts notes_starts_total, NOTES_WORKERS=2; no footnotes.\n")
    edit(tree / "docs/faq.md", "**Why ", "The service notes is ours.\n\n**Why ")
    commit(tree, "docs: own words")
    rename(tree, old, identity(original)[0])
    snake = old.replace("-", "_")
    assert (tree / "docs/own.md").read_text() == f"{old} counts {snake}_starts_total, {snake.upper()}_WORKERS=2; no footnotes.\n"
    edit(tree / "docs/faq.md", f"The service {old} is ours.\n\n", "")
    (tree / "docs/own.md").unlink()
    commit(tree, "docs: without own words")
    assert tree_id(tree) == tree_id(original)


def test_a_renamed_program_builds_and_has_its_name(clone):
    tree = clone(LONG)
    tests = [f"build/tests/test_{name}" for name in ("options", "options_refused", "registry", "endpoints", "fuzz_counters")]
    run(tree, "make", "--jobs=2", "build", *tests, OPTIMISE="-O0 -g -U_FORTIFY_SOURCE")
    assert run(tree, f"build/{LONG}", "--version").startswith(f"{LONG} ")
    assert run(tree, f"build/{LONG}", "serve", status=2, INVENTORY_SERVICE_WORKERS="many").startswith(
        f"{LONG}: INVENTORY_SERVICE_WORKERS takes a whole number")
    for test in tests:
        run(tree, test)


def test_c_sources_have_the_name_in_one_header_so_that_no_line_changes_its_length(original):
    _, old = identity(original)
    assert {path for path in traces(original, old) if path.endswith((".c", ".h"))} == {"fcgi/base/program.h"}


@pytest.mark.parametrize("name, sentence", [
    ("Notes", "is not a DNS label"),
    ("9notes", "is not a DNS label"),
    ("notes-", "is not a DNS label"),
    ("my--notes", "is not a DNS label"),
    ("my_notes", "is not a DNS label"),
    ("notes.app", "is not a DNS label"),
    ("", "is not a DNS label"),
    ("n" * 47, "47 characters; 46 are allowed"),
    ("nginx", "already means something"),
    ("json", "already means something"),
    ("tests", "already means something"),
    ("worker", "already means something"),
    ("kube-state-metrics", "already means something"),
])
def test_a_name_that_cannot_be_is_refused_before_anything_is_written(original, name, sentence):
    before = git(original, "rev-parse", "HEAD")
    said = rename(original, name, status=1)
    assert sentence in said and "\n" not in said
    assert git(original, "rev-parse", "HEAD") == before
    assert not git(original, "status", "--porcelain", "--ignored")


def test_the_same_name_an_owner_that_cannot_be_and_a_dirty_tree_are_refused(original, clone):
    owner, old = identity(original)
    tree = clone()
    assert "is the name already" in rename(tree, old, owner, status=1)
    assert "contains the old name" in rename(tree, f"my-{old}", status=1)
    assert "GitHub user" in rename(tree, SHORT, "acme/shop", status=1)
    (tree / "LICENSE").open("a").write("more\n")
    assert "not committed" in rename(tree, SHORT, status=1)
    assert git(tree, "status", "--porcelain") == "M LICENSE"
    shutil.rmtree(tree / ".git")
    assert "not a clone" in rename(tree, SHORT, status=1)
    assert "usage: scripts/rename NAME --owner ORG" in run(tree, "scripts/rename", SHORT, status=2)


def test_an_owner_in_upper_case_owns_an_image_in_lower_case(clone):
    tree = clone()
    rename(tree, SHORT, "Acme")
    assert "github.com/Acme/notes/" in (tree / "fcgi/app/endpoints/page/page.js").read_text()
    assert "image: ghcr.io/acme/notes:" in (tree / "k8s/10-notes.yaml").read_text()


@pytest.fixture
def upstream(clone):
    """A later version of the original, and a renamed service with a change of its own."""
    later, service = clone(folder="later"), clone(SHORT, "service")
    _, old = identity(later)
    (service / "docs/faq.md").open("a").write("\n**Ours?** Yes.\n")
    commit(service, "docs: our question")
    edit(later / "README.md", f"{old} is a web service", f"{old} is still a web service")
    commit(later, f"docs: {old} is still one")
    (later / f"docs/{old}-guide.md").write_text(f"Set {old.replace('-', '_').upper()}_WORKERS for {old}.\n")
    commit(later, "docs: a guide")
    return later, service


def update(service, later, *revision, status=0):
    return run(service, "scripts/update", "--from", str(later), *revision, status=status)


def test_later_versions_of_the_original_come_in_with_the_new_name(upstream):
    later, service = upstream
    head = git(later, "rev-parse", "HEAD")
    update(service, later, git(later, "rev-parse", "HEAD~1"))
    assert "\nnotes is still a web service" in (service / "README.md").read_text()
    assert not (service / "docs/notes-guide.md").exists()
    assert update(service, later).endswith("in one commit: git show --stat")
    assert (service / "docs/notes-guide.md").read_text() == "Set NOTES_WORKERS for notes.\n"
    assert "**Ours?** Yes." in (service / "docs/faq.md").read_text()
    assert traces(service, identity(later)[1]) == {".upstream.json"}
    assert json.loads((service / ".upstream.json").read_text())["revision"] == head
    assert not git(service, "status", "--porcelain")
    assert "* docs: a guide" in git(service, "log", "-1", "--format=%b")
    assert "already up to date" in update(service, later)
    # What came in is also renamed back.
    rename(service, *reversed(identity(later)))
    edit(service / "docs/faq.md", "\n**Ours?** Yes.\n", "")
    commit(service, "docs: without our question")
    assert tree_id(service) == tree_id(later)


def test_conflicts_are_those_of_git(upstream):
    later, service = upstream
    edit(service / "README.md", "notes is a web service", "notes is our web service")
    commit(service, "docs: it is ours")
    assert "git cherry-pick --continue" in update(service, later, status=1)
    assert "UU README.md" in git(service, "status", "--porcelain")
    text = (service / "README.md").read_text()
    assert "<<<<<<< HEAD\nnotes is our" in text and "=======\nnotes is still a" in text
    assert "not committed" in update(service, later, status=1)
    (service / "README.md").write_text(re.sub(r"<{7}.*?\n(.*?)={7}\n.*?>{7}.*?\n", r"\1", text, flags=re.S))
    git(service, "add", "README.md")
    git(service, "-c", "core.editor=true", "cherry-pick", "--continue")
    assert "already up to date" in update(service, later)


def test_files_moved_by_the_original_and_deleted_by_the_service_merge(upstream):
    later, service = upstream
    (service / "docs/benchmarks.md").unlink()
    commit(service, "docs: no benchmarks")
    git(later, "mv", "docs/faq.md", "docs/questions.md")
    (later / "docs/benchmarks.md").open("a").write("\nMore.\n")
    commit(later, "docs: move")
    assert "docs/benchmarks.md stays deleted" in update(service, later)
    assert not (service / "docs/benchmarks.md").exists() and not (service / "docs/faq.md").exists()
    assert "**Ours?** Yes." in (service / "docs/questions.md").read_text()
    assert not git(service, "status", "--porcelain")
    assert "already up to date" in update(service, later)


def test_a_service_keeps_its_own_version_and_changelog(upstream):
    later, service = upstream
    for tree, version in ((later, "7.0.0"), (service, "0.0.3")):
        makefile = tree / "Makefile"
        makefile.write_text(re.sub(r"(?m)^VERSION := .*$", f"VERSION := {version}", makefile.read_text()))
        run(tree, "scripts/manifests")
        (tree / "docs/CHANGELOG.md").write_text(f"# Changelog\n\nThis is {version}.\n")
        commit(tree, f"chore(release): {version}")
    update(service, later)
    assert "\nVERSION := 0.0.3\n" in (service / "Makefile").read_text()
    assert "acme/notes:0.0.3\n" in (service / "k8s/10-notes.yaml").read_text()
    assert "7.0.0" not in (service / "docs/CHANGELOG.md").read_text()
    assert not git(service, "grep", "-l", "-e", ":7\\.0\\.0", "-e", "^VERSION := 7", status=1)


def test_an_update_that_cannot_be_is_refused(clone, upstream):
    later, service = upstream
    assert "did not rename this tree" in update(clone(), later, status=1)
    assert "has no branch, tag or commit nowhere" in update(service, later, "nowhere", status=1)
    assert "has no branch, tag or commit HEAD~1" in update(service, later, "HEAD~1", status=1)
    assert "git fetch failed" in update(service, service / "nowhere", status=1)
    (service / "LICENSE").open("a").write("more\n")
    assert "not committed" in update(service, later, status=1)
