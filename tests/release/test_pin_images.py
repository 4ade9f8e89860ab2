"""scripts/pin-images with skopeo and a registry on this machine."""

import hashlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE = "application/vnd.oci.image.manifest.v1+json"

pytestmark = pytest.mark.skipif(
    not (shutil.which("skopeo") and shutil.which("docker-registry")), reason="make test-release installs skopeo and docker-registry"
)


def blob(layout, media_type, content):
    """Writes a blob of an OCI layout, and returns its descriptor."""
    data = json.dumps(content).encode()
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (layout / "blobs/sha256" / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def an_image(layout):
    """An image without layers for two architectures. Returns the digest of its index."""
    found = []
    for architecture in ("amd64", "arm64"):
        config = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
        manifest = {"schemaVersion": 2, "mediaType": IMAGE, "config": blob(layout, "application/vnd.oci.image.config.v1+json", config), "layers": []}
        found.append(blob(layout, IMAGE, manifest) | {"platform": {"architecture": architecture, "os": "linux"}})
    index = blob(layout, INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": found})
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
    return index["digest"]


def answers(address):
    try:
        return urllib.request.urlopen(f"http://{address}/v2/", timeout=1).status == 200
    except OSError:
        return False


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """The address of a registry that speaks plain HTTP, as skopeo is told to expect."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {tmp_path}/registry\nhttp:\n  addr: {address}\n")
    settings = tmp_path / ".config/containers"
    settings.mkdir(parents=True)
    (settings / "registries.conf").write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    with open(tmp_path / "registry.log", "w") as log:
        server = subprocess.Popen(["docker-registry", "serve", tmp_path / "registry.yml"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while not answers(address):
            assert server.poll() is None and time.monotonic() < deadline, (tmp_path / "registry.log").read_text()
            time.sleep(0.05)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def pin(*manifests):
    return subprocess.run([ROOT / "scripts/pin-images", *manifests], capture_output=True, text=True, env=os.environ, check=False)


def test_every_image_gets_the_digest_of_its_index_and_nothing_else_changes(registry, tmp_path):
    digest = an_image(tmp_path / "layout")
    for name in ("app:1.2.3", "library/app:1.2.30"):
        subprocess.run(["skopeo", "copy", "--quiet", "--all", f"oci:{tmp_path}/layout", f"docker://{registry}/{name}"], check=True)
    pinned = f"      image: {registry}/app:1@sha256:{'0' * 64}\n"
    template = "# image: a comment\n    - name: app\n      image: {0}/app:1.2.3{1}\n    - image: {0}/library/app:1.2.30{1}\n"
    (tmp_path / "first.yaml").write_text(template.format(registry, "") + pinned)
    (tmp_path / "second.yaml").write_text("---\nkind: ConfigMap\n")
    done = pin(tmp_path / "first.yaml", tmp_path / "second.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout == template.format(registry, f"@{digest}") + pinned + "---\nkind: ConfigMap\n"


def test_an_image_that_the_registry_does_not_have_is_named_and_nothing_is_printed(registry, tmp_path):
    (tmp_path / "manifest.yaml").write_text(f"image: {registry}/nothing:1.0.0\n")
    done = pin(tmp_path / "manifest.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"pin-images: the registry of {registry}/nothing:1.0.0 gave no digest\n")


def test_a_call_without_a_manifest_says_how_it_is_called():
    done = pin()
    assert (done.returncode, done.stderr) == (2, "usage: pin-images MANIFEST...\n")
