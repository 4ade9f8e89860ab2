"""Paths with several {words}, and with a line a method, in a copy of the tree with a route table of its own: each request reaches its
handler, with what stands for the {words}, in the kind of worker that its flags ask for."""

import json
import os
import re
import shutil
import subprocess
import urllib.parse

import pytest

import conftest
from conftest import Service, parse, requests_of, short_folder, wait_for

pytestmark = pytest.mark.own_build

# The application's routes may have the same names, so these get the prefix test_.
ROUTES = """
ROUTE(root, "/", GET, NONBLOCKING)
ROUTE(status, "/status/{code}", GET, FAULT_INJECTION | NONBLOCKING)
ROUTE(block, "/block/{seconds}", GET, FAULT_INJECTION)
ROUTE(notes_list, "/notes", GET, 0)
ROUTE(notes_create, "/notes", POST, 0)
ROUTE(note, "/notes/{id}", GET, NONBLOCKING)
ROUTE(note_replace, "/notes/{note}", PUT, NONBLOCKING)
ROUTE(notes_all, "/notes/all", GET, 0)
ROUTE(note_tag, "/notes/{id}/tags/{tag}", GET | PUT, 0)
ROUTE(note_slow, "/notes/{id}/slow", GET, 0)
ROUTE(note_hang, "/notes/{id}/slow", POST, 0)
ROUTE(tenant_notes, "/{tenant}/notes", GET, 0)
ROUTE(tenant_fast, "/{tenant}/fast", GET, NONBLOCKING)
ROUTE(tenant_any, "/{tenant}/{thing}", GET, 0)
ROUTE(status_all, "/status/all", GET, 0)
ROUTE(statuses, "/statuses", GET, 0)
ROUTE(block_all, "/block/all", GET, NONBLOCKING)
ROUTE(block_deep, "/block/{seconds}/deep", GET, NONBLOCKING)
ROUTE(limited, "/limited/{id}", GET, RATE_LIMITED)
ROUTE(tree_exact, "/tree/b/d", GET, NONBLOCKING)
ROUTE(tree_back, "/tree/{x}/c", GET, 0)
ROUTE(tree_deep, "/tree/b/{y}/z", GET, NONBLOCKING)
ROUTE(odd, "/odd.x+y/{a}/b", GET, NONBLOCKING)
ROUTE(odd_other, "/odd.x+y/{a}/{b}", GET, 0)
"""
HANDLERS = r"""
#include <unistd.h>

#include <json-c/json.h>

#include "http/router.h"

static void
answer(const struct request *request, struct response *response, const char *name)
{
	static const char *const words[] = {"id", "note", "tag", "tenant", "thing", "code", "seconds", "x", "y", "a", "b"};
	struct json_object *parameters = json_object_new_object();
	struct json_object *body = json_object_new_object();

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (*request_parameter(request, words[i]))
			json_object_object_add(parameters, words[i],
			    json_object_new_string(request_parameter(request, words[i])));
	json_object_object_add(body, "endpoint", json_object_new_string(name));
	json_object_object_add(body, "first", json_object_new_string(request->parameter));
	json_object_object_add(body, "path", json_object_new_string(request->path));
	json_object_object_add(body, "parameters", parameters);
	json_object_object_add(body, "pid", json_object_new_int(getpid()));
	response_json(response, 200, body);
}

void
endpoint_test_note_hang(const struct request *request, struct response *response)
{
	(void)request;
	(void)response;
	for (;;)
		pause();
}
"""
NAMES = re.findall(r"ROUTE\((\w+)", ROUTES)
HEALTH = 'ROUTE(health, "/health", GET, NONBLOCKING | ALWAYS)\n'


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    tree = tmp_path_factory.mktemp("paths") / "tree"
    conftest.copy_of_the_tree(tree)
    (tree / "fcgi/app/routes.def").write_text(HEALTH + ROUTES.replace("ROUTE(", "ROUTE(test_"))
    (tree / "fcgi/app/endpoints/answers.c").write_text(HANDLERS + "".join(
        f'\nvoid\nendpoint_test_{name}(const struct request *request, struct response *response)\n{{\n\tanswer(request, response, "{name}");\n}}\n'
        for name in NAMES if name != "note_hang"))
    run = subprocess.run(["make", "-s", "-j2", "build/fcgi-webapp", "BUILD=build"], cwd=tree, capture_output=True, text=True, timeout=300,
                         env={**os.environ, "MAKEFLAGS": "", "MAKELEVEL": ""})
    assert run.returncode == 0, run.stderr
    return tree / "build/fcgi-webapp"


