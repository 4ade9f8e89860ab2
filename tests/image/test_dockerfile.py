"""What the Dockerfile says, which needs no engine to be read."""

import re

import yaml
from conftest import IMAGE, ROOT

TEXT = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
INSTRUCTIONS = [line.split(None, 1) for line in TEXT.splitlines() if line and line[0] not in "# "]


def test_both_stages_stand_on_the_same_base_which_can_be_chosen():
    assert ["ARG", "BASE_IMAGE=debian:13-slim"] in INSTRUCTIONS
    assert [what for word, what in INSTRUCTIONS if word == "FROM"] == ["${BASE_IMAGE} AS build", "${BASE_IMAGE}"]


def test_the_unit_tests_run_before_there_is_an_image():
    assert any(word == "RUN" and re.search(r"\bmake build unit\b", what) for word, what in INSTRUCTIONS)


def test_whoever_installs_does_it_with_the_mirrors_of_the_machine_and_keeps_none():
    installing = [what for word, what in INSTRUCTIONS if word == "RUN" and re.search(r"apt-get install|scripts/deps", what)]
    assert len(installing) == 2
    for command in installing:
        assert command.count("--mount=type=secret") == 2


def test_nothing_is_fetched_but_packages():
    assert not [word for word, _ in INSTRUCTIONS if word == "ADD"]
    assert not re.search(r"\b(curl|wget|pip|npm|go install)\b", TEXT)


def test_the_context_of_the_build_holds_only_what_the_image_is_made_of():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines, "everything is left out, but for what is named"
    assert not [line for line in lines if line.startswith("!.")]


def test_the_manifest_runs_this_image_in_both_containers():
    documents = yaml.safe_load_all((ROOT / "k8s/10-fcgi-webapp.yaml").read_text())
    deployment = next(d for d in documents if d["kind"] == "Deployment")
    images = {c["name"]: c["image"] for c in deployment["spec"]["template"]["spec"]["containers"]}
    assert images["app"] == images["nginx"] == IMAGE
