"""semantic-release for real: the shipped configuration with all its plugins,
against a bare repository on this disk and a stand-in for GitHub's API.

Git is told to take the local repository for the one on GitHub, and the GitHub
plugin gets the stand-in's address in GITHUB_API_URL, so nothing of
.releaserc.json is changed for the test.
"""

import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import urllib.parse

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
URL = "https://github.com/fcgi-webapp/fcgi-webapp"
IMAGE = "ghcr.io/fcgi-webapp/fcgi-webapp"


class GitHub(http.server.ThreadingHTTPServer):
    """The few answers that @semantic-release/github needs; keeps what it got."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.releases, self.assets = [], {}


class Answers(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"]))

    def do_GET(self):
        repository = {
            "full_name": "fcgi-webapp/fcgi-webapp",
            "clone_url": URL + ".git",
            "permissions": {"push": True},
        }
        self.answer(200, repository if self.path == "/repos/fcgi-webapp/fcgi-webapp" else [])

    def do_POST(self):
        if self.path.startswith("/upload"):
            query = urllib.parse.urlsplit(self.path).query
            (name,) = urllib.parse.parse_qs(query)["name"]
            self.server.assets[name] = self.body()
            self.answer(201, {"browser_download_url": self.server.url})
        else:
            self.server.releases.append(json.loads(self.body()))
            upload = self.server.url + "/upload{?name,label}"
            self.answer(201, {"id": 1, "upload_url": upload, "html_url": self.server.url})

    def do_PATCH(self):
        self.server.releases[-1] |= json.loads(self.body())
        self.answer(200, {"html_url": self.server.url})

    def log_message(self, *_):
        pass


@pytest.fixture
def github():
    server = GitHub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Repository:
    """A clone of this working tree whose origin is a bare repository."""

    def __init__(self, place, github):
        self.clone, self.bare, self.github = place / "clone", place / "bare.git", github
        self.output = place / "output"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GITHUB_", "GIT_", "CI", "MAKE", "MFLAGS", "VERSION"))
        } | {
            # As on a runner, which is what tells semantic-release the branch.
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION": "release",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_REPOSITORY": "fcgi-webapp/fcgi-webapp",
            "GITHUB_TOKEN": "stand-in",
            "GITHUB_API_URL": github.url,
            "GITHUB_OUTPUT": str(self.output),
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@example.invalid",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@example.invalid",
            # Anybody reads, as from a public repository; nobody pushes without
            # the token, which the checkout has not kept.
            "GIT_CONFIG_COUNT": "3",
            "GIT_CONFIG_KEY_0": f"url.file://{self.bare}.insteadOf",
            "GIT_CONFIG_VALUE_0": URL,
            "GIT_CONFIG_KEY_1": f"url.file://{self.bare}.insteadOf",
            "GIT_CONFIG_VALUE_1": URL.replace("://", "://x-access-token:stand-in@"),
            "GIT_CONFIG_KEY_2": "url.file:///nowhere.pushInsteadOf",
            "GIT_CONFIG_VALUE_2": URL,
        }
        self.run("git", "init", "--quiet", "--bare", "--initial-branch=main", self.bare, cwd=place)
        self.run("git", "init", "--quiet", "--initial-branch=main", self.clone, cwd=place)
        self.run("git", "remote", "add", "origin", URL)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True,
        ).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.clone / name)
        # The tools are the same for every test; npm brings them once.
        tools = ROOT / "build/release/tools"
        if tools.exists():
            (self.clone / "build/release").mkdir(parents=True)
            (self.clone / "build/release/tools").symlink_to(tools)
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "-m", "chore: all there was before")
        self.push()

    def run(self, *command, cwd=None):
        done = subprocess.run(
            command, cwd=cwd or self.clone, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}"
        return done.stdout

    def commit(self, message):
        self.run("git", "commit", "--quiet", "--allow-empty", "-m", message)
        self.push()

    def tag(self, name):
        self.run("git", "tag", name)
        self.push()

    def push(self):
        self.run("git", "push", "--quiet", "--tags", self.bare, "main")

    def release(self):
        self.output.write_text("")
        return self.run("make", "release")

    def on_github(self, *command):
        return self.run("git", f"--git-dir={self.bare}", *command).strip()

    def file_on_github(self, name):
        return self.run("git", f"--git-dir={self.bare}", "show", f"main:{name}")


@pytest.fixture(scope="session", autouse=True)
def tools():
    """Installs the pinned tools under build/, once for all the clones."""
    subprocess.run([ROOT / "scripts/release", "--version"], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def repository(tmp_path, github):
    return Repository(tmp_path, github)


def assert_all_say(repository, version):
    """Whatever names a version names this one, where others find it."""
    main = repository.on_github("rev-parse", "main")
    assert repository.on_github("rev-parse", f"v{version}^{{commit}}") == main
    assert repository.on_github("log", "-1", "--format=%s", "main") == f"chore(release): {version}"

    committed = repository.on_github("show", "--name-only", "--format=", "main").split()
    others = {"Makefile", "docs/CHANGELOG.md", "monitoring/compose.yaml"}
    assert others <= set(committed)
    assert all(name in others or name.startswith("k8s/") for name in committed)
    assert repository.run("git", "status", "--porcelain") == "", "changed by the release and not committed"
    assert f"VERSION := {version}" in repository.file_on_github("Makefile").splitlines()

    changelog = repository.file_on_github("docs/CHANGELOG.md")
    assert changelog.startswith("# Changelog\n")
    assert re.search(r"^##? \[?(\d+\.\d+\.\d+)", changelog, re.M)[1] == version

    names = repository.on_github("ls-tree", "--name-only", "main", "k8s/").split()
    manifests = [repository.file_on_github(name) for name in names if name.endswith(".yaml")]
    compose = repository.file_on_github("monitoring/compose.yaml")
    tags = set(re.findall(rf"image: {IMAGE}:(\S+)", "\n".join([*manifests, compose])))
    assert tags == {version}
    applied = [document for text in manifests for document in yaml.safe_load_all(text) if document]
    labels = [document["metadata"].get("labels", {}) for document in applied]
    ours = [label for label in labels if label.get("app.kubernetes.io/name") == "fcgi-webapp"]
    assert {label.get("app.kubernetes.io/version", version) for label in ours} == {version}

    # A fresh clone, as a person has it.
    fresh = repository.clone.parent / "fresh"
    repository.run("git", "clone", "--quiet", URL, fresh)
    repository.run("make", "build", cwd=fresh)
    assert version in repository.run(fresh / "build/fcgi-webapp", "--version").split()

    (release,) = repository.github.releases
    assert release["tag_name"] == f"v{version}"
    assert release["draft"] is False
    assets = repository.github.assets
    assert sorted(assets) == ["SHA256SUMS", "fcgi-webapp.yaml"]
    digest = hashlib.sha256(assets["fcgi-webapp.yaml"]).hexdigest()
    assert assets["SHA256SUMS"].decode() == f"{digest}  fcgi-webapp.yaml\n"
    attached = [document for document in yaml.safe_load_all(assets["fcgi-webapp.yaml"]) if document]
    assert attached == applied

    assert repository.output.read_text() == f"ref=refs/tags/v{version}\n"


@pytest.mark.parametrize(
    "message, version",
    [("fix: a bug", "1.2.4"), ("feat: a feature", "1.3.0"), ("feat!: a feature that breaks", "2.0.0")],
    ids=["a fix gives a patch", "a feature gives a minor", "a breaking feature gives a major"],
)
def test_release(repository, message, version):
    repository.tag("v1.2.3")
    repository.commit(message)
    repository.release()
    assert_all_say(repository, version)
    assert message.partition(": ")[2] in repository.file_on_github("docs/CHANGELOG.md")


def test_the_greatest_of_many_commits_decides(repository):
    repository.tag("v1.2.3")
    for message in ("feat: a feature", "fix: a bug", "docs: a page"):
        repository.commit(message)
    repository.release()
    assert repository.on_github("tag", "--points-at", "main") == "v1.3.0"


def test_a_chore_releases_nothing(repository):
    repository.tag("v1.2.3")
    repository.commit("chore: tidy up")
    before = repository.on_github("rev-parse", "main")
    assert "no new version is released" in repository.release()
    assert repository.on_github("rev-parse", "main") == before
    assert repository.on_github("tag") == "v1.2.3"
    assert repository.github.releases == []
    assert repository.output.read_text() == ""


def test_the_first_release_is_1_0_0_and_the_second_follows_it(repository):
    repository.commit("feat: all of it")
    repository.release()
    repository.commit("fix: a bug")
    repository.release()
    assert repository.on_github("tag").split() == ["v1.0.0", "v1.0.1"]
    changelog = repository.file_on_github("docs/CHANGELOG.md")
    assert changelog.index("1.0.1") < changelog.index("[1.0.0]" if "[1.0.0]" in changelog else "1.0.0 ")


def test_a_hand_pushed_prerelease_does_not_count_as_the_last_version(repository):
    repository.tag("v1.2.3")
    repository.tag("v1.3.0-rc.1")
    repository.commit("fix: a bug")
    repository.release()
    assert repository.on_github("tag", "--points-at", "main") == "v1.2.4"


def test_a_commit_pushed_meanwhile_is_never_passed_over(repository):
    """Its own run releases both; this one must not tag what it did not see."""
    repository.tag("v1.2.3")
    repository.commit("fix: a bug")
    other = repository.clone.parent / "other"
    repository.run("git", "clone", "--quiet", URL, other)
    repository.run("git", "commit", "--quiet", "--allow-empty", "-m", "feat: more", cwd=other)
    repository.run("git", "push", "--quiet", repository.bare, "main", cwd=other)
    assert "behind the remote" in repository.release()
    assert repository.on_github("tag") == "v1.2.3"
