"""Keeping: a store that outlives the process is opened at each start, and closed at the stop after it."""

import threading

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.engine.clerk import Clerk
from tgscheduler.engine.ledger import Ledger
from tgscheduler.engine.recalling import Recall
from tgscheduler.engine.registry import Registry
from tgscheduler.executors.base import Voice
from tgscheduler.stores.base import LastingStore, is_lasting
from tgscheduler.timetable.run import Run

log = Voice(__name__)

#: A run that stops its own scheduler has so many seconds until it is booked; the store is closed after that.
LAST = 60.0


class Keeper:
    """Opens and closes the store of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._closing: threading.Thread | None = None
        self._hurry = False

    def open(
        self, clock: Clock, registry: Registry, patience: float, run_anyway: bool
    ) -> tuple[Clerk | None, Recall | None]:
        """Open the store and ask what it knows; raise StoreError where that cannot be. In memory there is nothing."""
        self._end_closing()
        store = self._ledger.store
        if not is_lasting(store):
            return None, None
        clerk = Clerk(clock, self._ledger.ended, store, patience, run_anyway)
        store.open(clerk.answer, clerk.note_condition, clock, clerk.note_orphans)
        try:
            return clerk, Recall(store, registry)
        except BaseException:
            store.close(0.0)
            raise

    def close(self, timeout: float, own: Run | None = None) -> None:
        """Write what is left, for so many seconds at most; ``own``, which stops us from inside, is waited for first."""
        store = self._ledger.store
        if not is_lasting(store):
            return
        if own is None or not self._ledger.has(own):
            _close(store, timeout)
            return
        self._hurry = False
        closing = threading.Thread(
            target=self._close_after, args=(store, timeout, own), name="tgscheduler-closing", daemon=True
        )
        try:
            closing.start()
        except RuntimeError:  # the host's limit on threads
            _close(store, timeout)
        else:
            self._closing = closing

    def _close_after(self, store: LastingStore, timeout: float, own: Run) -> None:
        end = clocks.elapsed() + LAST
        while self._ledger.has(own) and clocks.elapsed() < end and not self._hurry:
            if own.ended is not None:
                self._ledger.settle()
            clocks.pause(0.005)
        _close(store, timeout)

    def _end_closing(self) -> None:
        closing, self._closing = self._closing, None
        if closing is not None:
            self._hurry = True
            closing.join(10.0)

    def forget(self) -> None:
        """In a forked copy: what closes is the parent's."""
        self._closing = None


def _close(store: LastingStore, timeout: float) -> None:
    lost = store.close(timeout)
    if lost:
        log.error("%d records of runs could not be written before the stop", lost)
