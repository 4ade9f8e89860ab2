"""scripts/release-publish with a docker and a cosign that note what they are asked."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGE = "ghcr.io/fcgi-webapp/fcgi-webapp"
INDEX = "sha256:" + "1" * 64
ARCHITECTURES = {"amd64": "sha256:" + "a" * 64, "arm64": "sha256:" + "b" * 64}

TOOL = """#!/bin/sh
echo "{name} $*" >> "$CALLS"
case $* in
*"{fails}"*) exit 1 ;;
*inspect*) echo {index} ;;
esac
"""


@pytest.fixture
def publish(tmp_path):
    repository = tmp_path / "repository"
    git = ["git", "-C", repository, "-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "feat: it"], check=True)
    subprocess.run([*git, "tag", "v1.2.3"], check=True)
    digests = tmp_path / "digests"
    digests.mkdir()
    for architecture, digest in ARCHITECTURES.items():
        (digests / architecture).write_text(digest + "\n")
    calls, page = tmp_path / "calls", tmp_path / "page"
    calls.write_text("")

    def run(ref, fails="nothing fails"):
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in ("docker", "cosign"):
            (tools / name).write_text(TOOL.format(name=name, fails=fails, index=INDEX))
            (tools / name).chmod(0o755)
        done = subprocess.run(
            [ROOT / "scripts/release-publish", IMAGE, ref, digests],
            cwd=repository,
            env=os.environ
            | {
                "PATH": f"{tools}:{os.environ['PATH']}",
                "CALLS": str(calls),
                "GITHUB_STEP_SUMMARY": str(page),
                "GITHUB_SERVER_URL": "https://github.com",
                "GITHUB_REPOSITORY": "fcgi-webapp/fcgi-webapp",
                "GITHUB_REF": "refs/heads/main",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        return done, calls.read_text().splitlines(), commit, page

    return run


def test_a_release_is_one_index_signed_by_digest_before_a_tag_moves_to_it(publish):
    done, calls, commit, page = publish("refs/tags/v1.2.3")
    assert done.returncode == 0, done.stderr
    joined, inspected, signed, verified, tagged = calls
    sources = " ".join(f"{IMAGE}@{digest}" for digest in ARCHITECTURES.values())
    assert joined == f"docker buildx imagetools create --tag {IMAGE}:sha-{commit} {sources}"
    assert "imagetools inspect" in inspected
    assert signed == f"cosign sign --yes {IMAGE}@{INDEX}"
    assert f"{IMAGE}@{INDEX}" in verified
    assert "/.github/workflows/image.yml@refs/heads/main" in verified
    names = " ".join(f"--tag {IMAGE}:{tag}" for tag in (f"sha-{commit}", "1.2.3", "1.2", "1", "latest"))
    assert tagged == f"docker buildx imagetools create {names} {IMAGE}@{INDEX}"
    assert INDEX in page.read_text() and "- 1.2.3\n" in page.read_text()


@pytest.mark.parametrize("fails", ["sign --yes", "verify"])
def test_no_tag_moves_to_an_image_without_a_good_signature(publish, fails):
    done, calls, commit, _ = publish("refs/tags/v1.2.3", fails)
    assert done.returncode != 0
    assert not [call for call in calls if f"{IMAGE}:latest" in call or f"{IMAGE}:1" in call]


def test_a_ref_that_publishes_nothing_touches_no_registry(publish):
    done, calls, _, _ = publish("refs/tags/vfoo")
    assert done.returncode != 0
    assert calls == []
