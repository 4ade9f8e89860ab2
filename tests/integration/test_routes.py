"""The build refuses a line of the route table that would be served otherwise than it stands there."""

import os
import shutil
import subprocess

import pytest

from conftest import ROOT

pytestmark = pytest.mark.own_build


# Not the application's table, which may have any route.
TABLE = """
ROUTE(health, "/health", GET, NONBLOCKING)
ROUTE(status, "/status/{code}", GET, FAULT_INJECTION | NONBLOCKING)
ROUTE(hang, "/hang", POST, FAULT_INJECTION | RATE_LIMITED)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    copy = tmp_path_factory.mktemp("routes") / "tree"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    return copy


def make(tree, target, *lines):
    """Make a target with these lines at the end of the route table."""
    (tree / "fcgi/app/routes.def").write_text(TABLE + "\n".join([*lines, ""]))
    shutil.rmtree(tree / "build", ignore_errors=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BUILD", "MAKE"))}
    return subprocess.run(["make", "-s", target], cwd=tree, env=environment, capture_output=True, text=True, timeout=300)


def line_of(tree, text):
    lines = (tree / "fcgi/app/routes.def").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def assert_refused(tree, run, path, says):
    assert run.returncode != 0
    (message,) = [line for line in run.stderr.splitlines() if "routes.def" in line]
    number = line_of(tree, "ROUTE(orders")
    assert message == f'fcgi/app/routes.def:{number}: route "orders", path "{path}": {says}'


@pytest.mark.parametrize("path, says", [
    ("/orders/x{id}", "a {word} must be a whole segment"),
    ("/orders/{id}x/items", "a {word} must be a whole segment"),
    ("/orders/{id}{part}", "a {word} must be a whole segment"),
    ("/orders/{}", "a {word} must have a name of letters, digits and _"),
    ("/orders/{id-number}", "a {word} has only letters, digits and _"),
    ("/orders/{id", "a { must have its }"),
    ("/orders/{id/items}", "a { must have its }"),
    ("/orders/id}", "a } must have its {"),
    ("/orders/{id}/items/{id}", "a path cannot have the same {word} twice"),
    ("/orders" + "".join("/{word%d}" % number for number in range(9)), "a path has at most 8 {words}"),
    ("orders", "a path must begin with /"),
    ("", "a path must begin with /"),
    ("/orders//items", "only the last segment can be empty"),
    ("//", "only the last segment can be empty"),
    ("/orders/../items", "browsers and nginx resolve . and .."),
    ("/orders/.", "browsers and nginx resolve . and .."),
    ("/orders items", "a segment has only letters, digits and -._~:@+,="),
    ("/orders;", "a segment has only letters, digits and -._~:@+,="),
    ("/orders%20", "a segment has only letters, digits and -._~:@+,="),
    ("/" + 255 * "x", "a path has at most 255 bytes"),
    ("/.problem", "nginx serves /.problem, and all below /.files/ and /static/, by itself"),
    ("/.files/{name}", "nginx serves /.problem, and all below /.files/ and /static/, by itself"),
    ("/static/{name}", "nginx serves /.problem, and all below /.files/ and /static/, by itself"),
])
def test_a_path_that_cannot_be_served_fails_the_build_with_a_sentence(tree, path, says):
    run = make(tree, "build/check-routes", f'ROUTE(orders, "{path}", GET, 0)')
    assert_refused(tree, run, path, says)


@pytest.mark.parametrize("before, route, says", [
    ("health", 'ROUTE(orders, "/health", GET, 0)', 'has the same path and method as "health"'),
    ("status", 'ROUTE(orders, "/status/{number}", POST | GET, 0)', 'has the same path and method as "status"'),
    ("health", 'ROUTE(orders, "/health", POST, 0)', 'shares its path, and so must share NONBLOCKING and RATE_LIMITED, with "health"'),
    ("hang", 'ROUTE(orders, "/hang", GET, 0)', 'shares its path, and so must share NONBLOCKING and RATE_LIMITED, with "hang"'),
])
def test_a_line_that_contradicts_one_before_it_fails_the_build(tree, before, route, says):
    run = make(tree, "build/check-routes", route)
    assert_refused(tree, run, route.split('"')[1], f'{says} in line {line_of(tree, f"ROUTE({before},")}')


def test_a_name_that_is_taken_fails_the_build(tree):
    run = make(tree, "build/check-routes", 'ROUTE(orders, "/orders", GET, 0)', 'ROUTE(orders, "/orders/{id}", GET, 0)')
    number = line_of(tree, "/orders/{id}")
    assert run.stderr.splitlines()[0] == (f'fcgi/app/routes.def:{number}: route "orders", path "/orders/{{id}}": '
                                          f'has the same name as "orders" in line {number - 1}')
    run = make(tree, "build/check-routes", 'ROUTE(other, "/orders", GET, 0)')
    assert 'route "other", path "/orders": unknown paths are counted as "other"' in run.stderr
    run = make(tree, "build/check-routes", 'ROUTE(static, "/orders", GET, 0)')
    assert 'route "static", path "/orders": static files are counted as "static"' in run.stderr


@pytest.mark.parametrize("name", ["foo-bar", "foo.bar", "1foo", ""])
def test_a_name_that_a_handler_cannot_have_fails_the_build(tree, name):
    run = make(tree, "build/check-routes", f'ROUTE({name}, "/orders", GET, 0)')
    message = run.stderr.splitlines()[0]
    assert message.endswith(f'route "{name}", path "/orders": a name has only letters, digits and _, and begins with no digit')


def test_a_body_on_a_route_without_a_method_that_has_one_fails_the_build(tree):
    run = make(tree, "build/check-routes", 'ROUTE(orders, "/orders", GET, BODY(1M) | NONBLOCKING)')
    assert_refused(tree, run, "/orders", "GET has no body, so the route has no BODY(size)")
    run = make(tree, "build/check-routes", 'ROUTE(orders, "/orders", GET | POST, BODY(1M))', 'ROUTE(order, "/order", DELETE, BODY(1M))')
    assert (run.returncode, run.stderr) == (0, "")


def test_a_route_without_a_method_fails_the_build(tree):
    run = make(tree, "build/check-routes", 'ROUTE(orders, "/orders", 0, 0)')
    assert_refused(tree, run, "/orders", "a route has at least one method")


def test_no_object_is_compiled_with_a_table_that_is_refused(tree):
    run = make(tree, "build/fcgi/http/router.o", 'ROUTE(orders, "/orders/{id", GET, 0)')
    assert_refused(tree, run, "/orders/{id", "a { must have its }")
    assert not (tree / "build/fcgi/http/router.o").exists()


def test_paths_that_the_router_serves_pass(tree):
    paths = ["/orders", "/orders/", "/orders/{id}", "/status", "/status/200", "/{word}", "/{word}/", "/{a}/{b}", "/{a}/orders/{b}/c",
             "/orders/{id}/items/{item}", "/static", "/.well-known/{name}", "/a.b/c-d_e~f/@me/x:y+z,=", "/straße/…", "/" + "/".join("{word%d}" % number for number in range(8))]
    run = make(tree, "build/check-routes", *(f'ROUTE(orders{number}, "{path}", GET, 0)' for number, path in enumerate(paths)))
    assert (run.returncode, run.stderr) == (0, "")


def test_lines_of_a_path_with_different_methods_pass(tree):
    run = make(tree, "build/check-routes", 'ROUTE(notes_list, "/notes/{id}", GET, 0)', 'ROUTE(notes_create, "/notes/{note}", POST | PUT, FAULT_INJECTION)',
               'ROUTE(notes_delete, "/notes/{id}", DELETE, ALWAYS)')
    assert (run.returncode, run.stderr) == (0, "")
