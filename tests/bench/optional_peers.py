"""Peers that need more than `make deps-bench` can promise: a package that a
release of Debian or Ubuntu may lack, or cargo. Without it they are skipped."""

import glob
import os
import re
import shutil
import subprocess

import peers
from peers import Peer, NginxPeer, Program, ProgramBehindNginx


def found(*patterns):
    """The newest file of the first pattern that has any, or None."""
    return next((sorted(files)[-1] for pattern in patterns if (files := glob.glob(pattern))), None)


class NginxLua(NginxPeer):
    """The nginx of fcgi-webapp, which answers and counts by itself: a counter and a
    histogram in a shared dictionary."""

    name = "nginx with Lua"
    behind_nginx = False
    counted = Peer.counted
    location = "content_by_lua_file {here}/lua/answer.lua;"

    @classmethod
    def unavailable(cls):
        if not cls.modules():
            return "the package libnginx-mod-http-lua is not installed"
        peer = cls()
        peer.set_up()
        # It may have been built for another version of nginx.
        command = ["nginx", "-t", "-q", "-e", "stderr", "-p", peer.directory, "-c", peer.directory / "nginx.conf"]
        done = subprocess.run(command, env={**os.environ, "PATH": peers.PATH}, capture_output=True, text=True)
        return f"nginx does not take it: {done.stderr.strip()}" if done.returncode != 0 else None

    @staticmethod
    def modules():
        """The two modules in the order in which nginx loads them, or none."""
        folders = ("/usr/lib/nginx/modules/", "/usr/lib64/nginx/modules/")
        modules = [found(*(folder + name for folder in folders)) for name in ("ndk_http_module.so", "ngx_http_lua_module.so")]
        return modules if all(modules) else []

    def prepare(self):
        self.location = type(self).location.format(here=peers.HERE)
        super().prepare()

    def configure(self, text):
        text = super().configure(text)
        text = text.replace("fastcgi_pass metrics;", f"content_by_lua_file {peers.HERE}/lua/metrics.lua;")
        # A line for each answer without a pool: these are counted by Lua.
        text = re.sub(r"\n *access_log [^;]* gateway [^;]*;", "", text)
        loaded = "".join(f'load_module "{module}";\n' for module in self.modules())
        return loaded + text.replace("\nhttp {\n", "\nhttp {\n    lua_shared_dict counts 1m;\n", 1)


class PhpFpm(NginxPeer):
    """PHP-FPM: a static pool of as many processes as the usual pool has, opcache, and
    counts in the shared memory of APCu."""

    name = "PHP-FPM"
    counted = Peer.counted

    @classmethod
    def unavailable(cls):
        if not cls.program():
            return "the package php-fpm is not installed"
        modules = subprocess.run([*cls.command(), "-m"], capture_output=True, text=True).stdout.splitlines()
        missing = [name for name in ("apcu", "Zend OPcache") if name not in modules]
        return f"PHP has no {' and no '.join(missing)}: the package php-apcu brings APCu" if missing else None

    @staticmethod
    def program():
        return found("/usr/sbin/php-fpm*")

    @classmethod
    def command(cls):
        """Without php.ini, so that it is the same everywhere. From PHP 8.5 on, opcache
        is built in."""
        built_in = subprocess.run([cls.program(), "-n", "-m"], capture_output=True, text=True).stdout
        opcache = [] if "Zend OPcache" in built_in else ["-d", "zend_extension=opcache.so"]
        return [cls.program(), "-n", *opcache, "-d", "extension=apcu.so"]

    def prepare(self):
        # Kept connections would bind each process to one connection of nginx.
        self.location = f"fastcgi_keep_conn off; fastcgi_pass unix:{self.directory / 'app.sock'};"
        super().prepare()
        user = "user = root\n" if os.getuid() == 0 else ""
        (self.directory / "php-fpm.conf").write_text(
            f"[global]\nerror_log = /dev/stderr\nlog_level = warning\n[www]\n{user}listen = {self.directory / 'app.sock'}\n"
            "listen.backlog = 4096\npm = static\n"
            f"pm.max_children = {peers.UsualPool.workers}\n"
        )

    def configure(self, text):
        text = super().configure(text).replace("fastcgi_pass metrics;", self.location)
        script = f"fastcgi_param SCRIPT_FILENAME {peers.HERE}/php/index.php;\n    fastcgi_param SCRIPT_NAME $uri;"
        return text.replace("    fastcgi_param PATH_INFO $uri;", f"    {script}", 1)

    def launch(self):
        as_root = ["-R"] if os.getuid() == 0 else []
        options = ["opcache.enable=1", "opcache.validate_timestamps=0", "apc.enabled=1", "apc.shm_size=32M", "cgi.fix_pathinfo=0"]
        settings = [word for option in options for word in ("-d", option)]
        self.processes.start(*self.command(), *settings, *as_root, "-F", "-y", self.directory / "php-fpm.conf")
        super().launch()


class Axum(Program):
    name = "Rust axum"
    program = "axum-peer"

    @classmethod
    def unavailable(cls):
        """By the cargo of this machine, in the versions of Cargo.lock."""
        if not (cargo := shutil.which("cargo")):
            return "cargo is not installed"
        target = peers.BUILD / "axum-target"
        done = subprocess.run(
            [cargo, "build", "--release", "--locked", "--manifest-path", peers.HERE / "axum" / "Cargo.toml", "--target-dir", target],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            error = re.search(r"^error.*", done.stderr, re.MULTILINE)
            return f"cargo cannot build it: {error[0] if error else done.stderr.strip()}"
        shutil.copy(target / "release" / "axum-peer", peers.BUILD / "axum-peer")
        return None


class AxumBehindNginx(ProgramBehindNginx):
    name = "axum behind nginx"
    program, unavailable = Axum.program, Axum.unavailable


class Revision(peers.FcgiWebapp):
    """An earlier revision of fcgi-webapp with its own nginx configuration."""

    revision = "73a4c55"
    name = f"fcgi-webapp {revision}"

    def __init__(self):
        self.root = self.tree()
        super().__init__(self.name, self.root / "build" / "fcgi-webapp")

    @classmethod
    def tree(cls):
        return peers.BUILD / f"revision-{cls.revision}"

    @classmethod
    def unavailable(cls):
        git = ("git", "-C", str(peers.ROOT))
        known = subprocess.run([*git, "cat-file", "-e", f"{cls.revision}^{{commit}}"], capture_output=True)
        if known.returncode != 0:
            return f"revision {cls.revision} is not in this clone"
        cls.tree().mkdir(parents=True, exist_ok=True)
        # The dates of a commit's files are those of the commit: make builds once.
        with subprocess.Popen([*git, "archive", cls.revision], stdout=subprocess.PIPE) as archive:
            subprocess.run(["tar", "-x", "-C", cls.tree()], stdin=archive.stdout, check=True)
        command = ["nice", "make", "-s", "-j2", "-C", cls.tree(), "BUILD=build", "build/fcgi-webapp"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            return f"revision {cls.revision} cannot be built: {(done.stderr.strip().splitlines() or [''])[-1]}"
        return None
