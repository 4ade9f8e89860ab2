"""The includes of fcgi/ follow the picture of layers; and scripts/layers, which compares them, on trees made up for it."""

import subprocess

import pytest

from conftest import ROOT

PICTURE = """# Architecture

## Layers

```mermaid
flowchart TB
    main["main.c"]
    master["master/"]
    http["http/"]
    tables["app/*.def"]
    app["app/"]
    base["base/"]

    main --> master & app
    master --> http --> tables & base
    app --> http
```
"""
FILES = {
    "main.c": '#include <stdio.h>\n#include "master/master.h"\n#include "app/app.h"\n',
    "master/master.c": '#include "master/master.h"\n#include "base/log.h"\n#include "http/http.h"\n',
    "master/master.h": "",
    "http/http.c": '#include "http/http.h"\n#include "app/routes.def"\n',
    "http/http.h": '#include "base/log.h"\n',
    "app/app.h": '#include "http/http.h"\n',
    "app/routes.def": "",
    "base/log.h": "",
}


def check(folder, picture=PICTURE, **changed):
    """What scripts/layers says of a tree of FILES; keyword arguments name changed files: http_http_h="..."."""
    (folder / "docs").mkdir()
    (folder / "docs/architecture.md").write_text(picture)
    files = {**FILES, **{name: changed.get(name.replace("/", "_").replace(".", "_"), text) for name, text in FILES.items()}}
    for name, text in files.items():
        (folder / "fcgi" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "fcgi" / name).write_text(text)
    done = subprocess.run([ROOT / "scripts/layers", folder], capture_output=True, text=True, check=False)
    assert done.returncode == (1 if done.stdout or done.stderr else 0), done.stderr
    return done.stdout.splitlines() + done.stderr.splitlines()


def test_the_includes_follow_the_picture_and_files_and_functions_are_short():
    done = subprocess.run([ROOT / "scripts/layers"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_tree_that_follows_its_picture_passes(tmp_path):
    assert check(tmp_path) == []


def test_an_arrow_that_is_turned_round_in_the_picture_is_found(tmp_path):
    turned = PICTURE.replace("app --> http", "http --> app")
    assert check(tmp_path, turned) == [
        "layers: fcgi/app/app.h includes http/http.h, and there is no arrow from app to http",
        "layers: no include needs the arrow http --> app"]


def test_an_include_that_goes_upwards_is_found(tmp_path):
    assert check(tmp_path, base_log_h='#include "../master/master.h"\n') == [
        "layers: fcgi/base/log.h includes master/master.h, and there is no arrow from base to master"]


def test_a_table_of_the_application_is_not_the_application(tmp_path):
    assert check(tmp_path, http_http_c='#include "http.h"\n#include "app/routes.def"\n#include "app/app.h"\n') == [
        "layers: fcgi/http/http.c includes app/app.h, and there is no arrow from http to app"]


def test_a_cycle_of_files_in_one_box_is_found(tmp_path):
    assert check(tmp_path, master_master_h='#include "master.c"\n') == [
        "layers: an include cycle: master/master.h -> master/master.c -> master/master.h"]


def test_a_cycle_in_the_picture_is_found(tmp_path):
    assert "layers: the picture has a cycle: app --> http --> app" in check(tmp_path, PICTURE.replace("app --> http", "app --> http --> app"))


@pytest.mark.parametrize("line, says", [
    ('    base["base/"]\n', "is in no box"),
    ("    app --> http\n", "no arrow from app to http"),
])
def test_what_the_picture_leaves_out_is_found(tmp_path, line, says):
    picture = PICTURE.replace(line, "").replace("tables & base", "tables" if "base[" in line else "tables & base")
    assert any(says in said for said in check(tmp_path, picture))


def test_a_box_without_files_is_found(tmp_path):
    assert check(tmp_path, PICTURE.replace('app["app/"]\n', 'app["app/"]\n    load["load/"]\n')) == ["layers: box load has no file"]


def test_an_arrow_of_no_box_is_found(tmp_path):
    assert "xyz" in check(tmp_path, PICTURE.replace("app --> http", "app --> http --> xyz"))[0]


@pytest.mark.parametrize("lines, found", [(400, []), (401, ["layers: fcgi/main.c has 401 lines; 400 are allowed"])])
def test_a_file_that_is_too_long_is_found(tmp_path, lines, found):
    assert check(tmp_path, main_c=FILES["main.c"] + "\n" * (lines - 3)) == found


@pytest.mark.parametrize("lines, found", [(60, []), (61, ["layers: fcgi/main.c:6: main() has 61 lines; 60 are allowed"])])
def test_a_function_that_is_too_long_is_found(tmp_path, lines, found):
    text = FILES["main.c"] + "int\nmain(void)\n{\n" + "\tx();\n" * (lines - 2) + "}\n"
    assert check(tmp_path, main_c=text) == found
