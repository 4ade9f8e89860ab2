"""The benchmark stops with an error, and prints no figure, where a peer does
not do what its figures would be taken for."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import bench  # noqa: E402
import capacity  # noqa: E402
import costs  # noqa: E402
import fleet  # noqa: E402
import optional_peers  # noqa: E402
import peers  # noqa: E402
import pod  # noqa: E402
import processes  # noqa: E402
import record  # noqa: E402


class Faulty(peers.Peer):
    """In a process of its own, as every peer."""

    def __init__(self, fault):
        self.name = f"a peer: {fault}"
        super().__init__()
        self.fault = fault

    def launch(self):
        self.private_port = self.port
        self.processes.start(sys.executable, HERE / "faulty_peer.py", self.port, self.fault)


@pytest.fixture(autouse=True)
def build_directory(tmp_path, monkeypatch):
    """Nothing of a real run is touched."""
    for module in (bench, peers):
        monkeypatch.setattr(module, "BUILD", tmp_path)
    return tmp_path


def run(*faults, options=()):
    settings = ["--seconds=1", "--rounds=1", "--connections=4", "--parts", "peers"]
    return bench.main([*settings, *options], [Faulty(fault) for fault in faults])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("wrong body", "body b'{\"msg\": \"Hello\"}' instead of"),
        ("wrong body later", "instead of"),
        ("error", "500"),
        ("counts nothing", "counted 0 of"),
        ("counts half", "counted "),
        ("ends", "a peer: ends"),
    ],
)
def test_a_peer_with_a_fault_stops_the_run_with_an_error_and_no_figure(fault, message, build_directory, capfd):
    (build_directory / "bench.json").write_text("{}")
    assert run(fault) == 1
    out, err = capfd.readouterr()
    assert "no figure is to be trusted" in err and message in err
    assert out == ""
    assert not (build_directory / "bench.json").exists(), "the figures of another run were left"


def test_a_fault_of_the_last_peer_stops_the_run_as_well(build_directory, capfd):
    assert run("none", "counts nothing") == 1
    assert capfd.readouterr().out == ""


def test_a_peer_without_a_fault_is_measured(build_directory, capfd):
    assert run("none") == 0
    assert "a peer: none" in capfd.readouterr().out
    result = json.loads((build_directory / "bench.json").read_text())
    (row,) = result["rows"]
    assert row["rps"] > 0 and row["cpu_us"] > 0 and row["pss_mib"] > 0 and row["first_200_ms"] > 0
    assert (build_directory / "bench.svg").read_text().startswith("<svg ")


def test_a_program_that_should_not_count_and_counts_stops_the_run(capfd):
    peer = Faulty("none")
    peer.counts = False
    assert bench.main(["--seconds=1", "--rounds=1", "--connections=4", "--parts", "peers"], [peer]) == 1
    assert "is here to count none" in capfd.readouterr().err


def test_no_process_is_left_behind_by_a_run_that_stops():
    peer = Faulty("error")
    assert bench.main(["--seconds=1", "--rounds=1", "--connections=4", "--parts", "peers"], [peer]) == 1
    assert peer.processes.roots == [] and peer.processes.pids() == []
    with pytest.raises(OSError):
        processes.fetch(peer.port)


def test_cpu_time_is_of_all_threads_and_children(tmp_path):
    burn = "import os, time\nos.fork()\nwhile time.process_time() < 0.2: pass\ntime.sleep(60)"
    with processes.Processes(tmp_path / "log") as burners:
        burners.start(sys.executable, "-c", burn)
        assert processes.wait_for(lambda: burners.cpu_seconds() > 0.4, 30, "two processes' CPU time")
        assert len(burners.pids()) == 2


# --- optional peers ---------------------------------------------------------


def measured(peer, *options):
    return bench.main(["--seconds=1", "--rounds=1", "--connections=8", "--parts", "peers", *options], [peer])


@pytest.mark.parametrize("kind", [optional_peers.NginxLua, optional_peers.PhpFpm])
def test_a_peer_of_debian_packages_answers_and_counts(kind, build_directory):
    if reason := kind.unavailable():
        pytest.skip(reason)
    assert measured(kind()) == 0


@pytest.mark.parametrize("kind", [optional_peers.Axum, optional_peers.AxumBehindNginx])
def test_axum_answers_and_counts_if_a_benchmark_has_built_it(kind, build_directory):
    built = peers.ROOT / "build" / "bench" / kind.program
    if not built.exists():
        pytest.skip(f"{built} is not built: run make bench")
    shutil.copy(built, build_directory)
    assert measured(kind()) == 0


def test_nginx_with_lua_that_counts_nothing_stops_the_run(capfd):
    if reason := optional_peers.NginxLua.unavailable():
        pytest.skip(reason)

    class Uncounted(optional_peers.NginxLua):
        location = (
            "content_by_lua_block {{ ngx.header.content_type = 'application/json'; ngx.header.content_length = 22; "
            "ngx.print('{{\"msg\": \"Hello World\"}}') }}"
        )

    assert measured(Uncounted()) == 1
    assert "counted 0 of" in capfd.readouterr().err


def test_a_lua_module_that_nginx_does_not_take_is_a_reason_to_skip(tmp_path, monkeypatch):
    module = tmp_path / "ndk_http_module.so"
    module.write_text("built for another nginx")
    monkeypatch.setattr(optional_peers.NginxLua, "modules", staticmethod(lambda: [str(module)]))
    assert "nginx does not take it" in optional_peers.NginxLua.unavailable()


def test_a_revision_that_this_clone_lacks_is_skipped_with_a_reason(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    assert optional_peers.Revision.unavailable() == f"revision {optional_peers.Revision.revision} is not in this clone"


def test_axum_without_cargo_is_skipped_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert optional_peers.Axum.unavailable() == "cargo is not installed"


# --- the limits of the pod --------------------------------------------------


def in_pod(peer):
    if reason := pod.unavailable():
        pytest.skip(reason)
    return bench.main(["--seconds=1", "--rounds=1", "--parts", "pod"], [peer])


def test_the_limits_are_those_of_the_manifest():
    manifest = (peers.ROOT / "k8s" / "10-fcgi-webapp.yaml").read_text()
    cores = [int(limit) / 1000 for limit in re.findall(r"limits:\n +cpu: (\d+)m", manifest)]
    limits = pod.limits()
    assert [limits["app"]["cpu"], limits["nginx"]["cpu"]] == pytest.approx(cores[:2])


@pytest.mark.parametrize(("text", "value"), [("200m", 0.2), ("2", 2), ("1.5", 1.5), ("96Mi", 96 * 2**20), ("1Gi", 2**30)])
def test_a_quantity_of_kubernetes_is_read(text, value):
    assert pod.quantity(text) == pytest.approx(value)


def test_a_machine_without_cgroups_is_a_reason_to_skip_the_pod(tmp_path, monkeypatch):
    monkeypatch.setattr("cgroups.ROOT", tmp_path / "none")
    assert "cannot make a cgroup here" in pod.unavailable()


def test_a_peer_in_the_limits_of_the_pod_is_measured_and_drawn(build_directory):
    assert in_pod(Faulty("none")) == 0
    result = json.loads((build_directory / "bench.json").read_text())["pod"]
    (row,) = result["rows"]
    assert row["rps"] > 0 and 0 < row["used"]["app"] < 1
    assert ">a peer: none<" in (build_directory / "pod.svg").read_text()


def test_a_peer_outside_of_the_limits_of_the_pod_stops_the_run(capfd):
    class Outside(Faulty):
        def launch(self):
            self.processes.cgroup = None
            super().launch()

    assert in_pod(Outside("none")) == 1
    assert "run outside of the limits" in capfd.readouterr().err


def test_a_peer_that_uses_more_than_its_limits_stops_the_run(capfd, monkeypatch):
    class Unlimited(pod.Cgroup):
        def __init__(self, cpu=None, memory=None):
            super().__init__(None, memory)

        def __enter__(self):
            super().__enter__()
            self.cpu = 0.01  # what it is held against
            return self

    monkeypatch.setattr(pod, "Cgroup", Unlimited)
    assert in_pod(Faulty("none")) == 1
    assert "cores, and has 0.01" in capfd.readouterr().err


# --- the record and the table of costs --------------------------------------


@pytest.mark.parametrize(
    ("page", "marker"),
    [("README.md", "measured"), ("docs/benchmarks.md", "measured"), ("docs/scaling.md", "measured"), ("docs/scaling.md", "prometheus")],
)
def test_a_record_finds_its_place_on_each_page(page, marker, tmp_path):
    copy = tmp_path / "page.md"
    copy.write_text((peers.ROOT / page).read_text())
    for text in ("RECORD ONE", "RECORD TWO"):
        record.insert(copy, marker, text)
    assert "RECORD TWO" in copy.read_text() and "RECORD ONE" not in copy.read_text()


def test_a_run_replaces_the_line_of_its_own_kind_of_processor_and_no_other():
    def run_on(cpu, figure):
        claims = [{"what": "cpu vs nginx return 200, 64 connections", "figure": figure}]
        return {"machine": {"cpu": cpu, "nginx": "1.26"}, "date": "2026-11-30", "must_show": claims}

    text = ""
    for cpu, figure in (("one", 1.5), ("two", 2), ("one", 1.75)):
        text = record.processors(text, run_on(cpu, figure))
    lines = [[cell.strip() for cell in line.split("|")[1:5]] for line in text.splitlines()[2:]]
    assert lines == [["two", "2026-11-30", "1.26", "2"], ["one", "2026-11-30", "1.26", "1.75"]]


def test_system_calls_are_read_from_what_strace_prints(tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    text = "import os\nfor _ in range(7): os.getppid()\ntry: os.rmdir('/nowhere')\nexcept OSError: pass"
    subprocess.run(["strace", "-f", "-c", "-o", tmp_path / "calls", sys.executable, "-c", text], check=True)
    calls = costs.calls_of((tmp_path / "calls").read_text())
    assert (calls["getppid"], calls["rmdir"]) == (7, 1)
    assert "total" not in calls


# --- what Prometheus needs ---------------------------------------------------


def test_the_limits_of_prometheus_are_reached_at_the_number_of_pods_that_uses_them_up():
    sizes = [{"pods": pods, "series": 100 * pods, "cpu_ms": 2, "memory": (50 + pods) * 2**20} for pods in (10, 110)]
    history = {"bytes_a_sample": 1, "bytes_a_series": 0, "rules_cores": 0.0016}
    limits = {"cores": 1, "memory": 2**30, "disk": 2 * 200 * 8640 * 15 * 40, "days": 15}
    result = {"series": {"one": 150, "other": 50}, "sizes": sizes, "history": history, "interval": 10, "limits": limits}
    # A pod has twice the series that were scraped: 4 ms for a scrape every 10 s, 1.6 ms a second for the rules, and 2 MiB.
    assert re.findall(r"^\| (\w+).*\| +([\d,]+) \|$", capacity.limits_table(result), re.M) == [("disk", "80"), ("memory", "487"), ("CPU", "500")]


def test_a_group_of_rules_is_measured_at_its_own_interval(tmp_path, monkeypatch):
    (tmp_path / "rules").mkdir()
    (tmp_path / "prometheus.yml").write_text("global: {scrape_interval: 5s, evaluation_interval: 10s}")
    (tmp_path / "rules" / "some.yml").write_text("groups: [{name: usual, rules: []}, {name: slow, interval: 1m, rules: []}]")
    monkeypatch.setattr(fleet, "MONITORING", tmp_path)
    fleet.Prometheus(tmp_path / "run", rules=True)
    groups = yaml.safe_load((tmp_path / "run" / "rules.yml").read_text())["groups"]
    assert {group["name"]: group["interval"] for group in groups} == {"usual": "500ms", "slow": "3000ms"}


def test_prometheus_is_measured_over_scrapes_and_history(build_directory, monkeypatch):
    if reason := fleet.unavailable():
        pytest.skip(reason)
    for name, value in (("SIZES", (1, 3)), ("SCRAPES", 1), ("HISTORY", 600), ("HISTORY_PODS", 1), ("EVALUATIONS", 1)):
        monkeypatch.setattr(fleet, name, value)
    monkeypatch.setattr(fleet, "BUILD", build_directory)
    monkeypatch.setattr(fleet, "interval", lambda: 5)
    result = fleet.fleet(print)
    assert result["sizes"][1]["series"] == pytest.approx(3 * result["sizes"][0]["series"])
    assert result["series"]["fcgi-webapp"] > 300
    assert 0.1 < result["history"]["bytes_a_sample"] < 16
