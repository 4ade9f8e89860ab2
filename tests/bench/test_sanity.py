"""The benchmark stops with an error, and prints no figure, where a peer does
not do what its figures would be taken for."""

import json
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import bench  # noqa: E402
import peers  # noqa: E402
import processes  # noqa: E402


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
