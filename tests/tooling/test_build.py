"""make build: wherever the libraries are, without installing anything."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What would install something, or ask Debian.
INSTALLERS = ("apt-get", "dpkg", "dpkg-query", "sudo")

# What the application needs, as the Makefile says.
LIBS = re.search(r"^LIBS :?=([^#\n]*)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()


class Clone:
    """A copy of what is compiled, with stand-ins for INSTALLERS that write down that they were called."""

    def __init__(self, folder):
        self.folder = folder / "tree"
        for name in ("Makefile", "scripts", "fcgi", "LICENSE", "tests/unit", "tests/fuzz"):
            source, target = ROOT / name, self.folder / name
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        self.calls = folder / "calls"
        stubs = folder / "bin"
        stubs.mkdir()
        for name in INSTALLERS:
            (stubs / name).write_text(f"#!/bin/sh\necho {name} $* >>{self.calls}\nexit 1\n")
            (stubs / name).chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "BUILD", "PKG_CONFIG"))}
        self.environment = {**kept, "PATH": f"{stubs}:{os.environ['PATH']}"}

    def make(self, *arguments, **environment):
        return subprocess.run(["make", *arguments], cwd=self.folder, env={**self.environment, **environment},
                              capture_output=True, text=True, timeout=300, check=False)

    def installs_nothing(self):
        return not self.calls.exists()


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    made = Clone(tmp_path_factory.mktemp("build"))
    done = made.make("build")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def fresh(tmp_path):
    return Clone(tmp_path)


def compiled(done):
    assert done.returncode == 0, done.stderr
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  CC ")]


def test_a_build_asks_nobody_but_pkg_config(clone):
    assert clone.installs_nothing()
    done = subprocess.run([clone.folder / "build/fcgi-webapp", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("fcgi-webapp ")


def test_what_is_missing_is_named_in_one_line_and_nothing_is_installed(fresh, tmp_path):
    (tmp_path / "empty").mkdir()
    done = fresh.make("build", PKG_CONFIG_LIBDIR=str(tmp_path / "empty"))
    assert done.returncode == 2 and done.stdout == ""
    said = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    assert len(said) == 1, done.stderr
    assert "json-c" in said[0] and "libseccomp" in said[0] and "make deps" in said[0]
    assert fresh.installs_nothing() and not list(fresh.folder.glob("build/**/*.o"))


def test_a_missing_pkg_config_is_named(fresh):
    done = fresh.make("build", PKG_CONFIG="no-such-program")
    assert done.returncode == 2 and "missing: pkg-config." in done.stderr


def test_a_missing_cmocka_is_named_by_the_unit_tests_alone(clone, tmp_path):
    for name in ("json-c", "libseccomp", "fcgi", *LIBS):
        shutil.copy2(find_pc(name.partition(":")[0]), tmp_path)
    done = clone.make("build/tests/test_cgi", PKG_CONFIG_LIBDIR=str(tmp_path))
    assert done.returncode == 2 and "missing: cmocka." in done.stderr
    assert clone.make("build", PKG_CONFIG_LIBDIR=str(tmp_path)).returncode == 0


def find_pc(name):
    folder = subprocess.run(["pkg-config", "--variable=pcfiledir", name], capture_output=True, text=True, check=True).stdout.strip()
    return pathlib.Path(folder) / f"{name}.pc"


def test_libraries_of_another_folder_are_used(tmp_path):
    """A prefix with a libfcgi.a of its own, which the compiler would not find by itself."""
    for folder in ("lib", "include"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lib/libfcgi.a").write_text("")
    (tmp_path / "fcgi.pc").write_text(f"prefix={tmp_path}\nlibdir=${{prefix}}/lib\nName: fcgi\nDescription: -\nVersion: 1\nLibs: -lfcgi\n")
    (tmp_path / "json-c.pc").write_text(f"prefix={tmp_path}\nName: json-c\nDescription: -\nVersion: 1\n"
                                        "Libs: -L${prefix}/lib -ljson-c\nCflags: -I${prefix}/include/json-c\n")
    environment = {**os.environ, "PKG_CONFIG_LIBDIR": str(tmp_path)}

    def ask(what):
        return subprocess.run([ROOT / "scripts/libraries", what, "fcgi", "json-c"], env=environment,
                              capture_output=True, text=True, check=True).stdout.split()
    assert ask("libs") == [f"{tmp_path}/lib/libfcgi.a", f"-L{tmp_path}/lib", "-ljson-c"]
    assert ask("cflags") == ["-isystem", f"{tmp_path}/include", "-isystem", f"{tmp_path}/include/json-c"]


def test_a_change_of_flags_or_compiler_compiles_everything_again(clone):
    everything = len(list(clone.folder.glob("fcgi/**/*.c"))) + 2  # version.c and page.c
    assert compiled(clone.make("build")) == []
    assert len(compiled(clone.make("build", "CFLAGS=-DNOTHING"))) == everything
    assert compiled(clone.make("build", "CFLAGS=-DNOTHING")) == []
    assert len(compiled(clone.make("build"))) == everything


def test_a_change_of_the_libraries_compiles_everything_again_with_their_flags(clone, tmp_path):
    (tmp_path / "own.pc").write_text("Name: own\nDescription: -\nVersion: 1\nCflags: -DOWN_LIBRARY\nLibs: -lpthread\n")
    assert clone.make("build").returncode == 0
    everything = len(list(clone.folder.glob("fcgi/**/*.c"))) + 2
    assert len(compiled(clone.make("build", f"LIBS={' '.join(LIBS)} own:libwhatever-dev", PKG_CONFIG_PATH=str(tmp_path)))) == everything
    assert "-DOWN_LIBRARY" in (clone.folder / "build/library-cflags").read_text()
    assert compiled(clone.make("build", f"LIBS={' '.join(LIBS)} own", PKG_CONFIG_PATH=str(tmp_path))) == []
    assert len(compiled(clone.make("build"))) == everything


def test_a_library_that_is_missing_is_named(clone):
    done = clone.make("build", "LIBS=no-such:no-such-dev json-c")
    assert done.returncode == 2 and "build: missing: no-such. Install with 'make deps'" in done.stderr


@pytest.mark.parametrize("line, packages", [
    ("LIBS :=", []),
    ("LIBS = sqlite3", ["libsqlite3-dev"]),
    ("LIBS := sqlite3 libpq libcurl:libcurl4-openssl-dev # comment", ["libsqlite3-dev", "libpq-dev", "libcurl4-openssl-dev"]),
])
def test_deps_names_the_packages_of_the_libraries(tmp_path, line, packages):
    """Where there is no dpkg, it only prints them."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "sed", "dirname"):
        (tools / tool).symlink_to(shutil.which(tool))
    (tmp_path / "scripts").mkdir()
    shutil.copy2(ROOT / "scripts/deps", tmp_path / "scripts")
    (tmp_path / "Makefile").write_text("VERSION := 1\n%s\nLIBRARIES := json-c $(LIBS)\n" % line)
    done = subprocess.run(["sh", tmp_path / "scripts/deps", "build"], env={"PATH": str(tools)}, capture_output=True, text=True, check=True)
    assert done.stderr.split("libseccomp-dev")[1].split() == packages


