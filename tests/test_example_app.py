"""The example application: as a process, over HTTP, on SQLite and on PostgreSQL."""

import re
import signal
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from processes import Server, free_port

import example_app
from example_app import model
from tgscheduler import config

pytest_plugins = ["postgres"]
HOME = Path(example_app.__file__).parent

FAST = """
[global]
server.socket_port = {port}
engine.autoreload.on = False
example.database = "{database}"
example.stock_interval = 0.3
example.visits_interval = 0.3
example.visit_timeout = 0.5
"""


@pytest.fixture
def serve(tmp_path):
    """Return a function that starts the application with a config file's text."""
    servers = []

    def start(text):
        port = free_port()
        (tmp_path / "my.cfg").write_text(text.replace("{port}", str(port)))
        servers.append(Server("-m", "example_app", "my.cfg", cwd=tmp_path, port=port))
        return servers[-1]

    yield start
    for server in servers:
        server.clean_up()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(request, tmp_path):
    """Return the URL of an empty database."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path}/shop.db"


def table(page, name):
    """Return the rows of a table of the page, as lists of texts."""
    found = re.search(rf'<table id="{name}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL) if found else []
    return [[_text(cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)] for row in rows]


def figure(page, name):
    """Return a number of the page."""
    return int(re.search(rf'id="{name}">(?:<b>)?(\d+)', page)[1])


def ranked(page):
    """Say whether the page shows a ranking, and the stock of each product in it."""
    return table(page, "ranking") and "not counted" not in page


def _text(html):
    return unescape(re.sub(r"<.*?>", "", html)).strip()


@pytest.mark.server
def test_jobs_have_run_within_15_seconds(serve):
    server = serve((HOME / "dev.cfg").read_text().replace("8080", "{port}"))

    def page_shows_jobs():
        page = server.text()
        return ranked(page) and table(page, "deletions") and figure(page, "count-ok") >= 2 and page

    page = server.up().until(page_shows_jobs, 15.0)
    assert [row[:4] for row in table(page, "ranking")] == [
        ["1", "Brass lamp", "38", "162"],
        ["2", "Oak chair", "13", "67"],  # what was sold more than a week ago does not count
        ["3", "Wool blanket", "13", "77"],
        ["4", "Linen curtain", "12", "63"],
        ["5", "Walnut table", "4", "36"],
        ["6", "Clay vase", "2", "58"],
    ]
    assert figure(page, "deleted-visits") == figure(page, "deleted-identities") == 25
    tasks = {row[0]: row[1:] for row in table(page, "tasks")}
    assert set(tasks) == {"product ranking", "stock", "expired visits"}
    assert tasks["product ranking"][0].startswith("every day at 00:00")
    assert tasks["product ranking"][1].startswith("00:00:00")
    assert tasks["expired visits"][0] == "every 10 seconds"
    assert tasks["expired visits"][3] == "ok"
    assert {(row[1], row[3]) for row in table(page, "runs")} >= {("catch up", "ok"), ("expired visits", "ok")}
    assert '<meta http-equiv="refresh" content="3">' in page
    assert 'http-equiv="refresh"' not in server.text("/?refresh=off")
    assert "prefers-color-scheme: dark" in server.text("/style.css")
    assert '<a href="/scheduler/">Console</a>' in page
    assert "product ranking" in server.text("/scheduler/")

    log = server.ends_well(signal.SIGINT)
    assert "example_app.jobs: Scheduling background jobs..." in log
    assert "Scheduler started: 4 tasks" in log
    assert "example_app.jobs: Deleting expired visits from database..." in log
    assert "Scheduler stopped." in log
    assert "Traceback" not in log
    assert " ERROR " not in log


@pytest.mark.server
@pytest.mark.slow
def test_orders_and_visits_are_dealt_with(serve, database):
    model.open_database(database)
    with model.begin() as connection:
        oak = model.products_table.c.product_id == 1
        connection.execute(model.products_table.update().where(oak).values(name="<b>Oak</b> & \"ash\" 'n' <script>"))
    model.close_database()

    server = serve(FAST.replace("{database}", database)).up()
    page = server.until(lambda: ranked(page := server.text()) and page)
    assert table(page, "ranking")[1][1:4] == ["<b>Oak</b> & \"ash\" 'n' <script>", "13", "67"]
    assert "<script" not in page
    assert "<b>Oak" not in page

    assert server.ask("/order", "product_id=1")[0] == 303
    server.until(lambda: table(server.text(), "ranking")[1][3] == "66")
    for wrong in ("product_id=99", "product_id=-1", "product_id=x", "product_id=1%3B--", "product_id=" + "9" * 40):
        assert server.ask("/order", wrong)[0] == 404
    assert server.ask("/order?product_id=1")[0] == 405

    server.until(lambda: figure(server.text(), "deleted-visits") >= 27)  # 25 samples, and views of the page
    assert figure(server.text(), "count-failed") == 0
    log = server.ends_well(signal.SIGINT)
    assert "Traceback" not in log


@pytest.mark.server
@pytest.mark.slow
def test_scheduler_off(serve, tmp_path):
    text = FAST.replace("{database}", f"sqlite:///{tmp_path}/shop.db") + "tg.scheduler = False\n"
    server = serve(text).up()
    page = server.text()
    assert "The scheduler is off" in page
    assert "Not ranked yet." in page
    assert figure(page, "count-ok") == 0
    log = server.ends_well(signal.SIGTERM)
    assert "Scheduler not activated!" in log


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[global]\ntg.scheduler = yes\n", "tg.scheduler: expected True or False, got yes; write True"),
        pytest.param(
            '[global]\nexample.database = "sqlite:////no/such/folder/shop.db"\n',
            "unable to open database file",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            '[global]\nexample.database = "nonsense"\n', "example.database cannot be used", marks=pytest.mark.slow
        ),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, text, says):
    (tmp_path / "my.cfg").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "example_app", str(tmp_path / "my.cfg")],
        cwd=HOME.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_configuration_is_for_this_machine_only():
    config.update_config(configfile=str(HOME / "dev.cfg"), modulename="example_app.config")
    assert config.get("server.socket_host") == "127.0.0.1"
    assert config.get("server.socket_port") == 8080
    assert config.get("tg.scheduler") is True
    assert Path(config.app_sections()["/style.css"]["tools.staticfile.filename"]).is_file()
