"""The store's thread: what it does when a connection breaks at a bad moment."""

import sqlite3

from helpers import wait_for

from tgscheduler import stores
from tgscheduler.stores.base import Claim, Condition
from tgscheduler.stores.batch import Batch, Contested
from tgscheduler.timetable.run import Run


def test_a_connection_that_breaks_after_a_contested_batch_costs_no_record(tmp_path, monkeypatch):
    store, answers = stores.open(f"sqlite:///{tmp_path / 'runs.db'}"), []
    store.open(answers.extend, lambda condition: None)
    try:
        assert store.flush(5)
        write, broken = Batch.write, []

        def contested(batch, *args):
            if batch.entries and not broken:
                broken.append(batch)
                monkeypatch.setattr(store._database, "rollback", failing)
                raise Contested
            write(batch, *args)

        def failing(connection):
            monkeypatch.undo()
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(Batch, "write", contested)
        store.claim([Claim("it", 1.0, 1.0, [Run("it", 1.0)])])
        wait_for(lambda: answers)
        assert [answer.granted for answer in answers] == [True]
        assert store.condition() == Condition()
    finally:
        store.close(5)
