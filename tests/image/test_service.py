"""The image as `docker run` runs it: one container, the whole service."""

import json
import os
import subprocess
import time
from pathlib import Path

from conftest import HARDENED, ROOT, VERSION, engine, get, wait_for
from load import Load


def processes(container):
    """pid -> (state, command line) of every process in it."""
    script = r"""for d in /proc/[0-9]*; do
        printf "%s %s %s\n" "${d#/proc/}" "$(sed "s/.*) \(.\).*/\1/" $d/stat)" "$(tr "\0\n" "  " <$d/cmdline)"
    done 2>/dev/null"""
    lines = [line.split(" ", 2) for line in container.exec("sh", "-c", script).stdout.splitlines()]
    return {int(pid): (state, command) for pid, state, command in lines}


def loads(container):
    return [pid for pid, (_, command) in processes(container).items() if command.startswith("/usr/local/bin/fcgi-webapp load")]


def zombies(container):
    return [pid for pid, (state, _) in processes(container).items() if state == "Z"]


def test_hardened_and_limited_it_answers_every_route(limited):
    assert limited.get("/") == (200, '{"msg": "Hello World"}')
    assert limited.get("/health") == (200, '{"health": "ok"}')
    assert json.loads(limited.get("/version")[1])["version"] == VERSION
    assert limited.get("/status/503")[0] == 503
    assert limited.get("/nothing")[0] == 404
    assert get(limited.metrics, "/nginx_status")[0] == 200
    assert limited.samples()['http_requests_total{endpoint="health",method="GET",code="200"}'] == 1


