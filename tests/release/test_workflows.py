"""The rules that the workflows keep, for which no linter looks."""

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PUBLISHING = ("release.yml", "image.yml", "tag.yml")


def load(name):
    # YAML 1.1 reads the key `on` as true.
    workflow = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())
    return {"on" if key is True else key: value for key, value in workflow.items()}


def steps(workflow):
    for job in workflow["jobs"].values():
        yield from job.get("steps", [])


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def path(request):
    return request.param


def test_every_action_is_pinned_by_commit_with_its_version_beside(path):
    uses = re.findall(r"^\s*(?:- )?uses: (.*)$", path.read_text(), re.M)
    assert uses
    for action in uses:
        assert action.startswith("./.github/workflows/") or re.fullmatch(
            r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action
        ), action


def test_one_action_has_one_commit_everywhere():
    pins = {}
    for path in WORKFLOWS:
        for action, commit in re.findall(r"uses: ([\w./-]+)@(\S+)", path.read_text()):
            pins.setdefault(action, set()).add(commit)
    assert not {action: commits for action, commits in pins.items() if len(commits) > 1}


def test_no_right_is_given_to_a_whole_workflow(path):
    workflow = load(path.name)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert "permissions" in job, name
        if path.name not in PUBLISHING:
            assert job["permissions"] == {"contents": "read"}, name


def test_no_checkout_keeps_the_token(path):
    for step in steps(load(path.name)):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_nothing_starts_with_the_rights_of_another_workflow(path):
    assert not {"workflow_run", "pull_request_target"} & set(load(path.name)["on"])


def test_what_starts_by_itself_has_a_concurrency_group(path):
    workflow = load(path.name)
    if set(workflow["on"]) != {"workflow_call"}:
        assert workflow["concurrency"]["group"]
    if path.name in PUBLISHING:
        assert not workflow.get("concurrency", {}).get("cancel-in-progress")


def test_nothing_that_publishes_uses_a_cache():
    for name in PUBLISHING:
        text = re.sub(r"package-manager-cache: false|no-cache: true", "", load_text(name))
        assert "cache" not in text, name


def load_text(name):
    return (ROOT / ".github/workflows" / name).read_text()


def test_the_test_workflow_runs_make_targets_only():
    for name, job in load("test.yml")["jobs"].items():
        runs = [step["run"] for step in job["steps"] if "run" in step]
        if "container" in job:  # it begins without git and make
            assert "apt-get install -qy ca-certificates git make\n" in runs.pop(0)
        assert runs, name
        for run in runs:
            assert re.fullmatch(r"make( [\w-]+)+( [A-Z]+=\d+)*", run), run


def test_make_test_runs_on_each_system_that_is_supported():
    jobs = load("test.yml")["jobs"]
    assert set(jobs["test"]["strategy"]["matrix"]["runner"]) == {"ubuntu-24.04", "ubuntu-24.04-arm"}
    assert jobs["debian"]["container"]["image"] == "debian:${{ matrix.release }}"
    assert set(jobs["debian"]["strategy"]["matrix"]["release"]) == {12, 13}
    for name in ("test", "debian"):
        assert "make test" in [step.get("run") for step in jobs[name]["steps"]]
        assert jobs[name]["strategy"]["fail-fast"] is False, "the other systems still say what they have to say"


@pytest.mark.parametrize("caller", ["release.yml", "tag.yml"])
def test_the_image_is_built_in_the_workflow_that_makes_the_release(caller):
    jobs = load(caller)["jobs"]
    assert jobs["image"]["uses"] == "./.github/workflows/image.yml"
    # ... and nothing is published that was not tested before.
    before = set()
    wanted = {"image"}
    while wanted:
        job = wanted.pop()
        needs = jobs[job].get("needs", [])
        needs = {needs} if isinstance(needs, str) else set(needs)
        wanted |= needs - before
        before |= needs
    assert {"test", "kubernetes"} <= before


def test_both_architectures_are_built_and_a_fixable_critical_finding_fails():
    build = load("image.yml")["jobs"]["build"]
    assert {entry["architecture"] for entry in build["strategy"]["matrix"]["include"]} == {"amd64", "arm64"}
    (scan,) = [step for step in build["steps"] if "scan-action" in step.get("uses", "")]
    assert scan["with"].items() >= {"severity-cutoff": "critical", "only-fixed": True, "fail-build": True}.items()
    (push,) = [step for step in build["steps"] if "build-push-action" in step.get("uses", "")]
    assert push["with"]["sbom"] is True
    assert push["with"]["provenance"] == "mode=max"
    # Scanned before it has a name by which anybody could pull it.
    assert "push-by-digest=true" in push["with"]["outputs"] and "tags" not in push["with"]


def test_dependabot_looks_after_actions_npm_and_docker():
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    places = {update["package-ecosystem"]: update.get("directories") or [update["directory"]] for update in updates}
    assert places.items() >= {"github-actions": ["/"], "npm": ["/.github/release"], "docker": ["/", "/.devcontainer"]}.items()
    assert (ROOT / ".github/release/package-lock.json").exists()
    assert (ROOT / "Dockerfile").exists() and (ROOT / ".devcontainer/Dockerfile").exists()


def test_the_lock_file_names_no_place_to_download_from():
    assert '"resolved"' not in (ROOT / ".github/release/package-lock.json").read_text()
