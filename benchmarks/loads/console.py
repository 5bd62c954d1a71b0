"""The console over 10,000 tasks and ten million runs: the time of every page and route, and what 50 tabs cost.

SQLite, and PostgreSQL where TGS_POSTGRES_URL names an empty database. A tab asks as ``console.js`` does: every 2 s
while something changes, less and less often up to every 10 s while nothing does.
"""

import http.client
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from benchmarks.loads import arguments, conclude, percentile
from benchmarks.loads.console_past import fill
from benchmarks.loads.console_server import scheduler_over
from tgscheduler import stores
from tgscheduler.console import assets
from tgscheduler.console.app import App
from tgscheduler.console.console import Console
from tgscheduler.console.table import TABLE

#: Maximum p95 of the time (seconds) of a page or route.
PAGE = 0.100
TABS = 50
FASTEST, SLOWEST = 2.0, 10.0
#: Where the tabs are.
PLACES = ("", "tasks/task%205", "runs", "?span=day", "tasks/probe%201")

#: The requests that are measured; ``{run}`` and ``{failed}`` are ids, ``{at}`` is a due time.
GETS = (
    "", "?span=day", "?span=week", "?sort=name&page=100", "?state=failing", "?q=task+99", "?fragment=live",
    "tasks/task%205", "tasks/task%205?fragment=live", "tasks/nobody%27s", "runs", "runs?state=failed", "runs?hidden=1",
    "runs?task=task%205", "runs?task=task%205&state=failed&hidden=1", "runs?since=24h&state=skipped",
    "runs/{run}", "runs/{failed}", "calendar", "calendar?month=2026-10", "calendar?day={day}", "simulate",
    "simulate?line=%2A%2F5+%2A+%2A+%2A+%2A&zone=Europe%2FBerlin", "why", "why?task=task%205&at={at}", "health",
    "tasks/task%205/pause", "tasks/task%205/resume", "tasks/task%205/run", "tasks/task%205/reschedule",
    "tasks/task%205/reschedule?line=0+9+%2A+%2A+1-5&zone=Europe%2FBerlin", "runs/{failed}/rerun", "runs/{run}/cancel",
    "pause-all", "resume-all", "healthz", "readyz", "static/{version}/console.css",
    "api/v1/tasks", "api/v1/tasks?state=failing&limit=500", "api/v1/tasks/task%205", "api/v1/tasks/task%205/next?n=50",
    "api/v1/runs", "api/v1/runs?task=task%205&state=failed", "api/v1/runs?limit=500", "api/v1/runs/{run}",
    "api/v1/runs/{failed}/log", "api/v1/why?task=task%205&at={at}", "api/v1/simulate?line=0+9+%2A+%2A+1-5&n=100",
    "api/v1/audit", "api/v1/audit?task=task%205", "api/v1/figures?task=task%205", "api/v1/health",
    "api/v1/openapi.json",
)  # fmt: skip
POSTS = (
    ("api/v1/tasks/task%206/pause", {}), ("api/v1/tasks/task%206/resume", None), ("api/v1/tasks/task%206/run", None),
    ("api/v1/tasks/task%206/reschedule", {"timetable": "0 9 * * 1-5"}), ("api/v1/runs/{failed}/rerun", None),
    ("api/v1/pause-all", {}), ("api/v1/resume-all", None),
)  # fmt: skip


def main() -> None:
    """Fill, ask, and let tabs ask."""
    short = arguments(__doc__).short
    tasks, runs = (1000, 200_000) if short else (10_000, 10_000_000)
    figures: dict[str, Any] = {"tasks": tasks, "runs": runs}
    checks: dict[str, bool] = {}
    folder = Path(tempfile.mkdtemp(prefix="tgs-console-"))
    try:
        urls = {"SQLite": f"sqlite:///{folder}/console.db"}
        if given := os.environ.get("TGS_POSTGRES_URL"):
            urls["PostgreSQL"] = given
        for name, url in urls.items():
            began = time.perf_counter()
            fill(url, tasks, runs, time.time())
            figures[f"{name} fill_s"] = round(time.perf_counter() - began, 1)
            took = times_of_routes(url, tasks, 5 if short else 20)
            slowest = sorted(took, key=lambda path: -took[path])[:8]
            figures[f"{name} slowest_ms"] = {path or "schedule": round(took[path] * 1e3, 1) for path in slowest}
            figures[f"{name} median_ms"] = round(statistics.median(took.values()) * 1e3, 1)
            checks[f"{name}: p95 of each page and route under {PAGE * 1e3:.0f} ms"] = max(took.values()) < PAGE
        figures.update(_tabs(urls["SQLite"], tasks, short))
    finally:
        shutil.rmtree(folder)
    checks["50 tabs raise the p99 of the start delay by 10 % at most"] = figures["delay_ratio"] <= 1.1
    checks["50 tabs cost under 5 % of a core while nothing changes"] = figures["still_cpu_percent"] < 5
    conclude("console", short, checks, **figures)


# -- times of routes -------------------------------------------------------------------------------------------------


