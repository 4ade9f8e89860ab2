"""What a git ref publishes: the tag strategy, as a table."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA = f"sha-{COMMIT}"

PUBLISHED = [
    # what it is, the ref, the tags there were before, the image's tags
    ("the first release", "refs/tags/v1.0.0", "", "1.0.0 1.0 1 latest"),
    ("a release", "refs/tags/v1.3.0", "v1.2.9 v1.2.10", "1.3.0 1.3 1 latest"),
    ("a patch after a tenth", "refs/tags/v1.2.11", "v1.2.9 v1.2.10", "1.2.11 1.2 1 latest"),
    ("a release before 1.0", "refs/tags/v0.2.0", "v0.1.0", "0.2.0 0.2 latest"),
    ("a prerelease", "refs/tags/v1.3.0-rc.1", "v1.2.0", "1.3.0-rc.1"),
    ("a release after its prerelease", "refs/tags/v1.3.0", "v1.3.0-rc.1", "1.3.0 1.3 1 latest"),
    ("a branch build", "refs/heads/main", "v1.2.0", ""),
    ("a branch named like a version", "refs/heads/v1.2.0", "", ""),
    ("a fix for an old minor, by hand", "refs/tags/v1.2.4", "v1.2.3 v1.3.0", "1.2.4 1.2"),
    ("a fix for an old major, by hand", "refs/tags/v1.9.1", "v1.9.0 v2.0.0", "1.9.1 1.9 1"),
    ("an old version again, by hand", "refs/tags/v1.2.3", "v1.2.3 v1.2.4", "1.2.3"),
    ("a release among foreign tags", "refs/tags/v1.0.0", "v9 v9.9 vNext 7.0.0", "1.0.0 1.0 1 latest"),
]

REFUSED = [
    ("a tag that is no version", "refs/tags/vfoo"),
    ("a version with two numbers", "refs/tags/v1.2"),
    ("a version with a leading zero", "refs/tags/v1.02.3"),
    ("build metadata, which no image tag can carry", "refs/tags/v1.2.3+5"),
    ("a pull request", "refs/pull/7/merge"),
    ("a short name", "v1.2.3"),
    ("nothing", ""),
]


def release_tags(ref, before, commit=COMMIT):
    return subprocess.run(
        [ROOT / "scripts/release-tags", ref, commit],
        input="\n".join(before.split()),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("what, ref, before, tags", PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_publishes(what, ref, before, tags):
    done = release_tags(ref, before)
    assert done.stdout.split() == [SHA, *tags.split()], done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("what, ref", REFUSED, ids=[row[0] for row in REFUSED])
def test_refuses(what, ref):
    done = release_tags(ref, "v1.0.0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "release-tags: " in done.stderr


def test_refuses_what_is_no_commit():
    assert release_tags("refs/tags/v1.0.0", "", "main").returncode == 1


@pytest.mark.parametrize(
    "ref, version",
    [
        ("refs/tags/v1.4.0-rc.1", r"1\.4\.0-rc\.1"),
        ("refs/heads/main", r"\d+\.\d+\.\d+\+[0-9a-f]{12}"),
    ],
    ids=["a tag is its own version", "a branch build says its commit"],
)
def test_the_image_is_told_what_it_is(ref, version):
    lines = subprocess.run(
        [ROOT / "scripts/release-build-args", ref], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    arguments = dict(line.split("=", 1) for line in lines)
    assert re.fullmatch(version, arguments["VERSION"])
    assert re.fullmatch("[0-9a-f]{40}", arguments["REVISION"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", arguments["CREATED"])
