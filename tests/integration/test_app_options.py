"""The options of an application, in a copy of the tree that declares some: docs/application.md, "Options"."""

import contextlib
import os
import re
import shutil
import subprocess
import sys

import pytest

import conftest
from conftest import ROOT, free_ports, wait_for

pytestmark = pytest.mark.own_build

OPTIONS = """
OPTION_TEXT(database_path, "PATH", "/var/lib/notes/notes.db", "the notes")
OPTION_TEXT(owner, "NAME", NULL, "who owns the notes")
OPTION_WHOLE(notes_limit, "COUNT", 100, 1, 1000, "the most notes to list")
OPTION_NUMBER(query_timeout, "SECONDS", 0.5, 0.1, 60, "for one query")
OPTION_SWITCH(read_only, false, "refuse new notes")
OPTION_SWITCH(caching, true, "keep notes in memory")
"""
DEFAULTS = "/var/lib/notes/notes.db nobody 100 0.5 0 1"

# Answers with the values. In the place of an endpoint, so that the pages describe all routes of this tree, too.
BYE = r"""
#include <stdio.h>

#include "http/router.h"
#include "options.h"
#include "service.h"

void
endpoint_bye(const struct request *request, struct response *response)
{
	const struct options *options = request->service->options;
	static char text[500];

	snprintf(text, sizeof(text), "%s %s %ld %g %d %d",
	    options->database_path, options->owner ? options->owner : "nobody",
	    options->notes_limit, options->query_timeout, options->read_only,
	    options->caching);
	response_text(response, 200, text);
}
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options") / "tree"
    conftest.copy_of_the_tree(folder)
    with (folder / "fcgi/app/options.def").open("a") as table:
        table.write(OPTIONS)
    (folder / "fcgi/app/endpoints/bye.c").write_text(BYE)
    done = conftest.make_in(folder, "build")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def program(tree):
    return tree / "build/fcgi-webapp"


def run(program, *arguments, **environment):
    return subprocess.run([program, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


def test_the_help_shows_them_under_a_heading_of_their_own(program):
    shown = run(program, "serve", "--help").stdout
    assert shown.count("Application:") == 1
    assert shown.partition("\nApplication:\n")[2].partition("\n\n")[0].splitlines()[-6:] == [
        "  --database-path PATH       the notes [/var/lib/notes/notes.db]",
        "  --owner NAME               who owns the notes",
        "  --notes-limit COUNT        the most notes to list [100]",
        "  --query-timeout SECONDS    for one query [0.5]",
        "  --[no-]read-only           refuse new notes",
        "  --[no-]caching             keep notes in memory [on]"]
    for command in ("metrics", "load"):
        assert "Application:" not in run(program, command, "--help").stdout


def test_without_a_line_in_the_table_there_is_no_heading():
    table = (ROOT / "fcgi/app/options.def").read_text()
    has_options = re.search(r"^OPTION_", table, re.M) is not None
    assert ("Application:" in conftest.run_program("serve", "--help").stdout) == has_options


@pytest.mark.parametrize("arguments, sentence", [
    (["--notes-limit", "0"], "--notes-limit takes a whole number from 1 to 1000, not '0'"),
    (["--notes-limit=1.5"], "--notes-limit takes a whole number from 1 to 1000, not '1.5'"),
    (["--query-timeout=nan"], "--query-timeout takes a number from 0.1 to 60, not 'nan'"),
    (["--database-path="], "--database-path takes a value that is not empty, not ''"),
    (["--no-owner"], "unknown option '--no-owner'; see fcgi-webapp serve --help"),
    (["--database_path=x"], "unknown option '--database_path=x'; see fcgi-webapp serve --help"),
])
def test_a_bad_value_ends_the_program_with_a_sentence(program, arguments, sentence):
    done = run(program, "serve", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"fcgi-webapp: {sentence}\n")


def test_a_bad_variable_ends_the_program_with_a_sentence(program):
    done = run(program, "serve", FCGI_WEBAPP_READ_ONLY="yes")
    assert (done.returncode, done.stderr) == (2, "fcgi-webapp: FCGI_WEBAPP_READ_ONLY takes true or false, not 'yes'\n")
    # nginx's configuration is made of the same options.
    assert run(program, "nginx-locations", FCGI_WEBAPP_NOTES_LIMIT="x").returncode == 2


def test_a_command_without_them_ignores_their_variables(program):
    assert run(program, "metrics", "--help", FCGI_WEBAPP_READ_ONLY="yes").returncode == 0


def test_variables_reach_the_handlers_of_the_pool(program):
    with conftest.running(PROGRAM=program, WORKERS=2) as service:
        assert service.get("/bye").body.decode() == DEFAULTS
    settings = {"DATABASE_PATH": "a b", "OWNER": "Ada", "NOTES_LIMIT": "7", "QUERY_TIMEOUT": "2", "READ_ONLY": "true", "CACHING": "false"}
    with conftest.running(PROGRAM=program, WORKERS=2, **{"FCGI_WEBAPP_" + name: value for name, value in settings.items()}) as service:
        assert service.get("/bye").body.decode() == "a b Ada 7 2 1 0"


def answer_of_cgi(program, folder, **environment):
    done = run(program, GATEWAY_INTERFACE="CGI/1.1", REQUEST_METHOD="GET", PATH_INFO="/bye",
               FCGI_WEBAPP_METRICS_FILE=str(folder / "counters"), **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\n\n")[2]


def test_variables_reach_the_handlers_of_plain_cgi(program, tmp_path):
    assert answer_of_cgi(program, tmp_path) == DEFAULTS
    assert answer_of_cgi(program, tmp_path, FCGI_WEBAPP_OWNER="Ada", FCGI_WEBAPP_NOTES_LIMIT="7") == "/var/lib/notes/notes.db Ada 7 0.5 0 1"


def cgi_fcgi(socket):
    return run("cgi-fcgi", "-bind", "-connect", str(socket), REQUEST_METHOD="GET", PATH_INFO="/bye").stdout


def test_an_option_overrides_its_variable(program):
    folder = conftest.short_folder()
    socket = folder / "a"
    serve = [program, "serve", f"--socket={socket}", f"--metrics-socket={folder}/m", f"--metrics-file={folder}/c", "--workers=1"]
    pool = subprocess.Popen([*serve, "--notes-limit=8", "--no-read-only", "--no-caching"], stderr=subprocess.DEVNULL,
                            env={"FCGI_WEBAPP_NOTES_LIMIT": "7", "FCGI_WEBAPP_READ_ONLY": "true", "FCGI_WEBAPP_OWNER": "Ada"})
    try:
        wait_for(lambda: cgi_fcgi(socket), what="the pool")
        assert cgi_fcgi(socket).partition("\n\n")[2] == "/var/lib/notes/notes.db Ada 8 0.5 0 0"
    finally:
        pool.terminate()
        assert pool.wait(40) == 0
        shutil.rmtree(folder)


def test_the_image_s_entrypoint_passes_the_variables(program):
    done = run(ROOT / "scripts/entrypoint", "serve", FCGI_WEBAPP_NOTES_LIMIT="0", RUN_DIR="/nowhere", PATH=f"{program.parent}:{os.environ['PATH']}")
    assert (done.returncode, done.stderr) == (2, "fcgi-webapp: FCGI_WEBAPP_NOTES_LIMIT takes a whole number from 1 to 1000, not '0'\n")


def test_make_run_passes_the_variables(tree):
    port, metrics_port = free_ports(2)
    folder = conftest.short_folder()
    log = (folder / "log").open("wb")
    process = subprocess.Popen(["make", "run", f"HTTP_PORT={port}", f"METRICS_PORT={metrics_port}"], cwd=tree, stdin=subprocess.DEVNULL,
                               stdout=log, stderr=log, start_new_session=True, env={
                                   "PATH": os.environ["PATH"], "HOME": str(folder), "RUN_DIR": str(folder), "FCGI_WEBAPP_OWNER": "Ada",
                                   "FCGI_WEBAPP_METRICS_FILE": str(folder / "counters")})
    service = conftest.Service(folder)
    service.process, service.port = process, port
    try:
        def is_up():
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(OSError):
                return service.get("/bye").body
            return None
        wait_for(is_up, 60, "make run")
        assert service.get("/bye").body.decode() == DEFAULTS.replace("nobody", "Ada")
    finally:
        service.kill()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_documents_and_their_tests_need_no_change(tree):
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/docs/test_reference.py"], cwd=tree,
                          capture_output=True, text=True, timeout=300, env={**os.environ, "BUILD": "build"})
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_tests_of_options_need_no_change(tree):
    names = ["build/tests/" + path.stem for path in (ROOT / "tests/unit").glob("test_options*.c")]
    assert len(names) >= 3
    done = conftest.make_in(tree, *names)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in names:
        done = run(tree / name)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line, fault", [
    ('OPTION_WHOLE(workers, "COUNT", 1, 0, 2, "h")', 'option "workers": the engine has an option of this name'),
    ('OPTION_TEXT(memory, "AMOUNT", NULL, "h")', 'option "memory": the engine has an option of this name'),
    ('OPTION_SWITCH(a, true, "h") OPTION_TEXT(a, "A", NULL, "h")', 'option "a": it is declared twice'),
    ('OPTION_SWITCH(Fast, true, "h")', 'option "Fast": a name has only a to z'),
    ('OPTION_SWITCH(, true, "h")', 'option "": a name has only a to z'),
    ('OPTION_SWITCH(_a, true, "h")', 'option "_a": a name has only a to z, 0 to 9, and _ for -, and begins with a letter'),
    (f'OPTION_SWITCH({41 * "a"}, true, "h")', "a name has at most 40 characters"),
    ('OPTION_SWITCH(help, true, "h")', 'option "help": --help prints the options'),
    ('OPTION_SWITCH(inherited, true, "h")', 'option "inherited": HUP passes sockets in the variable of this name'),
    ('OPTION_SWITCH(no_exercise, true, "h")', 'option "no_exercise": a name does not begin with no_'),
    ('OPTION_TEXT(a, "path", NULL, "h")', "the argument has 1 to 15 capital letters"),
    ('OPTION_TEXT(a, NULL, NULL, "h")', "the argument has 1 to 15 capital letters"),
    ('OPTION_TEXT(a, "A", "", "h")', "the default is NULL, or a text that is not empty"),
    ('OPTION_TEXT(a, "A", "x", "")', "a help is one line"),
    (f'OPTION_TEXT(a, "A", "{20 * "x"}", "{40 * "h"}")', "its line in the help has more than 80 characters"),
    ('OPTION_WHOLE(a, "A", 11, 0, 10, "h")', "the default is not between min and max"),
    ('OPTION_WHOLE(a, "A", 0, 1, 10, "h")', "the default is not between min and max"),
    ('OPTION_WHOLE(a, "A", 1.5, 0, 10, "h")', "the default is a whole number such as 5"),
    ('OPTION_WHOLE(a, "A", 2 * 3, 0, 10, "h")', "the default is a whole number such as 5"),
    ('OPTION_WHOLE(a, "A", 1, 0.5, 10, "h")', "min and max are whole numbers"),
    ('OPTION_WHOLE(a, "A", 1, 0, 1e16, "h")', "min and max are whole numbers up to 10^15"),
    ('OPTION_NUMBER(a, "A", -1, -2, 10, "h")', "min is at least 0, and max at least min"),
    ('OPTION_NUMBER(a, "A", 1, 10, 0, "h")', "min is at least 0, and max at least min"),
    ('OPTION_NUMBER(a, "A", 1e1, 0, 10, "h")', "the default is a number such as 5 or 0.5"),
])
def test_a_line_that_does_not_work_fails_the_build(tmp_path, line, fault):
    for name in ("Makefile", "scripts", "fcgi"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    with (tmp_path / "fcgi/app/options.def").open("a") as table:
        table.write(line + "\n")
    done = conftest.make_in(tmp_path, "build/check-options")
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0 and len(said) == 1, done.stderr
    number = len((tmp_path / "fcgi/app/options.def").read_text().splitlines())
    assert said[0].startswith(f"fcgi/app/options.def:{number}: option ") and fault in said[0]