def times_of_routes(url: str, tasks: int, rounds: int) -> dict[str, float]:
    """Return the p95 of the time of each request (seconds), beside a running timetable."""
    scheduler = scheduler_over(url, tasks, "busy")
    scheduler.start()
    try:
        app = App(Console(scheduler))
        values = _values(url, app)
        asked = [(path.format(**values), None) for path in GETS] + [
            (path.format(**values), json.dumps(body or {}).encode()) for path, body in POSTS
        ]
        _check_complete(asked)
        took: dict[str, list[float]] = {}
        for number in range(rounds + 1):
            for path, body in asked:
                began = time.perf_counter()
                status = _ask(app, path, body)
                elapsed = time.perf_counter() - began
                if status >= 500 or (status >= 400 and number == 0 and "nobody" not in path and "cancel" not in path):
                    raise RuntimeError(f"{path}: {status}")
                if number:  # the first round makes templates and connections
                    took.setdefault(path if body is None else f"POST {path}", []).append(elapsed)
        return {path: percentile(each, 0.95) for path, each in took.items()}
    finally:
        scheduler.stop()


def _values(url: str, app: App) -> dict[str, Any]:
    store = stores.open(url)
    run, failed = (store.runs(task="task 5", state=state, limit=1)[0] for state in ("ok", "failed"))
    return {
        "run": run.id, "failed": failed.id, "at": run.due, "version": assets.version(),
        "day": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def _check_complete(asked: list[tuple[str, bytes | None]]) -> None:
    """Raise LookupError for a route that reads and is not asked for."""
    found = []
    for path, body in asked:
        parts = tuple(unquote(part) for part in path.partition("?")[0].split("/"))
        found.append(TABLE.find("GET" if body is None else "POST", parts)[0])
    missing = [route.path for route in TABLE if route not in found and (route.is_api or not route.is_unsafe)]
    if missing != ["api/v1/runs/{id}/cancel"]:  # none runs for long enough
        raise LookupError(f"not measured: {', '.join(missing)}")


def _ask(app: App, path: str, body: bytes | None) -> int:
    """Return the status of an answer of the WSGI application."""
    raw, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": "GET" if body is None else "POST", "REQUEST_URI": f"/scheduler/{path}",
        "QUERY_STRING": query, "SCRIPT_NAME": "/scheduler", "PATH_INFO": f"/{raw}", "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1", "HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_ACCEPT_ENCODING": "gzip",
        "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.input": io.BytesIO(body or b""), "wsgi.url_scheme": "http",
    }  # fmt: skip
    if body is not None:
        environ.update(CONTENT_TYPE="application/json", CONTENT_LENGTH=str(len(body)))
    statuses: list[int] = []
    for _ in app(environ, lambda status, headers: statuses.append(int(status.split()[0]))):
        pass
    return statuses[0]


# -- tabs ------------------------------------------------------------------------------------------------------------


def _tabs(url: str, tasks: int, short: bool) -> dict[str, Any]:
    """Return what tabs cost: the start delays with and without them, in turns, and the CPU while nothing changes."""
    rounds, seconds = (3, 8.0) if short else (7, 12.0)
    p99: dict[str, list[float]] = {"without": [], "with": []}
    with _Server(url, tasks, "busy") as server:
        time.sleep(3)
        for _ in range(rounds):
            for mode in p99:
                tabs = _Tabs(server.port, TABS if mode == "with" else 0)
                time.sleep(1)
                server.facts()
                time.sleep(seconds)
                p99[mode].append(percentile(server.facts()["delays"], 0.99))
                tabs.close()
    with _Server(url, tasks, "still") as server:
        before = server.facts()["cpu"]
        time.sleep(10)
        alone = server.facts()["cpu"] - before
        tabs = _Tabs(server.port, TABS)
        time.sleep(15 if short else 30)  # until they ask every 10 s
        before, answered = server.facts()["cpu"], dict(tabs.statuses)
        time.sleep(20 if short else 60)
        spent, period = server.facts()["cpu"] - before, 20 if short else 60
        counted = {status: count - answered.get(status, 0) for status, count in tabs.statuses.items()}
        tabs.close()
    ratio = statistics.median(ours / bare for ours, bare in zip(p99["with"], p99["without"], strict=True))
    return {
        "delay_p99_ms": {mode: [round(each * 1e3, 2) for each in values] for mode, values in p99.items()},
        "delay_ratio": round(ratio, 3),
        "still_cpu_percent": round((spent / period - alone / 10) * 100, 2),
        "still_answers": counted,
    }


class _Server:
    """The server process."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "benchmarks.loads.console_server", *map(str, arguments)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def facts(self) -> dict[str, Any]:
        """Return the figures since the last call."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/facts", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def __enter__(self) -> "_Server":
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(30)


class _Tabs:
    """Browsers' tabs that keep their pages up to date."""

    def __init__(self, port: int, number: int) -> None:
        self.statuses: dict[int, int] = {}
        self._port, self._closed = port, threading.Event()
        self._threads = [threading.Thread(target=self._tab, args=(each,)) for each in range(number)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Close them all."""
        self._closed.set()
        for thread in self._threads:
            thread.join()

    def _tab(self, number: int) -> None:
        place = PLACES[number % len(PLACES)]
        path = f"/scheduler/{place}{'&' if '?' in place else '?'}fragment=live"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        tag, wait = "", FASTEST
        self._closed.wait(FASTEST * number / TABS)
        while not self._closed.is_set():
            connection.request("GET", path, headers={"If-None-Match": tag, "Accept-Encoding": "gzip"} if tag else {})
            answer = connection.getresponse()
            answer.read()
            self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
            tag = answer.headers.get("ETag", "")
            wait = FASTEST if answer.status == 200 else min(SLOWEST, wait * 1.4)
            self._closed.wait(wait)
        connection.close()


if __name__ == "__main__":
    main()