@pytest.fixture(scope="module")
def start(program):
    """Starts a service with these variables, which ends with the module."""
    services = []

    def begin(**environment):
        services.append(Service(short_folder(), PROGRAM=program, WORKERS=2, **environment))
        return services[-1].start()

    yield begin
    for service in services:
        service.kill()
        shutil.rmtree(service.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def service(start):
    return start()


def requests(service):
    """The counts of this table's routes, without their prefix."""
    return {(key[0].removeprefix("test_"), *key[1:]): count for key, count in service.requests().items() if key[0].startswith("test_")}


def kind_of(service, pid):
    return {**dict.fromkeys(service.workers, "nonblocking"), **dict.fromkeys(service.blocking_workers, "blocking")}[pid]


PATHS = [
    ("GET", "/", "root", {}, "nonblocking"),
    ("GET", "/status/418", "status", {"code": "418"}, "nonblocking"),
    ("GET", "/block/0", "block", {"seconds": "0"}, "blocking"),
    ("GET", "/notes", "notes_list", {}, "blocking"),
    ("POST", "/notes", "notes_create", {}, "blocking"),
    ("GET", "/notes/7", "note", {"id": "7"}, "nonblocking"),
    ("PUT", "/notes/7", "note_replace", {"note": "7"}, "nonblocking"),
    ("GET", "/notes/all", "notes_all", {}, "blocking"),
    ("GET", "/notes/7/tags/blue", "note_tag", {"id": "7", "tag": "blue"}, "blocking"),
    ("PUT", "/notes/all/tags/all", "note_tag", {"id": "all", "tag": "all"}, "blocking"),
    ("GET", "/notes/7/slow", "note_slow", {"id": "7"}, "blocking"),
    ("GET", "/acme/notes", "tenant_notes", {"tenant": "acme"}, "blocking"),
    ("GET", "/acme/fast", "tenant_fast", {"tenant": "acme"}, "nonblocking"),
    ("GET", "/acme/other", "tenant_any", {"tenant": "acme", "thing": "other"}, "blocking"),
    ("GET", "/health/fast", "tenant_fast", {"tenant": "health"}, "nonblocking"),
    ("GET", "/statusx/fast", "tenant_fast", {"tenant": "statusx"}, "nonblocking"),
    ("GET", "/statusx/200", "tenant_any", {"tenant": "statusx", "thing": "200"}, "blocking"),
    ("GET", "/status/all", "status_all", {}, "blocking"),
    ("GET", "/statuses", "statuses", {}, "blocking"),
    ("GET", "/block/all", "block_all", {}, "nonblocking"),
    ("GET", "/block/1/deep", "block_deep", {"seconds": "1"}, "nonblocking"),
    ("GET", "/tree/b/d", "tree_exact", {}, "nonblocking"),
    ("GET", "/tree/a/c", "tree_back", {"x": "a"}, "blocking"),
    ("GET", "/tree/b/c", "tree_back", {"x": "b"}, "blocking"),
    ("GET", "/tree/b/c/z", "tree_deep", {"y": "c"}, "nonblocking"),
    ("GET", "/odd.x+y/1/b", "odd", {"a": "1"}, "nonblocking"),
    ("GET", "/odd.x+y/fast", "tenant_fast", {"tenant": "odd.x+y"}, "nonblocking"),
    ("GET", "/odd.x+y/1/c", "odd_other", {"a": "1", "b": "c"}, "blocking"),
    # nginx decodes a path before it and the router match it.
    ("GET", "/notes/a%20b%3F%25", "note", {"id": "a b?%"}, "nonblocking"),
    ("GET", "/notes/7%2Ftags%2Fblue", "note_tag", {"id": "7", "tag": "blue"}, "blocking"),
    ("GET", "/notes/7%252Ftags", "note", {"id": "7%2Ftags"}, "nonblocking"),
    ("GET", "/notes/x/../7/./tags/blue", "note_tag", {"id": "7", "tag": "blue"}, "blocking"),
    ("GET", "/odd.x+y/1/b%0A", "odd_other", {"a": "1", "b": "b\n"}, "blocking"),
    ("GET", "/notes/%C3%A9/tags/" + 2000 * "x", "note_tag", {"id": "é", "tag": 2000 * "x"}, "blocking"),
]


@pytest.mark.parametrize("method, path, endpoint, parameters, kind", PATHS)
def test_a_request_reaches_its_handler_in_its_kind_of_worker(service, method, path, endpoint, parameters, kind):
    answer = service.request(method, path).json
    assert (answer["endpoint"], answer["parameters"]) == (endpoint, parameters)
    assert kind_of(service, answer["pid"]) == kind
    assert answer["first"] == next(iter(parameters.values()), "")
    if "/." not in path:
        assert answer["path"] == urllib.parse.unquote(path)


@pytest.mark.parametrize("path", ["/notes/", "/notes//tags/blue", "/notes/7/tags/", "/notes/7/tags", "/notes/7/tags/blue/", "//notes", "/block", "/tree",
                                  "/limited", "/block/", "/acme", "/tree/b/x/y", "/odd.x+y/1/", "/oddqx+y/1/b"])
def test_a_path_that_matches_none_is_a_404_and_no_redirect(service, path):
    answer = service.get(path)
    assert answer.status == 404
    assert answer.json["detail"] == f"There is nothing at {path}."


def test_allow_has_the_methods_of_all_lines_and_the_first_line_counts(service):
    before = requests(service)
    for path, allow in (("/notes", "GET, HEAD, POST, OPTIONS"), ("/notes/7", "GET, HEAD, PUT, OPTIONS"), ("/notes/all", "GET, HEAD, OPTIONS")):
        answer = service.request("DELETE", path)
        assert (answer.status, answer.headers["Allow"]) == (405, allow)
        answer = service.request("OPTIONS", path)
        assert (answer.status, answer.headers["Allow"]) == (204, allow)
    service.request("HEAD", "/notes")
    service.request("POST", "/notes")

    def added():
        return {key: count - before.get(key, 0) for key, count in requests(service).items() if count > before.get(key, 0)}

    expected = {("notes_list", "HEAD", "200"): 1, ("notes_create", "POST", "200"): 1}
    for endpoint in ("notes_list", "note", "notes_all"):
        expected |= {(endpoint, "DELETE", "405"): 1, (endpoint, "OPTIONS", "204"): 1}
    wait_for(lambda: added() == expected, what=added)


def test_an_answer_of_nginx_is_counted_under_the_line_of_its_method(service):
    for method, path, endpoint in (("POST", "/notes", "notes_create"), ("PUT", "/notes/7", "note_replace"), ("DELETE", "/notes/7", "note")):
        request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
        assert service.raw(request.encode()).startswith(b"HTTP/1.1 413 ")
        wait_for(lambda: requests(service).get((endpoint, method, "413")) == 1, what=endpoint)


def test_a_killed_request_is_logged_with_the_line_of_its_method(start):
    service = start(FCGI_WEBAPP_REQUEST_TIMEOUT=1)
    assert service.request("POST", f"/notes/{60 * 'x'}/slow").status == 502
    (line,) = wait_for(lambda: [line for line in service.log_lines() if line["msg"] == "over its deadline: killed"])
    assert line["endpoint"] == "test_note_hang"


def test_a_rate_limit_is_of_the_route_whatever_its_words_are(service):
    answers = []

    def is_refused():
        answers.append(service.get(f"/limited/{len(answers)}").status)
        return answers[-1] == 429

    wait_for(is_refused, 60)
    assert set(answers[:-1]) == {200}


def test_a_static_file_is_no_request_for_a_route_with_a_word(start, tmp_path):
    (tmp_path / "app.js").write_text("1;")
    tmp_path.chmod(0o755)
    service = start(STATIC_DIR=tmp_path)
    assert service.get("/static/app.js").body == b"1;"
    assert service.get("/other/app.js").json["endpoint"] == "tenant_any"
    wait_for(lambda: service.requests().get(("static", "GET", "200")) == 1)
    wait_for(lambda: requests(service).get(("tenant_any", "GET", "200")) == 1)


def test_routes_that_are_turned_off_are_not_served_by_others(start):
    service = start(FCGI_WEBAPP_EXERCISE="false")
    assert service.get("/status/200").status == 404
    assert service.get("/status/all").json["endpoint"] == "status_all"
    assert service.get("/acme/200").json["endpoint"] == "tenant_any"


def test_plain_cgi_serves_and_counts_the_same_lines(program, tmp_path):
    def ask(method, path, **variables):
        environment = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": method, "PATH_INFO": path,
                       "FCGI_WEBAPP_METRICS_FILE": str(tmp_path / "counters"), **variables}
        return subprocess.run([program], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60).stdout

    tag = json.loads(ask("PUT", "/notes/7/tags/blue").partition("\n\n")[2])
    assert (tag["endpoint"], tag["parameters"]) == ("note_tag", {"id": "7", "tag": "blue"})
    assert "notes_create" in ask("POST", "/notes")
    assert "Allow: GET, HEAD, POST, OPTIONS" in ask("DELETE", "/notes")
    assert ask("PUT", "/notes/7", CONTENT_LENGTH="99999999").startswith("Status: 413")
    shown = subprocess.run([program, "metrics", "--metrics-file", tmp_path / "counters"], capture_output=True, text=True, timeout=60).stdout
    assert requests_of(parse(shown)) == {("test_note_tag", "PUT", "200"): 1, ("test_notes_create", "POST", "200"): 1,
                                         ("test_notes_list", "DELETE", "405"): 1, ("test_note_replace", "PUT", "413"): 1}


