"""50 HTTP clients and 1,000 runs a second in one server: no request fails, and the scheduler slows none down.

The same server is measured with the scheduler's runs, and with a bare thread that uses the same CPU time, in turns.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
import urllib.request

from benchmarks.loads import arguments, conclude, percentile

CLIENTS = 50
EACH = 0.1  # seconds between two requests of a client


def main() -> None:
    """Measure both in turns, nine times; print the p99 of each."""
    short = arguments(__doc__).short
    rounds, seconds = (3, 5.0) if short else (9, 8.0)
    p99: dict[str, list[float]] = {"scheduler": [], "thread": []}
    failed, requests, lost = 0, 0, 0
    runs = 0
    burn = 0.0
    for _ in range(rounds):
        for mode in ("scheduler", "thread"):
            with _Server(mode, burn) as server:
                times, errors = _ask(server.port, seconds)
                facts = server.facts()
            if mode == "scheduler":
                burn = facts["cpu_per_run"]
                runs += facts["runs"]
                lost += facts["due"] - facts["ok"] - facts["skipped"]
            failed += errors
            requests += len(times)
            p99[mode].append(percentile(times, 0.99))
    ratio = sorted(ours / bare for ours, bare in zip(p99["scheduler"], p99["thread"], strict=True))[rounds // 2]
    conclude(
        "http",
        short,
        {
            "no request fails": failed == 0,
            "no run is lost": lost == 0,
            "p99 of the requests at most 1.2 times that beside a bare thread": ratio <= 1.2,
        },
        requests=requests,
        runs=runs,
        ratio=round(ratio, 2),
        p99_ms={mode: [round(each * 1e3, 1) for each in values] for mode, values in p99.items()},
        burnt_per_run_us=round(burn * 1e6, 1),
    )


class _Server:
    def __init__(self, mode: str, burn: float) -> None:
        command = [sys.executable, "-m", "benchmarks.loads.http_server", mode, str(burn)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def facts(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/facts", timeout=10) as answer:
            found: dict[str, float] = json.load(answer)
        return found

    def __enter__(self) -> "_Server":
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(20)


def _ask(port: int, seconds: float) -> tuple[list[float], int]:
    times: list[float] = []
    errors = [0]
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        time.sleep(EACH * number / CLIENTS)
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                errors[0] += answer.status != 200
            except OSError:
                errors[0] += 1
                connection.close()
            times.append(time.monotonic() - began)
            time.sleep(max(0.0, EACH - (time.monotonic() - began)))
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, errors[0]


if __name__ == "__main__":
    main()
