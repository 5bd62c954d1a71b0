"""Two, three and four processes over one store, and what befalls them: nothing twice, nothing lost, nobody silent.

What the processes do is in ``node.py``, what is found out about it in ``audit.py``: a ledger in a file is compared with
the store. Each scenario runs once; ``TGS_FLEET_SEEDS=5`` runs it with five seeds.
"""

import os
import time

import pytest
from audit import report
from fleet import AFTER, BEFORE, Fleet
from proxies import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
pytest_plugins = ["postgres"]

SEEDS = range(int(os.environ.get("TGS_FLEET_SEEDS", "1")))

#: What says that a clock is wrong.
CLOCK = r"(?i)clock|future|ahead|behind"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'scheduler.db'}"


@pytest.fixture(params=SEEDS)
def fleet(request, url, tmp_path):
    fleet = Fleet(url, tmp_path, request.param)
    yield fleet
    fleet.clean_up()


def ends_well(fleet, last=None, but=()):
    """Stop a fleet, process by process; nothing is found, but what a scenario is about."""
    findings = {kind: found for kind, found in fleet.end(last).items() if kind not in but}
    assert not findings, report(findings)


def test_nothing_befalls_it(fleet):
    fleet.start_some()
    fleet.live(BEFORE)
    ends_well(fleet)


def test_the_store_is_locked_for_longer_than_is_waited_for(fleet):
    fleet.start_some()
    fleet.live(BEFORE)
    with fleet.locked():
        fleet.live(8.0)
    fleet.live(AFTER)
    ends_well(fleet)


@pytest.mark.parametrize("seconds", [3.0, 9.0], ids=["3 s", "longer than any lease"])
@pytest.mark.parametrize("where", ["anywhere", "inside a transaction"])
def test_a_process_stands_still(fleet, seconds, where):
    node, *_ = fleet.start_some()
    fleet.live(BEFORE + fleet.rng.random())
    if where == "anywhere":
        fleet.freeze_anywhere(node, seconds)
    else:
        fleet.freeze(node, seconds)
    fleet.live(AFTER)
    ends_well(fleet)


@pytest.mark.parametrize("skew", [-120.0, -2.0, 2.0, 120.0, 3000.0])
def test_a_clock_is_wrong(fleet, skew):
    """It is ahead, or behind, from the process's start on; what is stopped last is right."""
    *_, right = fleet.start_some(1, 3)
    fleet.live(1.0)
    wrong = fleet.start("d", skew=skew)
    fleet.ready(wrong)
    fleet.live(BEFORE + AFTER)
    ends_well(fleet, last=right, but=["unwell"])
    if abs(skew) > 60:
        assert fleet.said(CLOCK), "nobody has said that clocks differ"


def test_a_clock_is_ahead_for_six_seconds_and_then_right(fleet):
    node, *_, other = fleet.start_some()
    fleet.live(BEFORE)
    fleet.set_clock(node, 3000.0)
    fleet.live(6.0)
    fleet.set_clock(node, 0.0)
    fleet.live(AFTER)
    ends_well(fleet, last=fleet.rng.choice([node, other]))
    assert fleet.said(CLOCK), "nobody has said that clocks differ"


def test_one_process_after_another_is_replaced(fleet):
    """As a deployment does it: the new one is there before the old one goes, or after it."""
    fleet.start_some()
    for _ in range(6):
        old = fleet.rng.choice(fleet.up)
        fleet.live(fleet.rng.uniform(0.3, 1.5))
        if fleet.rng.random() < 0.5:
            fleet.stop(old)
            fleet.ready(fleet.start(old.slot))
        else:
            fleet.ready(fleet.start(old.slot))
            fleet.stop(old)
    fleet.live(1.0)
    ends_well(fleet)


@pytest.mark.parametrize("seconds", [3.0, 8.0])
def test_a_connection_stalls(fleet, seconds):
    """The proxy of one process accepts and never answers; later new connections work."""
    if fleet.url.startswith("sqlite"):
        pytest.skip("there is no network in between")
    from sqlalchemy import make_url

    url = make_url(fleet.url)
    proxy = Proxy(url.port)
    try:
        fleet.start_some(1, 3)
        behind = fleet.start("d", url=url.set(port=proxy.port).render_as_string(hide_password=False))
        fleet.ready(behind)
        fleet.live(BEFORE)
        proxy.stall()
        fleet.live(seconds)
        proxy.resume()
        fleet.live(AFTER + 8.0)
        ends_well(fleet)
    finally:
        fleet.clean_up()
        proxy.close()


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside others"])
def test_a_killed_process_comes_back_as_another_container(fleet, alone):
    """What it has left open is lost or taken over, once it counts as gone; nobody starts anew for that."""
    if not alone:
        fleet.start_some(1, 2)
    for number in range(3):
        node = fleet.start("d", host=f"pod-{number}", machine=f"boot-{number} pid:[{number}]")
        fleet.ready(node)
        fleet.live(1.0 + fleet.rng.random())
        if number < 2:
            fleet.kill(node)
    fleet.live(9.0)
    ends_well(fleet, last=node)


@pytest.mark.parametrize("pause", [0.0, 2.0])
def test_processes_are_killed_and_come_back(fleet, pause):
    fleet.start_some()
    for _ in range(4):
        fleet.live(fleet.rng.uniform(0.5, 1.5))
        node = fleet.rng.choice(fleet.up)
        fleet.kill(node)
        time.sleep(pause)
        fleet.ready(fleet.start(node.slot))
    fleet.live(AFTER)
    ends_well(fleet)
