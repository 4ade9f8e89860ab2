"""scripts/gdb.py: structs of a stopped program on one line each."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

PROGRAM = """
#include <stdlib.h>
#include "http/request.h"
#include "http/response.h"
#include "scoreboard.h"

static struct scoreboard_entry entries[6];

int
main(void)
{
	struct request request = {.method = METHOD_POST, .path = "/bye", .query = "", .id = ""};
	struct response response = {.status = 200, .body = "hello!!", .body_length = 5};
	struct scoreboard board = {(char *)entries, sizeof(entries[0])};

	entries[3].pid = 4711;
	entries[3].path[0] = '/';
	if (request.body_length == 0 && response.status == 200 && board.stride)
		abort();
	return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if not shutil.which("gdb"):
        pytest.skip("gdb is not installed")
    folder = tmp_path_factory.mktemp("gdb")
    (folder / "a.c").write_text(PROGRAM)
    subprocess.run(["cc", "-g", "-O0", "-std=gnu17", "-D_GNU_SOURCE", f"-I{ROOT}/fcgi", "-o", folder / "a", folder / "a.c"], check=True)
    return folder / "a"


def ask(program, *commands):
    steps = [argument for command in ("run", "frame function main", *commands) for argument in ("-ex", command)]
    done = subprocess.run(["gdb", "-batch", "-nx", "-x", ROOT / "scripts/gdb.py", *steps, program],
                          capture_output=True, text=True, timeout=60, check=False)
    if "SIGABRT" not in done.stdout:
        pytest.skip("gdb may not run a program here")
    return done.stdout + done.stderr


def test_a_request_and_a_response_are_a_line_without_what_is_empty(program):
    said = ask(program, "p request", "p response")
    assert '$1 = {method=METHOD_POST path="/bye"}' in said
    assert "$2 = {status=200 body[5]='hello'}" in said


def test_a_scoreboard_is_a_line_for_each_process(program):
    assert '\n3: {pid=4711 path="/"}\n' in ask(program, "scoreboard &board")
    assert '\n3: {pid=4711 path="/"}\n' in ask(program, "scoreboard board")
