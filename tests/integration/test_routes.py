"""The build refuses a route table that the router would serve otherwise than it stands there."""

import os
import shutil
import subprocess

import pytest

from conftest import ROOT


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    copy = tmp_path_factory.mktemp("routes") / "tree"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    return copy


def build(tree, target, *lines):
    """Make a target with these lines at the end of the route table."""
    (tree / "fcgi/app/routes.def").write_text("\n".join([(ROOT / "fcgi/app/routes.def").read_text(), *lines, ""]))
    shutil.rmtree(tree / "build", ignore_errors=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BUILD", "MAKE"))}
    return subprocess.run(["make", "-s", target], cwd=tree, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("path, says", [
    ("/health", 'has the same path as "health"'),
    ("/status/{number}", 'has the same path as "status"'),
    ("/orders/{id}/items", "nothing may follow the {word}"),
    ("/orders/{id}{part}", "nothing may follow the {word}"),
    ("/{customer}/orders/{id}", "nothing may follow the {word}"),
    ("/orders/x{id}", "a {word} must be a whole segment"),
    ("/orders/{}", "a {word} must have a name"),
    ("/orders/{id", "a { must have its }"),
    ("/orders/id}", "a } must have its {"),
    ("orders", "a path must begin with /"),
])
def test_a_route_that_would_be_served_wrongly_fails_the_build_and_is_named(tree, path, says):
    run = build(tree, "build/fcgi/http/router.o", f'ROUTE(orders, "{path}", GET, 0)')
    assert run.returncode != 0
    message = next(line for line in run.stderr.splitlines() if "routes.def" in line)
    assert f'route "orders", path "{path}"' in message and says in message


@pytest.mark.parametrize("path", ["/orders", "/orders/{id}", "/status", "/status/200", "/{word}", "/a/b/c/{d}", "/orders/"])
def test_a_route_that_the_router_serves_builds(tree, path):
    run = build(tree, "build/fcgi/http/router.o", f'ROUTE(orders, "{path}", GET, 0)')
    assert run.returncode == 0, run.stderr
