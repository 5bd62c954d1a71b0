"""Stores for tests: opened, with what they have answered, and closed afterwards."""

from helpers import wait_for

from tgscheduler import stores
from tgscheduler.stores.base import Claim, TaskRecord
from tgscheduler.testing import VirtualClock
from tgscheduler.timetable.run import Run, Where

#: When the virtual clock of a test's store starts; a beginning of an hour and of a day.
START = 1_900_022_400.0


def ended(task, due, state="ok", count=1, took=0.1):
    """Return a run that has ended."""
    run = Run(task, due, count)
    run.started, run.ended, run.state = due + 0.1, due + 0.1 + took, state
    return run


def claim_of(task, due, until=None, **options):
    """Return a claim with one opened run."""
    until = due if until is None else until
    return Claim(task, due, until, [Run(task, until)], **options)


def end(run, state="ok"):
    """Let an opened run end."""
    run.where = Where("here", 7, "a thread")
    run.started, run.ended, run.state = run.due + 0.25, run.due + 0.75, state
    return run


def fields(run):
    """Return all that a run says, with its times bit by bit."""
    times = [None if time is None else float(time).hex() for time in (run.due, run.until, run.started, run.ended)]
    return (run.task, *times, run.count, run.state, run.attempt, run.where, run.reason, run.error, run.log)


def dues(runs):
    """Return the due times of runs, from START on."""
    return [run.due - START for run in runs]


def is_down(store):
    """Return whether a store's database does not do what it is asked to."""
    return store.status().down is not None


class StoreFactory:
    """Opens stores at one address, and keeps what they answer."""

    def __init__(self, url):
        self.url, self.clock = url, VirtualClock(START)
        self.answers, self.conditions, self.orphans, self._stores = [], [], [], []

    def open(self, **options):
        """Return a store that is open."""
        options.setdefault("clock", self.clock)
        store = stores.open(self.url, **options)
        store.open(self.answers.extend, self.conditions.append, None, self.orphans.extend)
        self._stores.append(store)
        return store

    def reopened(self, store, **options):
        """Close a store and return another one at the same address."""
        assert store.close(5) == 0
        return self.open(**options)

    def claimed(self, store, *claims, timeout=5.0):
        """Claim, and return the answers once they are there."""
        before = len(self.answers)
        store.claim(claims)
        wait_for(lambda: len(self.answers) >= before + len(claims), timeout)
        return self.answers[before:]

    def knows(self, store, *names, high_water=START, **fields):
        """Save tasks, and wait until they are on record."""
        store.save([TaskRecord(name, "spec", high_water=high_water, **fields) for name in names])
        assert store.flush(5)

    def execute(self, statement, values=()):
        """Execute a statement behind the stores' backs."""
        database = self._stores[0]._database
        connection = database.connect(writing=True)
        try:
            database.execute(connection, statement, values)
        finally:
            database.close(connection)

    def pretend(self, store, age=None, **fields):
        """Change the row of a store's process; ``age``: how long ago it was seen last, by the database's clock.

        By one statement: another process may look at the row at any moment.
        """
        changes, values = [f"{name} = ?" for name in fields], list(fields.values())
        if age is not None:
            changes.append(f"seen = {store._database.clock} - ?")
            values.append(age)
        self.execute(f"UPDATE tg_node SET {', '.join(changes)} WHERE id = ?", (*values, store._writer.node))

    def close(self):
        """Close them all."""
        for store in self._stores:
            store.close(5)
