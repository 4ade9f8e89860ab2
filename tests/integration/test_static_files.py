"""Files that nginx serves by itself below /static/."""

import contextlib
import gzip
import re
import shutil
import subprocess

import pytest

from conftest import ROOT, running, short_folder, total, wait_for

SECURITY_HEADERS = ("X-Request-ID", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Content-Security-Policy")
TYPES = {"page.html": "text/html; charset=utf-8", "app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8",
         "module.mjs": "text/javascript; charset=utf-8", "data.json": "application/json", "logo.svg": "image/svg+xml", "a.png": "image/png",
         "a.jpg": "image/jpeg", "a.webp": "image/webp", "f.woff2": "font/woff2", "m.wasm": "application/wasm", "favicon.ico": "image/x-icon",
         "t.txt": "text/plain; charset=utf-8", "unknown.xyz": "application/octet-stream", "sub/deeper/app.js": "text/javascript; charset=utf-8"}
TEXT = b"body { color: red }\n" * 500


@pytest.fixture(scope="module")
def folder():
    path = short_folder()
    files = path / "static"
    for name in TYPES:
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_bytes(TEXT)
    (files / "ready.css").write_bytes(TEXT)
    (files / "ready.css.gz").write_bytes(gzip.compress(b"compressed before"))
    (files / ".env").write_text("secret")
    (files / ".git").mkdir()
    (files / ".git/config").write_text("secret")
    (path / "outside").write_text("secret")
    (files / "link.txt").symlink_to("../outside")
    (files / "etc").symlink_to("/etc")
    (files / "inside.txt").symlink_to("t.txt")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def service(folder):
    with running(WORKERS=2, STATIC_DIR=folder / "static") as started:
        yield started


@pytest.mark.parametrize("name", TYPES)
def test_a_file_has_the_type_of_its_name(service, name):
    answer = service.get("/static/" + name)
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, TYPES[name], TEXT)
    assert all(answer.headers[header] for header in SECURITY_HEADERS)


def directives(answer):
    return dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))


def test_a_page_may_load_what_this_service_has_and_nothing_else(service):
    policy = {kind + "-src": "'self'" for kind in ("script", "style", "img", "font", "connect")}
    policy.update({"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"})
    for path in ("/static/page.html", "/bye", "/nope//"):
        assert directives(service.get(path)) == policy
    assert "sha256-" in directives(service.get("/", headers={"Accept": "text/html"}))["script-src"]  # the page's own


def test_without_a_change_browsers_get_a_304(service):
    first = service.get("/static/app.js")
    assert first.headers["Cache-Control"] == "no-cache"
    for condition in ({"If-None-Match": first.headers["ETag"]}, {"If-Modified-Since": first.headers["Last-Modified"]}):
        again = service.get("/static/app.js", headers=condition)
        assert (again.status, again.body) == (304, b"")
    assert service.get("/static/app.js", headers={"If-None-Match": '"other"'}).status == 200


def test_ranges(service):
    part = service.get("/static/a.png", headers={"Range": "bytes=5-9"})
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, TEXT[5:10], f"bytes 5-9/{len(TEXT)}")
    beyond = service.get("/static/a.png", headers={"Range": "bytes=100000-"})
    assert (beyond.status, beyond.json["title"]) == (416, "Range Not Satisfiable")


def test_text_is_compressed_and_what_was_compressed_before_is_used(service):
    gzipped = service.get("/static/app.css", headers={"Accept-Encoding": "gzip"})
    assert (gzipped.headers["Content-Encoding"], gzipped.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(gzipped.body) == TEXT
    ready = service.get("/static/ready.css", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(ready.body) == b"compressed before"
    assert ready.headers["Content-Type"] == TYPES["app.css"]
    assert service.get("/static/ready.css").body == TEXT
    assert "Content-Encoding" not in service.get("/static/a.png", headers={"Accept-Encoding": "gzip"}).headers


@pytest.mark.parametrize("path", [
    "/static/nope", "/static/", "/static/sub", "/static/sub/", "/static/.env", "/static/.git/config", "/static/%2eenv", "/static/link.txt",
    "/static/etc/passwd", "/static/inside.txt", "/static/..%2foutside", "/static/%2e%2e/outside", "/static/x/../../outside",
    "/static/app.js/", "/static//outside", "/static"])
def test_all_else_is_a_404(service, path):
    answer = service.get(path)
    assert (answer.status, answer.headers["Content-Type"], answer.json["title"]) == (404, "application/problem+json", "Not Found")
    assert b"secret" not in answer.body and "Location" not in answer.headers


def test_files_are_only_read(service):
    assert service.request("HEAD", "/static/app.js").headers["Content-Length"] == str(len(TEXT))
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = service.request(method, "/static/app.js")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD"), method
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json == {"type": "about:blank", "title": "Method Not Allowed", "status": 405,
                               "request_id": answer.headers["X-Request-ID"]}
        assert all(answer.headers[header] for header in SECURITY_HEADERS)


def test_every_request_is_counted_once(own_service, folder):
    service = own_service(WORKERS=2, STATIC_DIR=folder / "static")
    etag = service.get("/static/app.js").headers["ETag"]
    service.get("/static/app.js", headers={"If-None-Match": etag})
    service.get("/static/app.js", headers={"Range": "bytes=0-4"})
    service.request("HEAD", "/static/app.css")
    service.get("/static/nope")
    service.request("POST", "/static/app.js")
    expected = {("static", "GET", "200"): 1, ("static", "GET", "304"): 1, ("static", "GET", "206"): 1, ("static", "HEAD", "200"): 1,
                ("static", "GET", "404"): 1, ("static", "POST", "405"): 1}
    wait_for(lambda: {key: count for key, count in service.requests().items() if key[0] == "static"} == expected,
             what=lambda: service.requests())
    samples = service.scrape()
    assert total(samples, "http_requests_total") == total(samples, "http_request_duration_seconds_count")
    assert samples[("http_response_size_bytes_total", ("endpoint", "static"))] >= len(TEXT) + 5


def test_browsers_use_files_without_asking_for_as_long_as_is_set(own_service, folder):
    service = own_service(WORKERS=2, STATIC_DIR=folder / "static", STATIC_EXPIRES="1h")
    assert service.get("/static/app.js").headers["Cache-Control"] == "max-age=3600"


def test_an_empty_folder_changes_nothing(own_service, folder):
    (folder / "empty").mkdir()
    (folder / "empty/.gitkeep").touch()
    with_folder = own_service(WORKERS=2, STATIC_DIR=folder / "empty")
    without = own_service(WORKERS=2)
    answers = []
    for service in (with_folder, without):
        answer = service.get("/static/x")
        assert answer.status == 404 and answer.json["detail"] == "There is nothing at /static/x."
        assert directives(answer) == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
        answers.append(re.sub(str(service.folder) + r"\S*|127.0.0.1:\d+", "", (service.run_dir / "nginx.conf").read_text()))
        wait_for(lambda: service.requests().get(("other", "GET", "404")) == 1)
    assert answers[0] == answers[1]


def test_files_are_served_and_errors_are_json_while_no_pool_runs(own_service, folder):
    service = own_service(start=False, STATIC_DIR=folder / "static")
    service.run_dir.mkdir()
    service.process = subprocess.Popen([ROOT / "scripts/nginx"], env=service.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers():
        with contextlib.suppress(OSError):
            return service.get("/static/app.js").status == 200
    wait_for(answers)
    failed = service.get("/page.html")
    assert (failed.status, failed.headers["Content-Type"], failed.json["status"]) == (502, "application/problem+json", 502)