def locations(program):
    """Head of a location -> the heads of those inside."""
    text = subprocess.run([program, "nginx-locations"], capture_output=True, text=True, timeout=60, check=True).stdout
    found = {}
    for indent, head in re.findall(r"^( +)location (.*) {$", text, re.M):
        if len(indent) == 8:
            assert head not in found
            found[head] = []
        else:
            found[list(found)[-1]].append(head)
    return found


def test_only_requests_below_a_head_whose_paths_differ_meet_a_regular_expression(program):
    found = locations(program)
    assert {head for head, inside in found.items() if inside} == {"/", "/notes/", "/block/", "/tree/", "/tree/b/", "/odd.x+y/"}
    assert found["/odd.x+y/"] == [r"~ ^/odd\.x\+y/[^/]+/b\z", r"~ ^/odd\.x\+y/[^/]+/[^/]+\z",
                                  r"~ ^/[^/]+/fast\z", r"~ ^/[^/]+/notes\z", r"~ ^/[^/]+/[^/]+\z"]
    assert not any(head.startswith("~") for head in found)


def test_only_paths_without_other_methods_than_get_skip_the_choice_of_the_upstream_by_method(program):
    """A request over a kept connection may be sent twice."""
    text = subprocess.run([program, "nginx-locations"], capture_output=True, text=True, timeout=60, check=True).stdout
    passes = dict(re.findall(r"location (\S+ ?\S*) {\n(?:(?!location).)*?fastcgi_pass (\S+);", text, re.S))
    assert passes["= /tree/b/d"] == passes[r"~ ^/[^/]+/fast\z"] == passes["= /"] == "kept"
    assert passes[r"~ ^/notes/[^/]+\z"] == "$pool"
    assert passes["= /notes"] == "blocking"
