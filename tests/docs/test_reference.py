"""Everything that the pages name exists, and everything that exists is documented."""

import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from conftest import PAGES, ROOT, RUNBOOKS, TUTORIAL, app_metrics, app_options, ask, commands, find, harness, help_of, make_targets, name, options, routes, written

README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "docs/reference.md").read_text()
KUBERNETES = (ROOT / "docs/kubernetes.md").read_text()
MANUAL = (ROOT / "docs/man/fcgi-webapp.1").read_text()
ALL_OPTIONS = {option for command in commands() for option in options(command)} | app_options()


@pytest.fixture(scope="module")
def service():
    with harness.running(WORKERS=2) as started:
        yield started


def rows(text):
    """The cells of a page's tables, without backticks."""
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


# --- commands and options -----------------------------------------------------------


def test_the_reference_shows_every_command_with_what_it_does():
    shown = re.findall(r"^fcgi-webapp (\w+) +\S", REFERENCE, re.M)
    assert tuple(shown) == commands()


def test_the_reference_has_every_option_of_serve_with_its_argument_and_default():
    shown = {}
    for cells in rows(REFERENCE):
        row = re.fullmatch(r"--(\[no-\])?([a-z][a-z-]*)(?: ([A-Z]+))?", cells[0])
        if row:
            shown[row[2]] = (row[1] or "", row[3] or "", cells[1])
    assert {option: row[:2] for option, row in shown.items()} == {option: row[:2] for option, row in options("serve").items()}
    for option, (_, _, default) in options("serve").items():
        assert default in shown[option][2], option


def test_the_reference_names_every_option_of_every_command():
    for command in commands():
        for option in options(command):
            assert "--" + option in REFERENCE or "--[no-]" + option in REFERENCE, (command, option)


def test_every_option_that_a_page_names_exists():
    known = ALL_OPTIONS | {"no-" + option for command in commands() for option, row in options(command).items() if row[0]} | {"help", "version"}
    for page, match in find(r"`--((?:\[no-\])?[a-z][a-z-]*)[^`]*`"):
        assert match[1].replace("[no-]", "") in known | foreign(match[0]), (page, match[0])
    for page, match in find(r"^(?:build/)?(?:fcgi-webapp|stress)\b[^|#\n]*"):
        for option in re.findall(r"--([a-z][a-z-]*)", match[0]):
            assert option in known, (page, match[0])


def foreign(words):
    """Options of kubectl that the pages name by themselves."""
    return {"replicas"} if "--replicas" in words else set()


def test_every_variable_that_a_page_names_is_an_option_s():
    known = {"FCGI_WEBAPP_" + option.upper().replace("-", "_") for option in ALL_OPTIONS}
    known.add("FCGI_WEBAPP_INHERITED")  # of a reload: no option, and only the program sets it
    for page, match in find(r"\bFCGI_WEBAPP_[A-Z_]+\b", but=TUTORIAL):
        assert match[0] in known, (page, match[0])


@pytest.mark.parametrize("command", commands())
def test_the_manual_has_the_options_and_defaults_of_each_command_and_no_other(command):
    section = re.search(r"^\.Ss Options of %s\n(.*?)^\.S[sh]" % command, MANUAL, re.M | re.S)[1]
    items = re.split(r"^\.It ", section, flags=re.M)[1:]
    shown = {}
    for item in items:
        head = item.split("\n")[0]
        flags = re.findall(r"Fl -([a-z-]+)", head)
        argument = re.search(r"Ar (\w+)", head)
        shown[flags[0]] = ("[no-]" if "no-" + flags[0] in flags else "", argument[1].upper() if argument else "", item)
    assert {option: row[:2] for option, row in shown.items()} == {option: row[:2] for option, row in options(command).items()}
    for option, (_, _, default) in options(command).items():
        assert re.search(r"\.Bq .*%s(?: \.)?$" % re.escape(default), shown[option][2], re.M) or not default, option


def test_the_manual_reads_without_a_warning(tmp_path):
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    done = subprocess.run(["groff", "-mdoc", "-Tutf8", "-ww", "-z", ROOT / "docs/man/fcgi-webapp.1"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [None, *commands()])
def test_help_fits_the_width_of_a_page_and_shows_an_example(command):
    lines = help_of(command).splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("Example: fcgi-webapp ") for line in lines)


def test_the_example_of_each_help_takes_options_that_exist():
    for command in commands():
        example = re.search(r"^Example: fcgi-webapp (\w+)(.*)", help_of(command), re.M)
        assert example[1] == command
        assert set(re.findall(r"--([a-z-]+)", example[2])) <= set(options(command))


# --- routes -----------------------------------------------------------------------------


# Routes of one's own need no row. Each has its line in fcgi/app/routes.def.
def test_the_reference_has_the_methods_of_each_route_that_it_shows():
    shown = {}
    for cells in rows(REFERENCE):
        path = re.search(r"(/[\w{}/]*)", cells[0])
        methods = re.findall(r"\b(GET|POST|DELETE|PUT|PATCH)\b", cells[0])
        if path and methods:
            shown.setdefault(path[1], set()).update(methods)
    known = {path: methods for path, methods in routes().items() if path in shown}
    assert {path: shown[path] for path in known} == known
    assert {"/", "/health", "/ready"} <= known.keys()