def test_it_runs_as_10001_with_no_capability_on_a_read_only_root(limited):
    status = limited.exec("cat", "/proc/1/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["10001"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert limited.exec("sh", "-c", "touch /x /etc/x /opt/fcgi-webapp/x", check=False).returncode != 0


def test_the_metrics_know_the_limits_of_the_container(limited):
    found = limited.samples()
    assert found["cgroup_cpu_limit_cores"] == 0.2
    assert found["cgroup_memory_limit_bytes"] == 128 * 1024 * 1024
    assert found['cgroup_limited{resource="cpu"}'] == found['cgroup_limited{resource="memory"}'] == 1


def idle_seconds():
    """How long the CPUs of this machine were idle, added up."""
    return int(Path("/proc/stat").read_text().split()[4]) / os.sysconf("SC_CLK_TCK")


def test_stress_throttles_the_container_and_health_still_answers(limited):
    with subprocess.Popen(
        [ROOT / "scripts/engine", "exec", limited.name, "stress", "--cpu", "1.5", "--seconds", "30"], stdout=subprocess.PIPE, text=True
    ) as stress:
        wait_for(lambda: limited.samples()["cgroup_cpu_throttled_periods_total"] > 5, "throttled")
        before, started, latencies, idle = limited.samples(), time.monotonic(), [], idle_seconds()
        while time.monotonic() < started + 20:
            asked = time.monotonic()
            assert limited.get("/health", timeout=5)[0] == 200, "5 s is what the pod's liveness probe waits"
            latencies.append(time.monotonic() - asked)
            time.sleep(0.1)
        after, seconds, idle = limited.samples(), time.monotonic() - started, idle_seconds() - idle
        output = stress.communicate(timeout=60)[0]
    assert stress.returncode == 0, output

    def grown(name):
        return after[f"cgroup_cpu_{name}"] - before[f"cgroup_cpu_{name}"]

    share = grown("throttled_periods_total") / grown("periods_total")
    usage = grown("usage_seconds_total") / seconds / 0.2
    throttled = grown("throttled_seconds_total") / seconds / 0.2
    print(f"throttled {share:.0%} of the periods, usage {usage:.0%}, slowest /health {max(latencies):.3f} s")
    assert share > 0.25
    # What ContainerCPUOverLimit asks for. On a machine that others fill, the container gets less than its limit, and is denied
    # nothing by it.
    if idle < 0.05 * seconds:
        print("the machine was full: nothing is said about usage and throttled time")
    else:
        assert usage > 0.9 and usage + throttled > 1
    assert limited.running()


def test_memory_stress_fills_the_container_without_an_oom_kill(limited):
    starts = limited.samples()["fcgi_worker_starts_total"]
    with subprocess.Popen(
        [ROOT / "scripts/engine", "exec", limited.name, "stress", "--memory", "95%", "--seconds", "45"], stdout=subprocess.PIPE, text=True
    ) as stress:
        wait_for(lambda: full(limited) > 0.9, "90 % of the memory in use", 40)
        assert limited.get("/health")[0] == 200
        output = stress.communicate(timeout=60)[0]
    assert stress.returncode == 0, output
    wait_for(lambda: full(limited) < 0.5, "given back")
    assert limited.running()
    assert limited.samples()["cgroup_oom_kills_total"] == 0
    assert limited.samples()["fcgi_worker_starts_total"] == starts


def full(container):
    found = container.samples()
    return found["cgroup_memory_working_set_bytes"] / found["cgroup_memory_limit_bytes"]


def test_stress_that_is_interrupted_leaves_nothing_behind(limited):
    command = [ROOT / "scripts/engine", "exec", limited.name, "stress", "--cpu", "0.5", "--seconds", "60"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as stress:
        pids = wait_for(lambda: len(loads(limited)) == 2 and loads(limited), "the load and who watches it")
        limited.exec("sh", "-c", f"kill -INT {min(pids)}")
        stress.wait(20)
    wait_for(lambda: not loads(limited), "the load is gone")
    wait_for(lambda: not zombies(limited), "no zombies")


def test_term_under_load_loses_no_request_and_exits_0(limited):
    load = Load(limited.http, 60, kept=16, fresh=16)
    wait_for(lambda: load.counts["answered"] > 1000, "load")
    started = time.monotonic()
    limited.signal("TERM")
    assert limited.exit_code() == 0
    seconds = time.monotonic() - started
    counts = load.stop()
    print(f"{counts['answered']} answered, {counts['kept_connection_closed']} kept connections closed, gone after {seconds:.1f} s")
    assert seconds < 10, "docker's grace period"
    assert counts["wrong"] == 0
    # Nobody takes a container that is stopped by hand out of a Service first, so the kernel still accepts connections that
    # nginx never sees. What nginx took, it answered: an unanswered request is not in its log.
    log = limited.log()
    logged = {json.loads(line)["uri"] for line in log.splitlines() if '"uri":"/bye?n=' in line}
    assert counts["answered"] > 1000 and len(logged) >= counts["answered"]
    assert not logged & {f"/bye?n={number}" for number in counts["unanswered"]}
    # A client's idle kept connection was closed, once by each of nginx's two workers at most; in the kernel's queue, as that
    # was closed, each client had one at most.
    assert counts["kept_connection_closed"] <= 2 * 16
    assert len(counts["unanswered"]) - counts["kept_connection_closed"] <= 32


def in_background(container, path):
    """A request that is under way."""
    command = ["curl", "-s", "-m", "20", f"http://127.0.0.1:{container.http}{path}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_term_waits_for_the_answer_of_a_request_that_runs(limited):
    with in_background(limited, "/delay/3") as curl:
        wait_for(lambda: "Writing: 2" in get(limited.metrics, "/nginx_status")[1], "the request is there")
        limited.signal("TERM")
        assert limited.exit_code() == 0
        answer = curl.communicate(timeout=20)[0]
    assert curl.returncode == 0 and answer.startswith("{")


def test_int_stops_it_at_once(limited):
    with in_background(limited, "/delay/15"):
        wait_for(lambda: "Writing: 2" in get(limited.metrics, "/nginx_status")[1], "the request is there")
        started = time.monotonic()
        limited.signal("INT")
        limited.exit_code()
        assert time.monotonic() - started < 8


def test_the_counters_outlive_the_container(start):
    volume = f"fcgi-webapp-test-{time.monotonic_ns()}"
    try:
        mount = f"--volume={volume}:/var/lib/fcgi-webapp"
        first = start(*HARDENED, mount).ready()
        for _ in range(5):
            first.get("/bye")
        first.signal("KILL")
        first.exit_code()
        second = start(*HARDENED, mount).ready()
        second.get("/bye")
        found = second.samples()
        assert found['http_requests_total{endpoint="bye",method="GET",code="200"}'] == 6
        assert found["fcgi_webapp_starts_total"] == 2
        second.remove()
    finally:
        engine("rm", "--force", "--volumes", first.name)
        engine("volume", "rm", "--force", volume)


def test_the_health_check_says_whether_a_request_gets_through(start):
    whole = start(*HARDENED).ready()
    assert whole.exec("entrypoint", "health", check=False).returncode == 0
    alone = start(*HARDENED, command=["nginx"])
    wait_for(lambda: answers(alone.metrics), "nginx without a pool")
    assert alone.exec("entrypoint", "health", check=False).returncode != 0


def answers(port):
    try:
        return get(port, "/nginx_status")[0] == 200
    except OSError:
        return False


def test_a_pool_that_will_not_start_ends_the_container_and_says_why(start):
    container = start(*HARDENED, "--env=FCGI_WEBAPP_WORKERS=many")
    assert container.exit_code() == 2
    assert "workers" in container.log().lower()


def test_the_other_commands_of_the_program_are_commands_of_the_image(start):
    container = start(*HARDENED, command=["fcgi-webapp", "--help"])
    assert container.exit_code() == 0
    assert "serve" in container.log()


def test_children_that_nobody_waits_for_do_not_stay_as_zombies(limited):
    limited.exec("sh", "-c", "for i in 1 2 3; do (sleep 0.3 &); done")
    wait_for(lambda: not any("sleep 0.3" in command for _, command in processes(limited).values()), "they end")
    wait_for(lambda: not zombies(limited), "no zombies")
