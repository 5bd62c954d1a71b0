"""The moves that entries make from state to state, watched."""

from contextlib import contextmanager

import pytest

from tgscheduler.timetable.entry import MOVES, Entry


@contextmanager
def watched_moves():
    """Collect the moves (before, after) of all entries; at the end, fail if one is not in ``entry.MOVES``."""
    seen, slot = set(), Entry.state

    def move(entry, state):
        try:
            seen.add((slot.__get__(entry), state))
        except AttributeError:  # its first state
            pass
        slot.__set__(entry, state)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Entry, "state", property(slot.__get__, move))
        yield seen
    illegal = sorted(f"{before.name} -> {after.name}" for before, after in seen if after not in MOVES[before])
    assert not illegal, f"entry.MOVES lacks a move, or the engine makes one that it must not: {illegal}"
