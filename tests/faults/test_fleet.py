"""Two, three and four processes over one store, and what befalls them: nothing twice, nothing lost, no one silent.

What a process does is in ``node.py``, what is done to it in ``fleet.py``; ``audit.py`` compares a file of marks with
the store. This is the short form, one seed over one store for each scenario; ``TGS_FLEET_SEEDS=5`` runs all of them
over each store with five seeds, which takes 40 minutes.
"""

import os

import pytest
from audit import report
from fleet import AFTER, BEFORE, Fleet
from proxies import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
pytest_plugins = ["postgres"]

SEEDS = int(os.environ.get("TGS_FLEET_SEEDS", "0"))

#: What says that a clock is wrong.
CLOCK = r"(?i)\bclock\b"


def over(*stores):
    """Run a scenario over each store with each seed; in the short form over the first of them with one seed."""
    cases = [(store, seed) for seed in range(SEEDS) for store in stores] if SEEDS else [(stores[0], 0)]
    return pytest.mark.parametrize("fleet", cases, ids=[f"{store}-{seed}" for store, seed in cases], indirect=True)


@pytest.fixture
def fleet(request, tmp_path):
    store, seed = request.param
    url = f"sqlite:///{tmp_path / 'scheduler.db'}" if store == "sqlite" else request.getfixturevalue("postgres_url")
    fleet = Fleet(url, tmp_path, seed)
    yield fleet
    fleet.clean_up()


@pytest.fixture
def proxy(request):
    """Yield a proxy before the PostgreSQL server; it ends after the fleet."""
    proxy = Proxy(request.getfixturevalue("postgres_server").port)
    yield proxy
    proxy.close()


def ends_well(fleet, last=None, but=()):
    """Stop a fleet, process by process; nothing is found, but what a scenario is about."""
    findings = {kind: found for kind, found in fleet.end(last).items() if kind not in but}
    assert not findings, report(findings)


@over("sqlite", "postgres")
def test_nothing_befalls_it(fleet):
    fleet.start_some()
    fleet.live(BEFORE)
    ends_well(fleet)


@over("postgres", "sqlite")
def test_the_store_is_locked_for_longer_than_is_waited_for(fleet):
    fleet.start_some()
    fleet.live(BEFORE)
    with fleet.locked():
        fleet.live(8.0)
    fleet.live(AFTER)
    ends_well(fleet)


@over("sqlite", "postgres")
@pytest.mark.parametrize("seconds", [3.0, 9.0], ids=["3 s", "longer than any lease"])
def test_a_process_stands_still_inside_a_transaction(fleet, seconds):
    node, *_ = fleet.start_some()
    fleet.live(BEFORE + fleet.rng.random())
    fleet.freeze(node, seconds)
    fleet.live(AFTER)
    ends_well(fleet)


@over("postgres", "sqlite")
@pytest.mark.parametrize("skew", [2.0, -2.0, 120.0, -120.0, 3000.0])
def test_a_clock_is_wrong(fleet, skew):
    """It is ahead, or behind, from the process's start on; the process that is stopped last is right."""
    *_, right = fleet.start_some(1, 3)
    fleet.live(1.0)
    fleet.ready(fleet.start("d", skew=skew))
    fleet.live(BEFORE + AFTER)
    ends_well(fleet, last=right, but=["unwell"])
    assert abs(skew) < 60 or fleet.said(CLOCK), "no one has said that clocks differ"


@over("sqlite", "postgres")
def test_a_clock_is_ahead_for_six_seconds_and_then_right(fleet):
    node, *_, other = fleet.start_some()
    fleet.live(BEFORE)
    fleet.set_clock(node, 3000.0)
    fleet.live(6.0)
    fleet.set_clock(node, 0.0)
    fleet.live(AFTER)
    ends_well(fleet, last=fleet.rng.choice([node, other]))
    assert fleet.said(CLOCK), "no one has said that clocks differ"


@over("postgres", "sqlite")
def test_one_process_after_another_is_replaced(fleet):
    """As a deployment does it: the new one is there before the old one goes, or comes after it."""
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


@over("postgres")
def test_a_connection_stalls(proxy, fleet):
    """The proxy of one process accepts and never answers; after a while new connections work."""
    from sqlalchemy import make_url

    fleet.start_some(1, 3)
    url = make_url(fleet.url).set(port=proxy.port)
    fleet.ready(fleet.start("d", url=url.render_as_string(hide_password=False)))
    fleet.live(BEFORE)
    proxy.stall()
    proxy.silent = True
    fleet.live(fleet.rng.uniform(3.0, 8.0))
    proxy.silent = False
    fleet.live(AFTER + 8.0)
    ends_well(fleet)


@over("sqlite", "postgres")
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside others"])
def test_a_killed_process_comes_back_as_another_container(fleet, alone):
    """What it has left open is lost or taken over, once it counts as gone; no one starts anew for that."""
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


@over("postgres", "sqlite")
def test_processes_are_killed_and_come_back(fleet):
    fleet.start_some()
    for _ in range(4):
        fleet.live(fleet.rng.uniform(0.5, 1.5))
        node = fleet.rng.choice(fleet.up)
        fleet.kill(node)
        fleet.ready(fleet.start(node.slot))
    fleet.live(AFTER)
    ends_well(fleet)
