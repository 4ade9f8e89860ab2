"""nginx/conf.d: snippets of nginx's configuration that a user adds without an edit of the template."""

import contextlib
import os
import shutil
import signal
import subprocess

import pytest

from conftest import PROGRAM, ROOT, Service, short_folder, wait_for

SECURITY_HEADERS = ("X-Request-ID", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Content-Security-Policy")


@pytest.fixture
def conf_d():
    path = short_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_snippets_work_in_the_server_and_at_the_http_level(own_service, conf_d):
    (conf_d / "limit.http.conf").write_text("limit_req_zone $server_name zone=own:64k rate=1r/m;\n")
    (conf_d / "own.conf").write_text('location = /own { return 200 "own\\n"; }\n'
                                     'location = /rare { limit_req zone=own; return 200 ""; }\n'
                                     "location = /denied { deny all; }\n")
    (conf_d / "README").write_text("not nginx\n")
    (conf_d / "off.conf.off").write_text("not nginx\n")
    service = own_service(WORKERS=2, NGINX_CONF_D=conf_d)
    assert service.get("/own").body == b"own\n"
    denied = service.get("/denied")
    assert denied.status == 403 and denied.json == {"type": "about:blank", "title": "Forbidden", "status": 403,
                                                    "request_id": denied.headers["X-Request-ID"]}
    assert service.get("/bye").status == 200
    wait_for(lambda: service.requests().get(("other", "GET", "200")) == 1)


def test_a_location_of_a_snippet_has_the_security_headers_also_beside_one_of_its_own(own_service, conf_d):
    (conf_d / "own.conf").write_text('location = /plain { return 200 ""; }\n'
                                     'location = /own { add_header X-Own yes; include security-headers.conf; return 200 ""; }\n')
    service = own_service(WORKERS=2, NGINX_CONF_D=conf_d)
    for path in ("/plain", "/own", "/bye"):
        headers = service.get(path).headers
        assert all(headers.get_all(name) and len(headers.get_all(name)) == 1 for name in SECURITY_HEADERS), (path, headers.items())
    assert service.get("/own").headers["X-Own"] == "yes"


def test_a_location_of_a_snippet_can_pass_to_the_pool(own_service, conf_d):
    (conf_d / "own.conf").write_text("location /app/ { rewrite ^/app(/.*)$ $1 break; fastcgi_pass $pool; }\n")
    assert own_service(WORKERS=2, NGINX_CONF_D=conf_d).get("/app/bye").json == {"msg": "Bye Bye"}


def start_and_fail(service):
    with service.log.open("ab") as log:
        service.process = subprocess.Popen([ROOT / "scripts/run"], cwd=service.folder, env=service.environment, stdout=log, stderr=log)
    assert service.process.wait(30) == 1
    assert not list(service.run_dir.glob("*.sock"))
    return service.log.read_text()


@pytest.mark.parametrize("name, text, said", [
    ("own.conf", "\nlocation = /own { retrun 200; }\n", 'unknown directive "retrun" in {}/own.conf:2'),
    ("own.conf", "limit_req_zone $server_name zone=own:64k rate=1r/m;\n", '"limit_req_zone" directive is not allowed here in {}/own.conf:1'),
    ("own.http.conf", "location = /own { return 200; }\n", '"location" directive is not allowed here in {}/own.http.conf:1'),
])
def test_an_error_in_a_snippet_ends_the_start_with_the_message_of_nginx(own_service, conf_d, name, text, said):
    (conf_d / name).write_text(text)
    assert said.format(conf_d) in start_and_fail(own_service(start=False, WORKERS=2, NGINX_CONF_D=conf_d))


def test_a_folder_that_is_named_and_not_there_ends_the_start(own_service, conf_d):
    service = own_service(start=False, WORKERS=2, NGINX_CONF_D=conf_d / "nope")
    assert f"nginx-conf: NGINX_CONF_D={conf_d}/nope is not a folder that this user can read\n" in start_and_fail(service)


def test_a_folder_may_be_relative_and_its_files_links_as_in_a_mounted_configmap(own_service, conf_d):
    (conf_d / "..2026").mkdir()
    (conf_d / "..2026/own.conf").write_text('location = /own { return 200 "own"; }\n')
    (conf_d / "..data").symlink_to("..2026")
    (conf_d / "own.conf").symlink_to("..data/own.conf")
    service = own_service(start=False, WORKERS=2, NGINX_CONF_D="../" + conf_d.name)
    assert service.folder.parent == conf_d.parent
    assert service.start().get("/own").body == b"own"


def test_a_reload_takes_a_new_and_a_changed_snippet_and_refuses_a_wrong_one(own_service, conf_d):
    service = own_service(WORKERS=2, NGINX_CONF_D=conf_d)
    for text in ("one", "two"):
        (conf_d / "own.conf").write_text(f'location = /own {{ return 200 "{text}"; }}\n')
        os.kill(service.process.pid, signal.SIGUSR1)
        wait_for(lambda: service.get("/own").body == text.encode(), 30)  # noqa: B023
    (conf_d / "own.conf").write_text("wrong;\n")
    os.kill(service.process.pid, signal.SIGUSR1)
    wait_for(lambda: 'unknown directive "wrong"' in service.log.read_text(), 30)
    assert service.get("/own").body == b"two"


def test_two_reloads_at_once_end_with_the_newest_configuration(own_service, conf_d):
    service = own_service(WORKERS=2, NGINX_CONF_D=conf_d)
    slow, gate = conf_d / "slow", conf_d / "gate"
    os.mkfifo(gate)
    slow.write_text(f'#!/bin/sh\n[ "$1" != nginx-bodies ] || read -r line <{gate}\nexec "{PROGRAM.resolve()}" "$@"\n')
    slow.chmod(0o755)

    def reload(**more):
        return subprocess.Popen([ROOT / "scripts/nginx", "reload"], cwd=service.folder, env={**service.environment, **more},
                                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    (conf_d / "own.conf").write_text('location = /own { return 200 "one"; }\n')
    with reload(PROGRAM=str(slow)) as first, gate.open("w") as open_gate:  # which waits until the first is at the gate
        (conf_d / "two.conf").write_text('location = /two { return 200 "two"; }\n')
        with reload() as second:
            with contextlib.suppress(subprocess.TimeoutExpired):
                second.wait(0.5)  # it would end here if it did not wait for the first
            open_gate.write("go\n")
            open_gate.flush()
            assert (first.wait(30), second.wait(30)) == (0, 0), (first.stderr.read(), second.stderr.read())
    wait_for(lambda: (service.get("/own").body, service.get("/two").body) == (b"one", b"two"), 30)
    assert not list(service.run_dir.glob("*.new"))


@pytest.mark.parametrize("pid_file", [False, True])
def test_a_reload_that_comes_before_nginx_waits_for_it(own_service, pid_file):
    """The pid file that a killed nginx has left may name another process by now."""
    service = own_service(start=False, WORKERS=2)
    service.run_dir.mkdir()
    conf = service.run_dir / "nginx.conf"
    conf.write_text("# of an earlier run")
    with subprocess.Popen(["sleep", "60"]) as other:
        if pid_file:
            (service.run_dir / "nginx.pid").write_text(f"{other.pid}\n")
        with subprocess.Popen([ROOT / "scripts/nginx", "reload"], cwd=service.folder, env=service.environment,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as reload:
            wait_for(lambda: "http {" in conf.read_text(), what="the new configuration")
            service.start()
            assert reload.wait(30) == 0, reload.stderr.read()
        assert other.poll() is None, "the other process got the signal"
        other.kill()


def test_an_installed_service_has_the_snippets_of_its_tree(conf_d):
    """scripts/install copies nginx/ with what was added to it; the installed scripts find it."""
    tree = conf_d / "tree"
    for name in ("scripts", "nginx", "docs"):
        shutil.copytree(ROOT / name, tree / name)
    (tree / "nginx/conf.d/own.conf").write_text('location = /own { return 200 "own"; }\n')
    subprocess.run([tree / "scripts/install"], check=True, stdout=subprocess.DEVNULL,
                   env={"PATH": os.environ["PATH"], "PROGRAM": str(PROGRAM.resolve()), "PREFIX": "/usr", "DESTDIR": str(conf_d / "root")})
    folder = short_folder()
    service = Service(folder, PROGRAM=conf_d / "root/usr/bin/fcgi-webapp", WORKERS=2)
    try:
        service.start(conf_d / "root/usr/lib/fcgi-webapp/scripts/run")
        assert service.get("/own").body == b"own"
    finally:
        service.kill()
        shutil.rmtree(folder, ignore_errors=True)