def matches(path):
    return any(re.fullmatch(re.sub(r"\\?{\w+\\?}", "[^/]+", route), path) for route in routes())


def test_every_route_that_a_page_names_exists():
    private = {"/metrics", "/nginx_status"}
    for page, match in find(r"`(?:GET|POST|DELETE|PUT|HEAD) (/[^`\s?]*)", but=TUTORIAL):
        assert matches(match[1]) or match[1] in private | {"/greet/{name}"}, (page, match[0])
    for page, match in find(r"localhost:(8081|8000)(/[^\s'\"?)`>;]*)", but=TUTORIAL):
        known = matches(match[2]) if match[1] == "8081" else match[2] in private
        assert known or match[2] == "/greet/Ada", (page, match[0])


def test_routes_and_methods_are_what_the_service_says(service):
    for path, methods in routes().items():
        answer = service.request("OPTIONS", re.sub(r"{\w+}", "1", path))
        assert set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == methods, path


# --- metrics ------------------------------------------------------------------------------


def families(service):
    text = service.get("/metrics", port=service.metrics_port).body.decode()
    return dict(re.findall(r"^# TYPE (\S+) (\w+)", text, re.M))


def test_the_reference_has_every_metric(service):
    own = app_metrics()
    for family in set(families(service)) - own:
        assert family in REFERENCE or family.startswith("process_"), family


def test_every_metric_that_a_page_names_exists(service):
    known = families(service)
    samples = set(known) | {family + suffix for family, kind in known.items() if kind == "histogram" for suffix in ("_bucket", "_sum", "_count")}
    # Which a machine without cgroup v2 or PSI does not have.
    samples |= {"cgroup_pressure_waiting_seconds_total", "cgroup_pressure_stalled_seconds_total"}
    collectors = {dict(key[1:])["collector"] for key in service.scrape() if key[0] == "fcgi_collector_success"}
    for page, match in find(r"\b(?:http|fcgi|cgroup|process)_[a-z_]*[a-z]\b"):
        assert match[0] in samples | collectors, (page, match[0])


# --- all else that can be looked up ----------------------------------------------------------


def test_every_make_target_that_a_page_names_exists():
    for page, match in find(r"`make ([a-z][a-z0-9-]*)|^(?:sudo )?make ([a-z][a-z0-9-]*)"):
        assert (match[1] or match[2]) in make_targets(), (page, match[0])


def test_every_make_target_for_people_has_a_description():
    text = (ROOT / "Makefile").read_text()
    documented = set(re.findall(r"^([a-z0-9-]+):.*## \S", text, re.M))
    for target in ("run", "test", "build", "deps", "coverage", "sanitize", "fuzz", "chaos", "stack", "e2e", "bench", "bench-metrics", "image",
                   "test-image", "test-release", "test-docs", "test-page", "manifests", "lint", "format", "install"):
        assert target in documented, target


def test_every_file_that_a_page_names_exists():
    for page, match in find(r"\b(?:scripts|tests|fcgi|nginx|monitoring|k8s|docs)/[\w./-]*\w", but=TUTORIAL):
        named = match[0]
        if "greet" in named or "/" not in named or "github.com" in match.string[max(0, match.start() - 90):match.start()].split("\n")[-1]:
            continue
        assert (ROOT / named).exists(), (page, named)


def anchors(text):
    """As GitHub makes them out of headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)}


def test_every_link_within_the_repository_leads_somewhere():
    pages = {**written(), **{path: path.read_text() for path in PAGES}}
    for path, text in pages.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"https?:|mailto:", target):
                continue
            file, _, anchor = target.partition("#")
            there = (path.parent / file).resolve() if file else path
            assert there.exists(), (name(path), target)
            assert not anchor or anchor in anchors(there.read_text()), (name(path), target)


def test_every_page_of_docs_is_linked_from_the_readme():
    for path in (ROOT / "docs").glob("*.md"):
        assert "(docs/%s)" % path.name in README, path.name


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    rules = "".join(path.read_text() for path in (ROOT / "monitoring/prometheus/rules").glob("*.yml"))
    assert {path.stem for path in RUNBOOKS} == set(re.findall(r"- alert: (\w+)", rules))


def test_every_signal_that_the_pool_takes_is_described(service):
    status = (pathlib.Path("/proc") / str(service.supervisor) / "status").read_text()
    blocked = int(re.search(r"^SigBlk:\s*(\w+)$", status, re.M)[1], 16)  # it reads them from a signalfd
    taken = {signal.Signals(number).name.removeprefix("SIG") for number in range(1, 32) if blocked >> (number - 1) & 1} - {"CHLD"}
    assert {"TERM", "HUP"} <= taken
    page = (ROOT / "docs/signals.md").read_text()
    for short in taken:
        assert "`%s`" % short in page, short
        assert re.search(r"^\.It Dv .*\b%s\b" % short, MANUAL, re.M), short


def test_the_kubernetes_page_handles_a_missing_image_before_it_waits_for_the_pods():
    assert KUBERNETES.index("ImagePullBackOff") < KUBERNETES.index("scripts/load-image") < KUBERNETES.index("--timeout=5m")


def test_the_version_is_printed():
    version = re.search(r"^VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.M)[1]
    assert ask("--version") == "fcgi-webapp %s\n" % version
