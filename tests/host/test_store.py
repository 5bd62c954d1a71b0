"""A server over a store: one line of app.cfg, and its runs and pauses outlive the process."""

import json
import signal

import pytest
from servers import Server

from tgscheduler import stores

pytestmark = [pytest.mark.server, pytest.mark.slow]

PROGRAM = """
import json
config.update_config("dev.cfg")

def look():
    return json.dumps({
        "runs": [run.due for run in scheduler.runs("it") if run.started], "health": scheduler.health()["state"],
        "paused": scheduler.get_task("it").paused, "lost": scheduler.counts()["lost"],
    })

def pause():
    return scheduler.pause("it")

def schedule():
    scheduler.add_interval_task(time.sleep, 0.2, args=(0.05,), taskname="it")

startup.call_on_startup.append(schedule)
serve()
"""


def configured(folder, url):
    (folder / "dev.cfg").write_text(f'[global]\ntg.scheduler.store = "{url}"\n')


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_runs_and_pauses_outlive_the_server(tmp_path, end):
    configured(tmp_path, "sqlite:///scheduler.db")
    with Server(tmp_path, PROGRAM) as server:
        server.up()
        found = json.loads(server.get("/do/look"))
        while len(found["runs"]) < 3:
            found = json.loads(server.get("/do/look"))
        assert found["health"] == "ok"
        server.get("/do/pause")
        server.process.send_signal(end)
        server.process.wait(10)
    assert (tmp_path / "scheduler.db").stat().st_mode & 0o777 == 0o600
    with Server(tmp_path, PROGRAM) as server:
        server.up()
        after = json.loads(server.get("/do/look"))
        while not after["paused"]:
            after = json.loads(server.get("/do/look"))
        assert set(found["runs"]) - set(after["runs"]) <= {found["runs"][0]}, "one was in flight, and is lost"
        assert after["lost"] <= (end == signal.SIGKILL)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
    store = stores.open("sqlite:///scheduler.db", folder=tmp_path)
    assert store.runs(state="running") == []
    assert len({run.due for run in store.runs(limit=1000)}) == len(store.runs(limit=1000))
    store.close(1)


def test_a_store_that_cannot_be_opened_ends_the_start_with_one_line_and_no_task_runs(tmp_path):
    (tmp_path / "scheduler.db").write_bytes(b"no database " * 1000)
    configured(tmp_path, "sqlite:///scheduler.db")
    with Server(tmp_path, PROGRAM) as server:
        assert server.process.wait(20) == 70
        [line] = [line for line in server.log().splitlines() if "The scheduler cannot start" in line]
    assert "use another path" in line


def test_a_store_inside_an_installed_package_is_warned_about(tmp_path):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    configured(folder, "sqlite:///scheduler.db")
    with Server(tmp_path, PROGRAM.replace('"dev.cfg"', '"site-packages/dev.cfg"')) as server:
        server.up()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert server.log().count("lies inside an installed package") == 1
    assert (folder / "scheduler.db").exists()
