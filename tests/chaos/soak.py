"""Half of the load that this machine can take, for so many seconds: make soak SECONDS=1800.

Prints a JSON line for each tenth of the time (requests/s, p50 and p99 in ms, resident memory and open files of the pool
and of nginx), and at the end what changed between the second tenth and the last.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from conftest import children, name_of, running  # noqa: E402

CONNECTIONS = 64
SCRIPT = """
local path = {"/", "/health", "/bye", "/version", "/nope//", "/live"}
local next = 0
request = function() next = next % #path + 1; return wrk.format("GET", path[next]) end
"""


def wrk(service, seconds, pause_ms=0):
    """Requests a second, and latencies in ms."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT + (f"delay = function() return {pause_ms} end\n" if pause_ms else ""))
        script.flush()
        run = subprocess.run(["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", script.name,
                              f"http://127.0.0.1:{service.port}/"], capture_output=True, text=True, check=True)
    units = {"us": 0.001, "ms": 1, "s": 1000}

    def latency(percent):
        number, unit = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", run.stdout).groups()
        return round(float(number) * units[unit], 2)

    errors = re.search(r"Socket errors: (.*)", run.stdout)
    return {"rps": round(float(re.search(r"Requests/sec:\s+([\d.]+)", run.stdout).group(1))),
            "p50_ms": latency(50), "p99_ms": latency(99), "errors": errors.group(1) if errors else ""}


def size_of(pids):
    resident = files = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as status:
            resident += int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))
        files += len(os.listdir(f"/proc/{pid}/fd"))
    return resident, files


def measure(service):
    pool = [service.master, *children(service.master)]
    nginx = [pid for pid in service.all_pids() if name_of(pid) == "nginx"]
    pool_resident, pool_files = size_of(pool)
    nginx_resident, nginx_files = size_of(nginx)
    return {"pool_kib": pool_resident, "pool_files": pool_files, "nginx_kib": nginx_resident, "nginx_files": nginx_files}


def main(seconds):
    with running(WORKERS=2) as service:
        most = wrk(service, 5)["rps"]
        # With a pause of t a connection makes at most 1/t requests a second.
        pause = max(1, round(1000 * CONNECTIONS / (most / 2)))
        print(json.dumps({"most_rps": most, "pause_ms": pause}), flush=True)
        rows = []
        for tenth in range(10):
            rows.append({"tenth": tenth + 1, **wrk(service, max(1, seconds // 10), pause), **measure(service)})
            print(json.dumps(rows[-1]), flush=True)
        early, late = rows[1], rows[-1]
        print(json.dumps({name: [early[name], late[name]] for name in early if name not in ("tenth", "errors")}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1800)
