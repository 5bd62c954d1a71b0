"""The console while the store does not answer: what is not history is shown all the same."""

import pytest
from helpers import HOUR, noop
from reading import text_of

from tgscheduler.errors import StoreError

READS = (
    *("runs", "run", "recent_runs", "counts", "counts_by_task", "counts_by_hour"),
    *("durations", "gone", "audits", "why"),
)


@pytest.fixture
def down(ticked, monkeypatch):
    """A scheduler whose store cannot be read."""

    def refuse(*args, **words):
        raise StoreError("the disk is full")

    ticked.add_interval_task(noop, interval=HOUR, taskname="it")
    ticked.tick(HOUR)
    for read in READS:
        monkeypatch.setattr(ticked, read, refuse)
    return ticked


@pytest.mark.parametrize(
    "path", ["", "tasks/it", "calendar", "health", "simulate?line=daily+9:00", "tasks/it/pause", "tasks/it/run"]
)
def test_what_is_no_history_is_shown(client, down, path):
    answer = client.get(path)
    assert answer.status == 200
    assert "it" in text_of(answer)


@pytest.mark.parametrize("path", ["runs", "runs/1-1", "tasks/gone", "why?task=it&at=now"])
def test_what_is_history_says_what_holds_meanwhile(client, down, path):
    answer = client.get(path)
    assert answer.status == 503
    assert "The store does not answer the disk is full. Tasks keep running" in text_of(answer)


def test_a_task_can_be_paused_and_run(client, down):
    assert client.post("tasks/it/pause", {"until": ""}).status == 303
    assert down.view("it").paused_until == float("inf")
    assert client.post("tasks/it/run").status == 303
