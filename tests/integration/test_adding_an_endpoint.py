"""Follows docs/adding-an-endpoint.md on a copy of the tree, word for word."""

import re
import shutil
import subprocess

import pytest

import conftest
from conftest import ROOT, wait_for

pytestmark = pytest.mark.own_build


def blocks(language):
    page = (ROOT / "docs" / "adding-an-endpoint.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_page_makes_an_endpoint_that_answers_and_counts(tmp_path, monkeypatch):
    handler, route, _ = blocks("c")
    (test,) = blocks("python")
    commands, _ = blocks("sh")
    tree = tmp_path / "tree"
    conftest.copy_of_the_tree(tree)
    with (tree / "fcgi/app/routes.def").open("a") as table:
        table.write(route)

    # Without its handler, the build names the line and the file to write.
    run = conftest.make_in(tree, "-s", "build")
    number = len((tree / "fcgi/app/routes.def").read_text().splitlines())
    assert run.returncode != 0
    assert [line for line in run.stderr.splitlines() if not line.startswith("make")] == [
        f'fcgi/app/routes.def:{number}: route "greet": there is no endpoint_greet(): write it in fcgi/app/endpoints/greet.c, or correct the name']

    (tree / "fcgi/app/endpoints/greet.c").write_text(handler)
    (tree / "tests/integration/test_greet.py").write_text(test)

    run = subprocess.run(["sh", "-eu", "-c", commands], cwd=tree, capture_output=True, text=True, timeout=300,
                         env={**conftest.os.environ, "BUILD": "build", "MAKEFLAGS": "-j2", "MAKELEVEL": ""})
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 passed" in run.stdout

    # Its counters, in a file that the program without it made.
    folder = conftest.short_folder()
    old = conftest.Service(folder)
    new = conftest.Service(folder, PROGRAM=tree / "build/fcgi-webapp")
    try:
        old.start()
        old.get("/bye")
        wait_for(lambda: old.requests().get(("bye", "GET", "200")) == 1)
        assert old.stop() == 0
        new.start()
        assert new.get("/greet/Ada").json == {"hello": "Ada"}
        wait_for(lambda: new.requests().get(("greet", "GET", "200")) == 1)
        assert new.requests()[("bye", "GET", "200")] == 1
        assert new.scrape()[("http_request_duration_seconds_count", ("endpoint", "greet"))] == 1
    finally:
        old.kill()
        new.kill()
        shutil.rmtree(folder, ignore_errors=True)