def test_the_image_gets_the_packages_of_the_libraries_that_the_program_needs(clone, tmp_path):
    if not shutil.which("dpkg-query"):
        pytest.skip("dpkg-query is not installed")

    def ask(program):
        return subprocess.run([ROOT / "scripts/runtime-packages", program], capture_output=True, text=True, check=False)
    done = ask(clone.folder / "build/fcgi-webapp")
    assert done.returncode == 0 and {"libc6", "libseccomp2"} <= set(done.stdout.split()), done.stderr
    assert [name for name in done.stdout.split() if name.startswith("libjson-c")]
    subprocess.run("echo 'int f(void){return 0;}' | cc -shared -fPIC -o libown.so -x c - && echo 'int f(void);int main(void){return f();}' >a.c && "
                   "cc a.c -o a -L. -lown -Wl,-rpath,$PWD", shell=True, cwd=tmp_path, check=True)
    done = ask(tmp_path / "a")
    assert done.returncode == 1 and f"no Debian package holds {tmp_path}/libown.so" in done.stderr
    (tmp_path / "libown.so").unlink()
    done = ask(tmp_path / "a")
    assert (done.returncode, done.stdout) == (1, "") and "lacks libraries of" in done.stderr and "libown.so" in done.stderr


@pytest.mark.parametrize("arguments, status, says", [
    (["/nonexistent"], 1, "/nonexistent"), ([ROOT / "Makefile"], 1, "not a dynamic executable"), ([], 2, "usage: runtime-packages PROGRAM")])
def test_the_packages_of_what_is_no_program_are_an_error(arguments, status, says):
    done = subprocess.run([ROOT / "scripts/runtime-packages", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "") and says in done.stderr


def test_compile_commands_are_those_of_the_build(clone):
    assert clone.make("compdb").returncode == 0
    entries = {entry["file"]: entry for entry in json.loads((clone.folder / "compile_commands.json").read_text())}
    sources = {str(path.relative_to(clone.folder)) for folder in ("fcgi", "tests", "scripts") for path in clone.folder.glob(f"{folder}/**/*.c")}
    assert set(entries) == sources
    for file in ("fcgi/main.c", "tests/unit/test_cgi.c", "tests/fuzz/replay.c"):
        entry = entries[file]
        assert entry["directory"] == str(clone.folder)
        done = subprocess.run(f"{entry['command']} -fsyntax-only -MF /dev/null", shell=True, cwd=entry["directory"],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, (file, done.stderr)


@pytest.mark.parametrize("repository", [False, True])
def test_make_format_takes_new_files_too_and_needs_no_repository(fresh, tmp_path, repository):
    """clang-format writes down its arguments here, and dpkg-query says that it is installed."""
    (tmp_path / "bin/clang-format").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/formatted\n')
    (tmp_path / "bin/clang-format").chmod(0o755)
    (tmp_path / "bin/dpkg-query").write_text("#!/bin/sh\necho install ok installed\n")
    if repository:
        subprocess.run(["git", "init", "--quiet"], cwd=fresh.folder, check=True)
    (fresh.folder / "fcgi/app/endpoints/echo.c").write_text("int   i;\n")
    (fresh.folder / "build").mkdir()
    (fresh.folder / "build/version.c").touch()
    done = fresh.make("format")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    formatted = set((tmp_path / "formatted").read_text().split()) - {"-i"}
    assert formatted == {str(path.relative_to(fresh.folder)) for folder in ("fcgi", "scripts", "tests") for path in fresh.folder.glob(f"{folder}/**/*.[ch]")}
