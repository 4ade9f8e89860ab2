"""Follows docs/your-own-service.md on a copy of the tree, word for word, and then breaks what it builds."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading

import pytest

import conftest
from conftest import ROOT, exists, wait_for

# The page begins with an application that has no state and needs no library. Delete it and this file where yours has.
IS_AS_THE_PAGE_BEGINS = "no state of its own" in (ROOT / "fcgi/app/app.c").read_text() and re.search(
    r"^LIBS :=$", (ROOT / "Makefile").read_text(), re.MULTILINE)
pytestmark = [pytest.mark.own_build, pytest.mark.skipif(not IS_AS_THE_PAGE_BEGINS, reason="this application is another than the page's")]

PAGE = ROOT / "docs" / "your-own-service.md"
TOKEN = {"Authorization": "Bearer opensesame"}
JSON = {**TOKEN, "Content-Type": "application/json"}
# A block: what to do with which file, or what it needs; the language; the text.
BLOCK = re.compile(r"(?:(Create|Replace|Append to|Change)[ \n]`([^`]+)`[^\n]*:\n\n)?(?:<!-- needs (.*?) -->\n)?(`{3,4})(\w+)\n(.*?)\4\n", re.DOTALL)


def blocks():
    """(action, file, need, language, text) in the order of the page."""
    for match in BLOCK.finditer(PAGE.read_text()):
        action, path, need, _, language, text = match.groups()
        yield action, path, need, language, text


def change(path, diff):
    """Apply a diff without line numbers: each part must be there once."""
    text = path.read_text()
    for part in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = part.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(old) == 1, f"{path} has {text.count(old)} times:\n{old}"
        text = text.replace(old, new)
    path.write_text(text)


def shell(commands, tree):
    run = subprocess.run(["sh", "-euc", commands], cwd=tree, capture_output=True, text=True, timeout=1800,
                         env={**os.environ, "BUILD": "build", "MAKEFLAGS": "-j2", "MAKELEVEL": ""})
    assert run.returncode == 0, commands + run.stdout + run.stderr
    return run.stdout


class Tutorial:
    """The copy, in which the page is followed up to a heading."""

    def __init__(self, tree):
        conftest.copy_of_the_tree(tree)
        self.tree = tree
        self.todo = list(blocks())
        self.printed = ""

    def follow(self, last):
        """Do each block up to the one that contains this text, which comes next."""
        while last not in self.todo[0][4]:
            action, path, need, language, text = self.todo.pop(0)
            if action in ("Create", "Replace"):
                assert (self.tree / path).exists() == (action == "Replace"), path
                (self.tree / path).write_text(text)
            elif action == "Append to":
                with (self.tree / path).open("a") as file:
                    file.write(text)
            elif action == "Change":
                change(self.tree / path, text)
            elif not need:
                assert language == "sh", text
                self.printed += shell(text, self.tree)
        return self.todo[0][4]

    def service(self, **environment):
        return conftest.running(PROGRAM=self.tree / "build/fcgi-webapp", **environment)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    made = Tutorial(tmp_path_factory.mktemp("tutorial") / "tree")
    made.follow("echo opensesame")
    return made


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text("opensesame\n")
    return path


@pytest.fixture
def notes(tutorial, token):
    with tutorial.service(FCGI_WEBAPP_TOKEN_FILE=token) as service:
        yield service


def create(service, text="milk", **arguments):
    return service.request("POST", "/notes", JSON, json.dumps({"text": text}), **arguments)


def created(service):
    return sum(value for key, value in service.scrape().items() if key[0] == "notes_created_total")


def database(service):
    return service.counters.parent / "notes.db"


def test_the_commands_of_the_page_answer(tutorial, notes):
    tutorial.follow("curl -i")
    commands = tutorial.todo[0][4].replace("localhost:8081", f"127.0.0.1:{notes.port}").replace(
        "localhost:8000", f"127.0.0.1:{notes.metrics_port}")
    printed = shell(commands, tutorial.tree)
    assert "HTTP/1.1 201" in printed and "Location: /notes/1" in printed
    assert '"text":"milk"' in printed.replace(" ", "")
    assert 'notes_created_total{kind="short"} 1' in printed


def test_the_help_lists_its_options(tutorial):
    printed = shell("build/fcgi-webapp serve --help", tutorial.tree)
    assert "--database-folder" in printed and "--token-file" in printed


def test_its_own_tests_and_its_alert_pass(tutorial):
    tutorial.follow("kubectl -n")
    assert re.search(r"\b3 passed", tutorial.printed)
    shell("/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/manifests", tutorial.tree)


def test_a_new_version_of_the_tables_comes_in_while_clients_write(tutorial, token):
    with tutorial.service(FCGI_WEBAPP_TOKEN_FILE=token) as service:
        statuses, over = [], threading.Event()

        def write():
            while not over.is_set():
                statuses.append(create(service).status)

        writer = threading.Thread(target=write)
        writer.start()
        tutorial.follow("pkill -HUP")  # it finds every service on this machine, so the test sends HUP itself
        os.kill(service.supervisor, signal.SIGHUP)
        wait_for(lambda: version_of(service) == 2, 30)
        wait_for(lambda: len(statuses) > 100)
        over.set()
        writer.join()
        assert set(statuses) == {201}
        assert created(service) == len(statuses) == len(rows(service))


def version_of(service):
    return query(service, "PRAGMA user_version")[0][0]


def rows(service):
    return query(service, "SELECT id FROM notes")


def query(service, text):
    with contextlib.closing(sqlite3.connect(database(service), timeout=10)) as connection:
        return connection.execute(text).fetchall()


def test_notes_and_counts_survive_the_end_of_every_process(tutorial, notes):
    for _ in range(20):
        assert create(notes).status == 201
    for pid in (pids := notes.all_pids()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    notes.process.wait()
    wait_for(lambda: not any(exists(pid) for pid in pids))
    notes.start()
    assert len(rows(notes)) == created(notes) == 20
    assert create(notes).status == 201
    assert created(notes) == 21


def test_plain_cgi_runs_the_same_application(tutorial, notes):
    body = b'{"text": "by CGI"}'
    environment = {
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "POST", "PATH_INFO": "/notes", "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)), "HTTP_AUTHORIZATION": "Bearer opensesame",
        "FCGI_WEBAPP_METRICS_FILE": str(notes.counters), "FCGI_WEBAPP_TOKEN_FILE": notes.environment["FCGI_WEBAPP_TOKEN_FILE"]}
    run = subprocess.run([tutorial.tree / "build/fcgi-webapp"], input=body, env=environment, capture_output=True, timeout=30)
    assert run.stdout.startswith(b"Status: 201"), run.stdout + run.stderr
    assert created(notes) == len(rows(notes)) == 1


@pytest.mark.parametrize(("status", "type", "body"), [
    (400, "application/json", b"{"),
    (400, "application/json", b""),
    (400, "application/json", b'{"text": "\xff"}'),
    (400, "application/json", b'{"text": "a\\u0000b"}'),
    (400, "application/json", b'{"text": 1}'),
    (400, "application/json", b"[]"),
    (415, "text/plain", b'{"text": "milk"}'),
    (413, "application/json", b'{"text": "' + b"m" * (1 << 20) + b'"}'),
])
def test_a_bad_body_is_refused_with_a_sentence(notes, status, type, body):
    answer = notes.request("POST", "/notes", {**TOKEN, "Content-Type": type}, body)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert created(notes) == 0


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic opensesame", "Bearer opensesame2", "Bearer " + "x" * 9000])
def test_another_token_is_a_401(notes, header):
    answer = notes.get("/notes", headers={"Authorization": header})
    assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer"


def test_without_a_token_file_nobody_has_access(tutorial):
    with tutorial.service() as service:
        assert service.get("/notes", headers=TOKEN).status == 401


def test_a_database_that_is_away_at_the_start_is_waited_for(tutorial, token, tmp_path):
    folder = tmp_path / "later"
    with tutorial.service(FCGI_WEBAPP_TOKEN_FILE=token, FCGI_WEBAPP_DATABASE_FOLDER=folder) as service:
        ready = service.get("/ready")
        assert ready.status == 503 and "notes.db" in ready.json["detail"]
        assert create(service).status == 503
        folder.mkdir()
        wait_for(lambda: create(service).status == 201, 30)
        wait_for(lambda: service.get("/ready").status == 200, 30)


def test_a_database_that_goes_away_later_makes_the_service_not_ready(notes):
    assert create(notes).status == 201
    database(notes).rename(database(notes).with_suffix(".moved"))
    assert "gone" in notes.get("/ready").json["detail"]
    shutil.copy(database(notes).with_suffix(".moved"), database(notes))  # workers would write to the file that was moved
    assert notes.get("/ready").status == 503


def test_tables_of_a_newer_program_are_left_alone(notes):
    assert create(notes).status == 201
    assert notes.stop() == 0
    query(notes, "PRAGMA user_version = 9")
    notes.start()
    assert create(notes).status == 201
    assert version_of(notes) == 9


def test_a_token_that_is_too_long_is_refused(tutorial, tmp_path):
    (tmp_path / "token").write_text("x" * 200)
    with tutorial.service(FCGI_WEBAPP_TOKEN_FILE=tmp_path / "token") as service:
        assert "There is no token of 1 to 126 bytes" in service.get("/ready").json["detail"]


def test_a_locked_database_is_a_503_with_retry_after(notes):
    assert create(notes).status == 201
    with contextlib.closing(sqlite3.connect(database(notes))) as connection:
        connection.execute("BEGIN IMMEDIATE")
        answer = create(notes)
        assert answer.status == 503 and answer.headers["Retry-After"] == "1"
        assert answer.json["detail"] == "The database is busy."
        assert notes.get("/notes", headers=TOKEN).status == 200  # who reads does not wait
    assert create(notes).status == 201


def test_a_full_database_is_a_507_and_can_still_be_read(tutorial, token):
    with tutorial.service(FCGI_WEBAPP_TOKEN_FILE=token, FCGI_WEBAPP_DATABASE_MEGABYTES=1) as service:
        full = wait_for(lambda: (answer := create(service, "m" * 100_000)).status == 507 and answer)
        assert full.json["title"] == "Insufficient Storage"
        assert service.get("/notes?limit=1", headers=TOKEN).status == 200
        assert service.request("DELETE", "/notes/1", TOKEN).status == 204
